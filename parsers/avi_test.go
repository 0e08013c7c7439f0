package parsers_test

import (
	"bytes"
	"encoding/json"
	"errors"
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

// BenchmarkAVI parses the sample lines of each definition, and the first
// request with all of its headers, beside encoding/json, which reads the same
// values of their objects and hides nothing.
func BenchmarkAVI(b *testing.B) {
	definitions := aviDefinitions(b)
	for i, name := range aviStreams {
		of := valuesOf(b, name)
		lines := slices.DeleteFunc(aviSample(b, name), func(line []byte) bool { return objectOf(line) == nil })
		b.Run(name, func(b *testing.B) { benchLines(b, lines, definitions[i:i+1], of) })
		if name == "avi-application" {
			b.Run("request", func(b *testing.B) { benchLines(b, lines[:1], definitions[i:i+1], of) })
			b.Run("stream", func(b *testing.B) { benchLines(b, lines[:1], definitions, of) })
		}
	}
}

func benchLines(b *testing.B, lines [][]byte, definitions []*parsers.Definition, of reflect.Type) {
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	run := func(name string, f func(line []byte)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size / len(lines)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f(lines[i%len(lines)])
			}
		})
	}
	parse := func(definitions ...*parsers.Definition) func(line []byte) {
		parser := parsers.NewParser(definitions...)
		r := parsers.Record{Scratch: new(parsers.Scratch)}
		var buffer []byte
		return func(line []byte) {
			r.Scratch.Reset()
			buffer = append(buffer[:0], line...)
			r.Line = buffer
			if err := parser.Parse(&r); err != nil {
				b.Fatal(err)
			}
		}
	}
	run("corkline", parse(definitions...))
	open := make([]*parsers.Definition, len(definitions))
	for i, d := range definitions {
		open[i] = d.Unredacted()
	}
	run("unredacted", parse(open...))
	bodies := map[string][]byte{}
	for _, line := range lines {
		bodies[string(line)] = objectOf(line)
	}
	run("encoding/json", func(line []byte) {
		err := json.Unmarshal(bodies[string(line)], reflect.New(of).Interface())
		var other *json.UnmarshalTypeError // such as 1 for true
		if err != nil && !errors.As(err, &other) {
			b.Fatal(err)
		}
	})
}

// objectOf gives the JSON object of a line, or nil.
func objectOf(line []byte) []byte {
	if at := bytes.IndexByte(line, '{'); at >= 0 && json.Valid(line[at:]) {
		return line[at:]
	}
	for at, c := range line {
		if c != '"' {
			continue
		}
		if object := append(append([]byte("{"), line[at:]...), '}'); json.Valid(object) {
			return object
		}
	}
	return nil
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
	i := slices.IndexFunc(form.Extract, func(e parsers.ExtractForm) bool { return e.JSON != nil })
	if i < 0 {
		b.Fatalf("%s has no step json", name)
	}
	leaves := map[string]reflect.Type{}
	for path, field := range form.Extract[i].JSON {
		leaves[path] = reflect.TypeFor[string]()
		if slices.Contains(form.Numbers, field) || slices.Contains(form.Ports, field) {
			leaves[path] = reflect.TypeFor[json.Number]()
		}
		if field == "adf" || field == "udf" {
			leaves[path] = reflect.TypeFor[bool]()
		}
	}
	return structOf(leaves)
}

// structOf gives a struct that paths lead through.
func structOf(leaves map[string]reflect.Type) reflect.Type {
	below := map[string]map[string]reflect.Type{}
	types := map[string]reflect.Type{}
	for path, leaf := range leaves {
		key, rest, nested := strings.Cut(path, ".")
		if !nested {
			types[key] = leaf
			continue
		}
		if below[key] == nil {
			below[key] = map[string]reflect.Type{}
		}
		below[key][rest] = leaf
	}
	for key, leaves := range below {
		types[key] = structOf(leaves)
	}
	var fields []reflect.StructField
	for i, key := range slices.Sorted(maps.Keys(types)) {
		name, of := key, types[key]
		for strings.HasSuffix(name, "[]") {
			name, of = strings.TrimSuffix(name, "[]"), reflect.SliceOf(of)
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: of, Tag: reflect.StructTag(`json:"` + name + `"`)})
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
