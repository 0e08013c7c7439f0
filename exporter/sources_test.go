package exporter

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/samples"
)

// Without sources there is one for every definition, and those whose files the
// node does not have are no problem.
func TestAgent_ImpliedSources(t *testing.T) {
	b := newBench(t, nil)
	b.keys = ""
	b.start()
	b.eventually("the page", func() error {
		_, body := b.get("GET", "/")
		_, absent, found := strings.Cut(body, "Not on this node")
		if !found || !strings.Contains(absent, "/var/log/ovn/acl-audit-log.log") || strings.Contains(body, "<h2>ovn-acl</h2>") {
			return errors.New(body)
		}
		return nil
	})
	if strings.Contains(b.log.String(), "look at files") || strings.Contains(b.log.String(), "level=WARN") {
		t.Errorf("the log complains:\n%s", b.log)
	}
}

// A record of several lines of a container's log is one entry, also when the
// agent is restarted in the middle of it, and has the time of its first line.
func TestAgent_Records(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys = "sources:\n" + b.source("agent", "antrea-agent", "0.log")
	b.append("0.log",
		`2024-06-02T10:11:12.100000001Z stderr F I0602 10:11:12.100000       1 a.go:1] "One" k="v"`,
		`2024-06-02T10:11:12.200000001Z stderr P E0602 10:11:12.200000       1 b.go:2] "Two" err="half`,
		`2024-06-02T10:11:12.200000002Z stderr F  and half"`,
		`2024-06-02T10:11:12.300000001Z stderr F panic: boom`,
		`2024-06-02T10:11:12.300000002Z stderr F `,
		`2024-06-02T10:11:12.300000003Z stderr F goroutine 1 [running]:`,
	)
	b.start()
	one := `I0602 10:11:12.100000       1 a.go:1] "One" k="v"`
	two := `E0602 10:11:12.200000       1 b.go:2] "Two" err="half and half"`
	b.arrived(one, two)
	b.stop() // while the panic may go on
	b.append("0.log",
		`2024-06-02T10:11:12.300000004Z stderr F main.main()`,
		`2024-06-02T10:11:13.400000001Z stderr F I0602 10:11:13.400000       1 c.go:3] "Three"`,
	)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	boom := "panic: boom\n\ngoroutine 1 [running]:\nmain.main()"
	three := `I0602 10:11:13.400000       1 c.go:3] "Three"`
	b.arrived(one, two, boom, three)

	var got []entry
	for _, e := range loki.folded() {
		got = append(got, entry{Stream: e.Stream, Time: e.Time, Line: e.Line})
	}
	stream := func(level string) string {
		return `{cluster="test", job="corkline", level="` + level + `", node="node-1", source="agent"}`
	}
	const second = 1717323072000000000 // 2024-06-02T10:11:12Z
	want := []entry{
		{Stream: stream("INFO"), Time: second + 100000001, Line: one},
		{Stream: stream("ERROR"), Time: second + 200000001, Line: two},
		{Stream: stream("FATAL"), Time: second + 300000001, Line: boom},
		{Stream: stream("INFO"), Time: second + 1400000001, Line: three},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The logs of virtual services come in one stream: each line is read by the
// definition that it has.
func TestAgent_SeveralDefinitions(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.max = 64 << 10
	b.keys = "sources:\n  - {name: avi, definitions: [avi-waf, avi-dns, avi-connection, avi-application, avi-event], files: ['" + b.path("avi.log") + "']}\n"
	var lines [][]byte
	lines = append(lines, []byte("no line of a load balancer"))
	wanted := counts{"unparsed": 1}
	for _, name := range []string{"avi-application", "avi-connection", "avi-dns", "avi-waf", "avi-event"} {
		text, err := samples.Log(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSuffix(line, "\n"); line != "" {
				lines = append(lines, []byte(line))
				wanted["parsed"]++
			}
		}
	}
	wanted["read"], wanted["shipped"] = int64(len(lines)), int64(len(lines))
	step := 7
	if len(lines)%step == 0 {
		step = 11
	}
	if len(lines)%step == 0 {
		t.Fatalf("%d divides the number of lines, too; choose another step", step)
	}
	var all []byte
	for i := range lines { // of different kinds in turns
		all = append(append(all, lines[i*step%len(lines)]...), '\n')
	}
	if err := os.WriteFile(b.path("avi.log"), all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.balances("avi", wanted)
}
