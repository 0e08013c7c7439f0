package ovsdb

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValue(t *testing.T) {
	type all struct {
		Text  string
		Int   int64
		IsInt bool
		UUIDs []string
		Map   map[string]string
	}
	f := func(text string, want all) {
		t.Helper()
		v := Value(text)
		got := all{Text: v.Text(), UUIDs: v.UUIDs(), Map: v.Map()}
		got.Int, got.IsInt = v.Int()
		if want.Map == nil {
			want.Map = map[string]string{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	f(`"br-int"`, all{Text: "br-int"})
	f(`5`, all{Int: 5, IsInt: true})
	f(`-1`, all{Int: -1, IsInt: true})
	f(`["set",[]]`, all{})
	f(`["set",[7]]`, all{Int: 7, IsInt: true})
	f(`["set",[7,8]]`, all{})
	f(`["uuid","6e1d4811-e91f-41fb-9f4b-bbe57880c17f"]`, all{UUIDs: []string{"6e1d4811-e91f-41fb-9f4b-bbe57880c17f"}})
	f(`["set",[["uuid","a"],["uuid","b"],["named-uuid","c"]]]`, all{UUIDs: []string{"a", "b"}})
	f(`["map",[["pod-name","web-0"],["pod-namespace","shop"]]]`, all{Map: map[string]string{"pod-name": "web-0", "pod-namespace": "shop"}})
	f(``, all{})
	f(`{}`, all{})
	f(`["map"]`, all{})
	f(`[1,2]`, all{})
}

// A server of one connection that answers as it is told.
func serve(t *testing.T, reply string) (path string, request chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "db.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	request = make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var got json.RawMessage
		if json.NewDecoder(conn).Decode(&got) == nil {
			request <- string(got)
		}
		_, _ = conn.Write([]byte(reply)) // read or not
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return path, request
}

func TestRead_Success(t *testing.T) {
	path, request := serve(t, `{"id":"echo","method":"echo","params":[]}
{"id":1,"error":null,"result":[{"rows":[{"name":"br-int","ports":["set",[]]}]},{"rows":[]}]}`)
	got, err := Read(t.Context(), path, "Open_vSwitch", Select{"Bridge", []string{"name", "ports"}}, Select{"Port", []string{"_uuid"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(got[0]) != 1 || got[0][0]["name"].Text() != "br-int" || len(got[1]) != 0 {
		t.Errorf("got %q", got)
	}
	want := `{"id":1,"method":"transact","params":["Open_vSwitch",{"columns":["name","ports"],"op":"select","table":"Bridge","where":[]},{"columns":["_uuid"],"op":"select","table":"Port","where":[]}]}`
	if diff := cmp.Diff(want, <-request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestRead_Failure(t *testing.T) {
	f := func(reply, want string) {
		t.Helper()
		path, _ := serve(t, reply)
		_, err := Read(t.Context(), path, "Open_vSwitch", Select{"Bridge", []string{"name"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", reply, want, err)
		}
	}
	f(`{"id":1,"error":"unknown database","result":null}`, "the server answers: \"unknown database\"")
	f(`{"id":1,"error":null,"result":[{"error":"unknown table","details":"No table named Bridge."}]}`, "on table Bridge: unknown table: No table named Bridge.")
	f(`{"id":1,"error":null,"result":[]}`, "the server answers nothing on table Bridge")
	f(`{"id":1,"error":null,"result":[null]}`, "the server answers nothing on table Bridge")
	f(`{"id":1,`, "unexpected EOF")
	f(``, "unexpected EOF")
	f(`[]`, "read the reply")
	if _, err := Read(t.Context(), filepath.Join(t.TempDir(), "none"), "Open_vSwitch"); err == nil {
		t.Error("no error without a server")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"id":1,"error":null,"result":[{"rows":[{"name":"br-int","ports":["set",[["uuid","a"]]],"external_ids":["map",[["a","b"]]]}]}]}`)
	f.Add(`{"id":0}{"id":1,"error":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := decode(strings.NewReader(text), []Select{{"Bridge", nil}})
		if err != nil {
			return
		}
		for _, row := range rows[0] {
			for _, v := range row { // nor panic
				v.Int()
				v.Text()
				v.UUIDs()
				v.Map()
			}
		}
	})
}
