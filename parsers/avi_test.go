package parsers_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
	"github.com/corkline/corkline/samples"
	"pgregory.net/rapid"
)

// aviStreams are the definitions of a source that reads all that a Service
// Engine or Controller sends, in their order.
var aviStreams = []string{"avi-waf", "avi-dns", "avi-application", "avi-connection", "avi-event"}

func aviDefinitions(t testing.TB) []*parsers.Definition {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	var all []*parsers.Definition
	for _, name := range aviStreams {
		if set[name] == nil {
			t.Fatalf("no definition %s", name)
		}
		all = append(all, set[name])
	}
	return all
}

func aviSample(t testing.TB, name string) [][]byte {
	text, err := samples.Log(name)
	if err != nil {
		t.Fatal(err)
	}
	return lines(text)
}

// TestAVI_Routing holds that each line of a mixed stream is taken by its own
// definition.
func TestAVI_Routing(t *testing.T) {
	parser := parsers.NewParser(aviDefinitions(t)...)
	for _, name := range aviStreams {
		for _, line := range aviSample(t, name) {
			r := parsers.Record{Line: bytes.Clone(line)}
			if err := parser.Parse(&r); err != nil {
				t.Errorf("%s: %q: %s", name, line, err)
			} else if r.Definition.Name != name {
				t.Errorf("%s: %q is taken by %s", name, line, r.Definition.Name)
			}
		}
	}
}

// TestAVI_Cut holds that a line that was cut anywhere gives no field that the
// whole line does not have, and never shows a secret; all of those in the
// samples begin with the same word.
func TestAVI_Cut(t *testing.T) {
	const secret = "invent"
	// What is chosen of several others can be another one in a cut line.
	chosen := []string{"virtualservice", "pool", "server", "client_ip", "vs_ip", "time", "gslbservice", "member", "text", "tenant"}
	parser := parsers.NewParser(aviDefinitions(t)...)
	parser.Refer(reference().UnixNano())
	read := 0
	for _, name := range aviStreams {
		for _, line := range aviSample(t, name) {
			whole := parsers.Record{Line: bytes.Clone(line)}
			if err := parser.Parse(&whole); err != nil {
				t.Fatal(err)
			}
			want := whole.Result(time.Time{}).Fields
			for n := range line {
				r := parsers.Record{Line: bytes.Clone(line[:n])}
				err := parser.Parse(&r)
				if bytes.Contains(r.Line, []byte(secret)) {
					t.Fatalf("%q shows a secret: %q", line[:n], r.Line)
				}
				if err != nil {
					continue
				}
				read++
				for field, value := range r.Result(time.Time{}).Fields {
					if slices.Contains(chosen, field) || reflect.DeepEqual(value, want[field]) {
						continue
					}
					t.Fatalf("%q: %s is %v, not %v", line[:n], field, value, want[field])
				}
			}
		}
	}
	if read == 0 {
		t.Error("no cut line was read, so nothing was compared")
	}
}

// TestAVI_Random writes random requests in every head and form, and reads them.
func TestAVI_Random(t *testing.T) {
	definitions := aviDefinitions(t)
	application := definitions[slices.Index(aviStreams, "avi-application")]
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 20, -1)
		tag := rapid.StringMatching(`[A-Za-z][A-Za-z0-9._-]{0,9}( ?-- ?[a-z0-9.]{1,9})?`).Draw(t, "tag")
		at := time.Unix(0, rapid.Int64Range(0, 4e18).Draw(t, "time")).UTC().Truncate(time.Microsecond)
		strs, numbers := map[string]string{}, map[string]uint64{}
		members := map[string]any{
			"report_timestamp":    at.Format("2006-01-02T15:04:05.000000Z07:00"),
			"all_request_headers": map[string]any{"Cookie": "invented-1", text.Draw(t, "header"): text.Draw(t, "value"), "AUTHORIZATION": []string{"invented-2"}},
			"orig_uri":            "/?a=1&access_token=invented-3#x",
		}
		for key, field := range map[string]string{"uri_path": "uri_path", "user_agent": "user_agent", "host": "http_host", "service_engine": "service_engine", "pool_name": "pool", "server_name": "server"} {
			strs[field] = strings.Map(noAssignment, text.Draw(t, key))
			members[key] = strs[field]
		}
		for _, key := range []string{"persistent_session_id", "significant", "response_length", "total_time"} {
			numbers[key] = rapid.Uint64Range(0, math.MaxUint64).Draw(t, key)
			members[key] = numbers[key]
		}
		code := rapid.IntRange(100, 599).Draw(t, "code")
		members["response_code"], strs["code_class"] = code, strconv.Itoa(code/100)+"xx"
		members["adf"] = rapid.SampledFrom([]any{true, 1}).Draw(t, "adf")
		strs["adf"], strs["virtualservice"] = "true", tag

		body := object(t, members)
		bare := body[1:len(body)-1] + `,"vs_ip":"203.0.113.1"` // a number at the end may be cut
		line := rapid.SampledFrom([]string{
			"Nov  5 09:30:12 AVI-CONTROLLER " + tag + "[0]: " + body,
			"<134>Nov 15 09:30:12 avi.example.com " + tag + ": " + body,
			"<134>1 2024-11-05T09:30:12Z se-1 " + tag + " 7 8 - " + body,
			"<134>1 2024-11-05T09:30:12Z se-1 " + tag + " 7 8 - " + bare,
			"<134>1 2024-11-05T09:30:12Z se-1 " + tag + ` - - [a@1 b="]\"{"][c@1] ` + "\ufeff" + body,
			"<134>1 2024-11-05T09:30:12Z se-1 " + tag + ` - - [a@1 b="]\"{"][c@1] ` + "\ufeff" + bare,
			`{"vs_name":"` + tag + `",` + bare + "}",
		}).Draw(t, "line")

		r := parsers.Record{Line: []byte(line)}
		if err := parsers.NewParser(definitions...).Parse(&r); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if r.Definition != application {
			t.Fatalf("%q is taken by %s", line, r.Definition.Name)
		}
		if fits := application.Fits([]byte(line)); len(fits) != 1 {
			t.Fatalf("%q fits the layouts %v", line, fits)
		}
		if r.Time != at.UnixNano() {
			t.Errorf("%q is of %s", line, time.Unix(0, r.Time).UTC())
		}
		for field, want := range strs {
			if got := r.Value(application.FieldIndex(field)); string(got) != want {
				t.Errorf("%q: %s is %q, not %q", line, field, got, want)
			}
		}
		for field, want := range numbers {
			if got := r.Value(application.FieldIndex(field)); string(got) != strconv.FormatUint(want, 10) {
				t.Errorf("%q: %s is %s, not %d", line, field, got, want)
			}
		}
		if bytes.Contains(r.Line, []byte("invented")) {
			t.Errorf("%q shows a secret: %q", line, r.Line)
		}
	})
}

// noAssignment leaves out what could make a text hold a parameter or a header.
func noAssignment(c rune) rune {
	if c == '=' || c == ':' || c == utf8Error {
		return '.'
	}
	return c
}

const utf8Error = '\uFFFD'

// object writes members in a random order.
func object(t *rapid.T, members map[string]any) string {
	var parts []string
	for _, key := range rapid.Permutation(slices.Sorted(maps.Keys(members))).Draw(t, "order") {
		value, err := json.Marshal(members[key])
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strconv.Quote(key)+":"+string(value))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// BenchmarkAVI parses a request with all of its headers, beside encoding/json,
// which reads the same values and hides nothing.
func BenchmarkAVI(b *testing.B) {
	definitions := aviDefinitions(b)
	line := aviSample(b, "avi-application")[0]
	run := func(name string, parser *parsers.Parser) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			r := parsers.Record{Scratch: new(parsers.Scratch)}
			var buffer []byte
			for b.Loop() {
				r.Scratch.Reset()
				buffer = append(buffer[:0], line...)
				r.Line = buffer
				if err := parser.Parse(&r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("application", parsers.NewParser(definitions[slices.Index(aviStreams, "avi-application")]))
	run("stream", parsers.NewParser(definitions...))
	b.Run("encoding/json", func(b *testing.B) {
		of := valuesOf(b, "avi-application")
		body := line[bytes.IndexByte(line, '{'):]
		b.SetBytes(int64(len(line)))
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(body, reflect.New(of).Interface()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// valuesOf gives a struct of the JSON values that a definition reads.
func valuesOf(b *testing.B, name string) reflect.Type {
	text, err := os.ReadFile("definitions/" + name + ".yaml")
	if err != nil {
		b.Fatal(err)
	}
	var form parsers.Form
	if _, faults := strict.Decode(name, text, &form); len(faults) > 0 {
		b.Fatal(faults.Err())
	}
	paths := form.Extract[0].JSON
	var fields []reflect.StructField
	for i, path := range slices.Sorted(maps.Keys(paths)) {
		of := reflect.TypeFor[string]()
		key, list := strings.CutSuffix(path, "[]")
		switch {
		case list:
			of = reflect.TypeFor[[]string]()
		case slices.Contains(form.Numbers, paths[path]), slices.Contains(form.Ports, paths[path]):
			of = reflect.TypeFor[uint64]()
		case key == "adf" || key == "udf":
			of = reflect.TypeFor[bool]()
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: of, Tag: reflect.StructTag(`json:"` + key + `"`)})
	}
	return reflect.StructOf(fields)
}

// A definition that hides nothing leaves each line as it is, and reads it as
// the other does; that one is as it was.
func TestUnredacted(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	hidden := 0
	for name, d := range set {
		open, closed := d.Unredacted().NewParser(), d.NewParser()
		for _, record := range records(d, bytes.Join(aviSample(t, name), []byte("\n"))) {
			a := parsers.Record{Line: bytes.Clone(record.Text), Carried: record.Time, Header: record.Header}
			b := a
			b.Line = bytes.Clone(record.Text)
			if err := open.Parse(&a); err != nil || !bytes.Equal(a.Line, record.Text) {
				t.Errorf("%s: %q became %q, %v", name, record.Text, a.Line, err)
			}
			if err := closed.Parse(&b); err != nil || b.Layout.Name != a.Layout.Name {
				t.Errorf("%s: %q: layout %v, %v", name, record.Text, b.Layout, err)
			}
			if !bytes.Equal(a.Line, b.Line) {
				hidden++
			}
		}
	}
	if hidden == 0 {
		t.Error("no sample has a secret")
	}
}
