package parsers_test

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAMKO(t *testing.T) {
	read := reading(t, "amko")
	rapid.Check(t, func(t *rapid.T) { readZap(t, "amko", read) })
	rapid.Check(t, func(t *rapid.T) {
		line, want := zapHead(t, "amko")
		want["operation"], want["object_kind"], want["object_cluster"] = draw(t, `ADD|UPDATE|DELETE`, "operation"), draw(t, `[A-Z]{1,9}`, "kind"), draw(t, `[a-z][a-z0-9-]{0,9}`, "cluster")
		want["namespace"], want["name"] = draw(t, `[a-z][a-z0-9-]{0,9}`, "namespace"), draw(t, `[a-z][a-z0-9.-]{0,9}(/[a-z.]{1,9})?`, "name")
		want["message"] = draw(t, `[a-z][a-z ]{0,20}`, "message")
		head := "key: " + want["operation"] + "/" + want["object_kind"] + "/" + want["object_cluster"] + "/" + want["namespace"] + "/" + want["name"]
		if rapid.Bool().Draw(t, "spelt out") {
			head = "cluster: " + want["object_cluster"] + ", ns: " + want["namespace"] + ", objType: " + want["object_kind"] + ", op: " + want["operation"] + ", objName: " + want["name"]
		}
		read(t, "zap", line+head+", msg: "+want["message"], want)
	})
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{"epoch": draw(t, `1\.[0-9]{1,16}e\+09`, "epoch"), "level": draw(t, `INFO|ERROR`, "level"), "logger": draw(t, `[a-z][A-Za-z.-]{0,20}`, "logger"), "message": draw(t, `[a-z][a-z ]{0,20}`, "message"), "extra": `{"cluster": "east"}`}
		read(t, "federator", want["epoch"]+"\t"+want["level"]+"\t"+want["logger"]+"\t"+want["message"]+"\t"+want["extra"], want)
	})
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{"epoch": draw(t, `1[0-9]{9}\.[0-9]{1,9}`, "epoch"), "level": "WARN", "logger": draw(t, `[a-z][A-Za-z.-]{0,20}`, "logger"), "message": draw(t, `[a-z][a-z ]{0,20}`, "message")}
		read(t, "json", `{"level":"warn","ts":`+want["epoch"]+`,"logger":"`+want["logger"]+`","msg":"`+want["message"]+`"}`, want)
	})
}
