package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNewJSONPlan_Faults(t *testing.T) {
	f := func(want string, paths ...string) {
		t.Helper()
		fields := map[string]int{}
		for i, path := range paths {
			fields[path] = i
		}
		if _, err := newJSONPlan(fields, nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v", paths, err)
		}
	}
	f(`reading path "": empty key`, "")
	f(`reading path "a.": empty key`, "a.")
	f(`reading path ".a": empty key`, ".a")
	f(`reading path "a..b": empty key`, "a..b")
	f(`reading path "[]": empty key`, "[]")
	f(`reading path "a.[].b": empty key`, "a.[].b")
	f(`reading path "a[": "[" without "]"`, "a[")
	f(`reading path "a[0]": "[" without "]"`, "a[0]")
	f(`reading path "a]": "]" without "["`, "a]")
	f(`reading path "a[]b": neither "." nor the end behind "[]"`, "a[]b")
	f(`reading path "a[].{b/c": { needs "[]." before it and "}" at the end`, "a[].{b/c")
	f(`reading path "a.{b/c}": { needs "[]." before it and "}" at the end`, "a.{b/c}")
	f(`reading path "a[].{b/}": empty key`, "a[].{b/}")
	f(`reading path "a[].{b.c/d}": { } takes keys with slashes between`, "a[].{b.c/d}")
	f(`reading path "a\\": nothing behind "\"`, `a\`)
	f(`paths "\\a" and "a" lead to the same value`, "a", `\a`)
	if _, err := newJSONPlan(map[string]int{"a": 1, "b": 1}, nil); err == nil {
		t.Error("two paths lead to one field")
	}
}

// walked is what the walk of an object within a line came to.
type walked struct {
	line   string // the part of the object
	values map[string]string
	err    error
}

// walk walks a text that stands in a line, behind which there is another one,
// and then in the scratch, which must give the same. It does so twice, for the
// second time the walker knows the keys.
func walk(t interface {
	Helper()
	Fatalf(string, ...any)
}, paths []string, hide *secrets, text string,
) walked {
	t.Helper()
	fields := map[string]int{}
	for i, path := range paths {
		fields[path] = i + 1
	}
	plan, err := newJSONPlan(fields, hide)
	if err != nil {
		t.Fatalf("%v", err)
	}
	w := plan.newWalker()
	const head, tail, next = "head: ", " tail", "\nthe next line"
	var first walked
	for i, scratch := range []bool{false, false, true} {
		r := Record{Spans: make([]Span, len(paths)+1), Scratch: &Scratch{}}
		memory := []byte(head + text + tail + next)
		r.Line = memory[:len(head+text+tail)]
		r.Scratch.add("before")
		s := Span{int32(len(head)), int32(len(head + text))}
		if scratch {
			s = r.Scratch.add(text)
			r.Scratch.add("behind")
		}
		got := walked{values: map[string]string{}}
		s, got.err = w.walk(&r, s)
		got.line = string(r.Text(s))
		for j, path := range paths {
			if value := r.Value(j + 1); len(value) > 0 {
				got.values[path] = string(value)
			}
		}
		if scratch {
			if scratch := string(r.Scratch.bytes); !strings.HasPrefix(scratch, "before"+got.line) || !strings.Contains(scratch, "behind") {
				t.Fatalf("%q: the scratch holds %q", text, scratch)
			}
		} else if string(r.Line) != head+got.line+tail || !strings.HasSuffix(string(memory), next) {
			t.Fatalf("%q: the line became %q, with %q behind it", text, r.Line, memory[len(r.Line):])
		}
		if got.err != nil && (got.line != text || len(got.values) > 0) {
			t.Fatalf("%q: error %v, and yet line %q, values %q", text, got.err, got.line, got.values)
		}
		if i == 0 {
			first = got
		} else if fmt.Sprint(got.err) != fmt.Sprint(first.err) || got.line != first.line || !maps.Equal(got.values, first.values) {
			t.Fatalf("%q: first %+v, walk %d %+v", text, first, i, got)
		}
	}
	return first
}

func TestWalk(t *testing.T) {
	f := func(text string, pathsAndValues ...string) {
		t.Helper()
		var paths []string
		want := map[string]string{}
		for i := 0; i < len(pathsAndValues); i += 2 {
			path, value := pathsAndValues[i], pathsAndValues[i+1]
			paths = append(paths, path)
			if value != "" {
				want[path] = value
			}
		}
		got := walk(t, paths, nil, text)
		if got.err != nil {
			t.Errorf("%s: %v", text, got.err)
		} else if diff := cmp.Diff(want, got.values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		} else if got.line != text {
			t.Errorf("%s became %s", text, got.line)
		}
	}
	f(`{}`, "a", "")
	f(" \t\r\n{ \"a\" : 1 } \n", "a", "1")
	f(`{"persistent_session_id":6263450610539110790,"b":-0.5e+10,"t":true,"f":false}`,
		"persistent_session_id", "6263450610539110790", "b", "-0.5e+10", "t", "true", "f", "false")
	f(`{"a":null,"b":"","A":1}`, "a", "", "b", "", "c", "")
	f(`{"a":"x","a":"y"}`, "a", "y")
	f(`{"a":"x","a":null}`, "a", "")
	f(`{"a":{"b":1,"c":2},"a":{"b":3}}`, "a.b", "3", "a.c", "", "a", `{"b":3}`)
	f(`{"a":{"b":1},"a":5}`, "a.b", "", "a", "5")
	f(`{"client_insights":"","jwt_log":{"is_jwt_verified":false}}`, "client_insights", "", "jwt_log", `{"is_jwt_verified":false}`, "jwt_log.is_jwt_verified", "false")
	// Without braces.
	f(`"a":1,"b":{"c":"x"}`, "a", "1", "b.c", "x")
	f(` "a" : 1 , "b" : [ ] `, "a", "1", "b", "[ ]")
	f(`"a":1,"b":23 `, "a", "1", "b", "23")
	f(`"a":1,"b":23`, "a", "1", "b", "") // which may have been 234
	f(`"b":1,"b":23`, "b", "")
	f(`"a":1,"b":true`, "a", "1", "b", "true")
	// Arrays.
	f(`{"dns_ips":["192.0.2.1","192.0.2.2",null,"",5]}`, "dns_ips[]", "192.0.2.1,192.0.2.2,5", "dns_ips", `["192.0.2.1","192.0.2.2",null,"",5]`)
	f(`{"dns_ips":["192.0.2.1"]}`, "dns_ips[]", "192.0.2.1")
	f(`{"a":["x,y","z"],"b":["x,y"],"c":["\u002c","\n"]}`, "a[]", "x;y,z", "b[]", "x;y", "c[]", ";,\n")
	f(`{"dns_response":{"records":[{"addr_ip_str":"192.0.2.1","ttl":5},{"ttl":6},{"addr_ip_str":"192.0.2.3"}]}}`,
		"dns_response.records[].addr_ip_str", "192.0.2.1,192.0.2.3", "dns_response.records[].ttl", "5,6")
	f(`{"a":[[1,2],[3]],"b":[{"c":[{"d":1},{"d":2}]},{"c":[{"d":3}]}]}`, "a[]", "[1;2],[3]", "a[][]", "1,2,3", "b[].c[].d", "1,2,3")
	f(`{"a":[1],"a":[2,3]}`, "a[]", "2,3")
	f(`{"r":[{"a":1,"a":2},{"b":[1,2],"b":[3]},{"b":[4]}]}`, "r[].a", "2", "r[].b[]", "3,4")
	f(`{"a":{"b":1},"c":[{"d":2}]}`, "a[].b", "", "c.d", "", "a[]", "", "c", `[{"d":2}]`)
	// Several values of each element, as far as they are there, with the last.
	f(`{"a":[{"n":"x","m":"1"},{"m":"2"},{"n":"y"},{},null,{"m":"3,4","n":"z,"},"x"],"b":[{"n":"u"}]}`, "a[].{n/m}", "x/1,2,z;/3;4", "a[].n", "x,y,z;", "b[].{n/m}", "")
	f(`{"a":[{"n":"x","m":"1","n":"y"},{"m":"2","m":null}],"b":{"c":[{"n":1,"m":[1,2],"k":true}]}}`, "a[].{n/m}", "y/1", "b.c[].{n/k/m}", "1/true/[1;2]", "a[]", `{"n":"x";"m":"1";"n":"y"},{"m":"2";"m":null}`)
	f(`{"a":[{"n":"x","m":"1"}],"a":[{"n":"y","m":"2"}]}`, "a[].{n/m}", "y/2")
	// Keys.
	f(`{"a.b":{"c[]":1,"d\\":2},"a":{"b":3}}`, `a\.b.c\[\]`, "1", `a\.b.d\\`, "2", "a.b", "3")
	f(`{"\u0061":1,"b\"c":2,"":3}`, "a", "1", `b"c`, "2")
	f(`{"a\":1,\"b":2}`, `a":1,"b`, "2", "b", "")
	f(`{"a":1,"b":2}`, `a":1,"b`, "", "b", "2")
	// Strings.
	f(`{"a":"\"\\\/\b\f\n\r\tx"}`, "a", "\"\\/\b\f\n\r\tx")
	f(`{"a":"\u00e9\u20AC\ud83d\ude00\ud83d","b":"\ude00x","c":"\ud83d\u0041","d":"é€😀"}`, "a", "é€😀\ufffd", "b", "\ufffdx", "c", "\ufffdA", "d", "é€😀")

	var deep strings.Builder
	deep.WriteString(`{"a":`)
	deep.WriteString(strings.Repeat("[", maxLevels-1) + strings.Repeat("]", maxLevels-1) + "}")
	f(deep.String(), "b", "")
}

func TestWalk_Errors(t *testing.T) {
	f := func(text string, offset int, expected string) {
		t.Helper()
		got := walk(t, []string{"a", "b"}, nil, text)
		var err *jsonError
		if !errors.As(got.err, &err) || *err != (jsonError{offset, expected, offset == len(text)}) {
			t.Errorf("%q: %+v", text, got.err)
		} else if strings.Contains(err.Error(), "cut off") != err.cut {
			t.Errorf("%q: %v", text, err)
		}
	}
	const (
		object = "a comma or the end of the object"
		array  = "a comma or the end of the array"
	)
	f(``, 0, "an object")
	f(`  `, 2, "an object")
	f(`[]`, 0, "an object")
	f(`true`, 0, "an object")
	f(`{`, 1, "a key")
	f(`{a:1}`, 1, "a key")
	f(`{,}`, 1, "a key")
	f(`{"a"`, 4, "a colon")
	f(`{"a",`, 4, "a colon")
	f(`"a"`, 3, "a colon")
	f(`{"a":`, 5, "a value")
	f(`{"a": `, 6, "a value")
	f(`{"a":}`, 5, "a value")
	f(`{"a":+1}`, 5, "a value")
	f(`{"a":1`, 6, object)
	f(`{"a":1;`, 6, object)
	f(`{"a":1]`, 6, object)
	f(`"a":1}`, 5, object)
	f(`"a":1,`, 6, "a key")
	f(`{"a":1,}`, 7, "a key")
	f(`{"a":1} x`, 8, "nothing behind the object")
	f(`{"a":1}{`, 7, "nothing behind the object")
	f(`{"a":[1`, 7, array)
	f(`{"a":[1,]}`, 8, "a value")
	f(`{"a":[1}`, 7, array)
	f(`{"a":01}`, 6, object)
	f(`{"a":-}`, 6, "a digit")
	f(`{"a":1.}`, 7, "a digit")
	f(`{"a":1.`, 7, "a digit")
	f(`{"a":1e+`, 8, "a digit")
	f(`{"a":1ex`, 7, "a digit")
	f(`{"a":.5}`, 5, "a value")
	f(`{"a":tru`, 8, "true")
	f(`{"a":trux}`, 8, "true")
	f(`{"a":nul}`, 8, "null")
	f(`{"a":"x`, 7, "the end of the string")
	f(`{"a":"\`, 7, "an escaped character")
	f(`{"a":"\x"}`, 7, "an escaped character")
	f(`{"a":"\u12`, 10, "a hexadecimal digit")
	f(`{"a":"\u12g4"}`, 10, "a hexadecimal digit")
	f("{\"a\":\"1234567\n89012345\"}", 13, "no control character in a string")
	f("{\"a\x00\":1}", 3, "no control character in a string")
	f(`{"a":`+strings.Repeat("[", maxLevels)+`]`, 5+maxLevels-1, "no deeper level")
	f(strings.Repeat(`{"a":`, maxLevels+1)+`1`, 5*maxLevels, "no deeper level")
}

// A field that the object has no value for may have one from elsewhere.
func TestWalk_LeavesOtherFields(t *testing.T) {
	plan, err := newJSONPlan(map[string]int{"vs_name": 0, "host": 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Line: []byte(`shop: {"host":"shop.example","vs_name":""}`), Spans: []Span{{0, 4}, {0, 4}, {}}, Scratch: &Scratch{}}
	if _, err := plan.newWalker().walk(&r, Span{6, int32(len(r.Line))}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Span{{0, 4}, {0, 4}, {15, 27}}, r.Spans); diff != "" {
		t.Error(diff)
	}
}

// What is learned of an object has an end, and it is read right beyond it.
func TestWalk_ManyKeys(t *testing.T) {
	plan, err := newJSONPlan(map[string]int{"last": 0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := plan.newWalker()
	for i := range 10 {
		var text strings.Builder
		text.WriteByte('{')
		for j := range 100 {
			fmt.Fprintf(&text, `"key%d-%d":%d,`, i, j, j)
		}
		fmt.Fprintf(&text, `"%s":1,"last":%d}`, strings.Repeat("x", maxKey+1), i)
		r := Record{Line: []byte(text.String()), Spans: make([]Span, 1), Scratch: &Scratch{}}
		if _, err := w.walk(&r, Span{0, int32(len(r.Line))}); err != nil {
			t.Fatal(err)
		}
		if got := string(r.Value(0)); got != fmt.Sprint(i) {
			t.Errorf("line %d: %q", i, got)
		}
	}
	if n := len(w.objects[0].members); n != maxMembers {
		t.Errorf("%d members are known", n)
	}
}

// paths that are compared with encoding/json, and their steps.
var paths = map[string][]string{
	"a": {"a"}, "b": {"b"}, "é": {"é"},
	"a.b": {"a", "b"}, "a.a.b": {"a", "a", "b"}, "c.a": {"c", "a"},
	"a[]": {"a", "[]"}, "c[]": {"c", "[]"}, "c[][]": {"c", "[]", "[]"},
	"c[].a": {"c", "[]", "a"}, "c[].b[]": {"c", "[]", "b", "[]"}, "c[].b[].a": {"c", "[]", "b", "[]", "a"},
	"c[].{a/b}": {"c", "[]", "{a/b}"}, "c[].b[].{b/a/c}": {"c", "[]", "b", "[]", "{b/a/c}"},
	`q\.r\".a`: {`q.r"`, "a"},
}

// reference gives by encoding/json what walk should keep.
func reference(text string) map[string]string {
	values := map[string]string{}
	for path, steps := range paths {
		found := follow(json.RawMessage(text), steps)
		if slices.Contains(steps, "[]") {
			for i := range found {
				found[i] = strings.ReplaceAll(found[i], ",", ";")
			}
		}
		if len(found) > 0 {
			values[path] = strings.Join(found, ",")
		}
	}
	return values
}

func follow(value json.RawMessage, steps []string) (found []string) {
	if len(steps) == 0 {
		text := string(value)
		if value[0] == '"' {
			if err := json.Unmarshal(value, &text); err != nil {
				panic(err)
			}
		}
		if text != "" && text != "null" {
			found = append(found, text)
		}
		return found
	}
	if steps[0] == "[]" {
		var elements []json.RawMessage
		if json.Unmarshal(value, &elements) == nil {
			for _, element := range elements {
				found = append(found, follow(element, steps[1:])...)
			}
		}
		return found
	}
	if keys, tuple := strings.CutPrefix(steps[0], "{"); tuple {
		keys := strings.Split(strings.TrimSuffix(keys, "}"), "/")
		var parts []string
		for i, key := range keys {
			part := follow(value, []string{key})
			if parts = append(parts, part...); i == len(keys)-1 && len(part) > 0 {
				found = []string{strings.Join(parts, "/")}
			}
		}
		return found
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) == nil {
		if member, ok := members[steps[0]]; ok {
			found = follow(member, steps[1:])
		}
	}
	return found
}

// drawJSON draws the text of any value.
func drawJSON(t *rapid.T, depth int) string {
	blank := rapid.SampledFrom([]string{"", "", "", " ", "\t\r\n "})
	str := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b,", "=", "?", "é", "😀", "{", "]", `\"`, `\\`, `\/`, `\b\f\n\r\t`, `\u0061`, `\uD83D\ude00`, `\ud83d`, `\ude00`, "long enough for a word"}), 0, 6)
	key := rapid.SampledFrom([]string{"a", "a", "b", "b", "c", "c", "é", `q.r\"`, `\u0061`, `\u00e9`, "x", ""})
	kinds := []string{"string", "string", "number", "true", "false", "null", `""`}
	if depth < 4 {
		kinds = append(kinds, "object", "object", "object", "array", "array")
	}
	if depth == 0 {
		kinds = []string{"object"}
	}
	list := func(open, end string, element func() string) string {
		var elements []string
		for range rapid.IntRange(0, 5).Draw(t, "elements") {
			elements = append(elements, blank.Draw(t, "blank")+element()+blank.Draw(t, "blank"))
		}
		return open + strings.Join(elements, ",") + end
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "object":
		return list("{", "}", func() string {
			return `"` + key.Draw(t, "key") + `"` + blank.Draw(t, "blank") + ":" + blank.Draw(t, "blank") + drawJSON(t, depth+1)
		})
	case "array":
		return list("[", "]", func() string { return drawJSON(t, depth+1) })
	case "string":
		return `"` + strings.Join(str.Draw(t, "string"), "") + `"`
	case "number":
		return rapid.SampledFrom([]string{"0", "-0", "7", "18446744073709551615", "1.50", "-1e9", "2E-05", "0.1e+1"}).Draw(t, "number")
	default:
		return kind
	}
}

func TestWalk_EqualsEncodingJSON(t *testing.T) {
	all := slices.Sorted(maps.Keys(paths))
	rapid.Check(t, func(t *rapid.T) {
		text := drawJSON(t, 0)
		got := walk(t, all, nil, text)
		if got.err != nil {
			t.Fatalf("%s: %v", text, got.err)
		}
		if diff := cmp.Diff(reference(text), got.values); diff != "" {
			t.Fatalf("%s (-encoding/json +got):\n%s", text, diff)
		}
		// The text is cut off wherever it is cut.
		cut := text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]
		var err *jsonError
		if errors.As(walk(t, nil, nil, cut).err, &err); err == nil || !err.cut {
			t.Fatalf("%s: %v", cut, err)
		}
	})
}

func FuzzWalk(f *testing.F) {
	for _, text := range []string{
		`{"a":{"b":[1,-2.5e3,true,null]},"c":[{"a":"\u0061\ud83d\ude00"},{"b":[{"a":1},2]}],"q.r\"":{"a":"x"}}`,
		`"a":1,"b":"x"`, `{"a":1}x`, ` { } `, "{\"a\":\"\x00\"}", `{"a":"\ud800\u0041","a":{}}`, `{"a":tru`,
	} {
		f.Add(text)
	}
	all := slices.Sorted(maps.Keys(paths))
	f.Fuzz(func(t *testing.T, text string) {
		got := walk(t, all, nil, text)
		object := text
		if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), `"`) {
			object = "{" + text + "}"
		}
		isObject := strings.HasPrefix(strings.TrimLeft(object, " \t\r\n"), "{") && json.Valid([]byte(object))
		var err *jsonError
		if errors.As(got.err, &err) {
			if isObject && err.expected != "no deeper level" {
				t.Fatalf("%q: %v", text, err)
			}
			if err.offset < 0 || err.offset > len(text) || err.cut != (err.offset == len(text)) {
				t.Fatalf("%q: %+v", text, err)
			}
			return
		}
		if !isObject {
			t.Fatalf("%q was taken", text)
		}
		if got.line != text {
			t.Fatalf("%q became %q", text, got.line)
		}
		if !utf8.ValidString(text) {
			return // of which encoding/json changes more
		}
		if object != text && isDigit(text[len(text)-1]) {
			object = object[:len(object)-1] + " }" // where the number ends
			if again := walk(t, all, nil, text+" "); !maps.Equal(again.values, reference(object)) || len(got.values) > len(again.values) {
				t.Fatalf("%s: %q, and %q when its end is known", text, got.values, again.values)
			}
			return
		}
		if diff := cmp.Diff(reference(object), got.values); diff != "" {
			t.Fatalf("%s (-encoding/json +got):\n%s", text, diff)
		}
	})
}

// A number that may have been cut is no value, and the record tells so.
func TestWalk_OpenNumber(t *testing.T) {
	f := func(text string, want Flags) {
		t.Helper()
		plan, err := newJSONPlan(map[string]int{"a": 0, "b": 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := Record{Line: []byte(text), Spans: make([]Span, 2), Scratch: &Scratch{}, Flags: InvalidUTF8}
		if _, err := plan.newWalker().walk(&r, Span{0, int32(len(text))}); err != nil {
			t.Fatal(err)
		}
		if r.Flags != want|InvalidUTF8 {
			t.Errorf("%s: flags %b", text, r.Flags)
		}
	}
	f(`"b":1,"a":-2.5e7`, Truncated)
	f(`"b":1,"c":2`, Truncated)
	f(`"b":1,"a":2 `, 0)
	f(`"b":1,"a":"2"`, 0)
	f(`"a":{"b":1}`, 0)
	f(`{"b":1,"a":2}`, 0)
}

func TestWalk_Allocations(t *testing.T) {
	w, r := newL7Walk(t, testSecrets())
	text := l7Line()
	line := slices.Clone(text)
	if n := testing.AllocsPerRun(100, func() {
		r.Line = line[:copy(line[:cap(line)], text)]
		r.Scratch.Reset()
		if _, err := w.walk(r, Span{0, int32(len(r.Line))}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(r.Line) >= len(l7Line()) || !bytes.Contains(r.Line, []byte(`"Cookie":"[redacted]"`)) {
		t.Errorf("the line became %s", r.Line)
	}
}

// l7Line is a request as AVI streams it, with most of the keys that one has
// (AVI SDK: ApplicationLog), in 3.3 KB.
func l7Line() []byte {
	return []byte(strings.NewReplacer("\n", "", "\t", "").Replace(`{
	"adf":true,"significant":0,"udf":false,"virtualservice":"virtualservice-5b1c2b9e-6b0f-4c5e-9f4e-0d6d5a4b3c21",
	"report_timestamp":"2026-05-26T17:40:01.744394Z","service_engine":"se-group-a-se-kqzvp","vcpu_id":1,"log_id":48213,
	"client_ip":"192.0.2.17","client_src_port":51724,"client_dest_port":443,"client_rtt":11,"ssl_version":"TLSv1.3",
	"ssl_cipher":"TLS_AES_256_GCM_SHA384","sni_hostname":"shop.example.com","http_version":"2.0","method":"GET",
	"uri_path":"/catalog/items/4711","uri_query":"page=3&sort=price&token=5f2b7c1e9d8a4630","referer":"https://shop.example.com/catalog?page=2",
	"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","client_browser":"Firefox 140",
	"client_os":"Linux","client_device":"Other","client_location":"Internal","host":"shop.example.com","etag":"W/\"1f3a-Zk8Yp0cQnXw2\"",
	"persistent_session_id":6263450610539110790,"request_content_type":"","response_content_type":"application/json; charset=utf-8",
	"request_length":913,"cacheable":true,"cache_hit":false,"http_security_policy_rule_name":"rate-limit-per-client",
	"http_request_policy_rule_name":"route-catalog","pool":"pool-0c4f7f0e-2c83-4d05-8f4e-7a3f1d2b6c55",
	"pool_name":"cluster-1--shop-catalog-8080","server_ip":"198.51.100.23","server_name":"198.51.100.23",
	"server_conn_src_ip":"198.51.100.4","server_dest_port":8080,"server_src_port":33718,"server_rtt":1,
	"server_response_length":18734,"server_response_code":200,"server_response_time_first_byte":42,
	"server_response_time_last_byte":57,"response_length":19021,"response_code":200,"response_time_first_byte":53,
	"response_time_last_byte":68,"app_response_time":41,"data_transfer_time":15,"total_time":79,"conn_est_time_fe":0,"conn_est_time_be":1,
	"compression_percentage":0,"compression":"NO_COMPRESSION_CAN_BE_COMPRESSED","client_insights":"","request_headers":1091,
	"response_headers":2060,"request_state":"AVI_HTTP_REQUEST_STATE_SEND_RESPONSE_HEADER_TO_CLIENT","significant_log":[],
	"all_request_headers":{"Host":"shop.example.com","User-Agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Accept":"application/json","Accept-Language":"pt-PT,pt;q=0.8","Accept-Encoding":"gzip, br",
	"Cookie":"session=8c5fd0a7b1e94d23; theme=dark","Referer":"https://shop.example.com/catalog?page=2"},
	"all_response_headers":{"Content-Type":"application/json; charset=utf-8","Content-Length":18734,
	"Cache-Control":"public, max-age=0","ETag":"W/\"1f3a-Zk8Yp0cQnXw2\"","Vary":"Accept-Encoding","Date":"Tue, 26 May 2026 17:40:01 GMT",
	"Set-Cookie":"session=8c5fd0a7b1e94d23; Path=/; HttpOnly","Strict-Transport-Security":"max-age=31536000"},
	"headers_sent_to_server":{"X-Forwarded-For":"192.0.2.17","Host":"shop.example.com","Connection":"keep-alive",
	"Authorization":"Bearer c2VjcmV0LW9mLXRoZS1zaG9w","X-Forwarded-Proto":"https"},
	"headers_received_from_server":{"Content-Type":"application/json; charset=utf-8","Content-Length":18734,
	"Date":"Tue, 26 May 2026 17:40:01 GMT","Keep-Alive":"timeout=5"},
	"server_connection_reused":true,"vs_ip":"203.0.113.80","waf_log":{"status":"PASSED","latency_request_header_phase":287,
	"latency_request_body_phase":12,"latency_response_header_phase":40,"latency_response_body_phase":0,"rules_configured":true,
	"psm_configured":false,"application_rules_configured":false,"allowlist_configured":false,"allowlist_processed":false,
	"rules_processed":true,"psm_processed":false,"application_rules_processed":false},
	"request_id":"kZ3-9f2c1d-Qm7x","servers_tried":1,"vs_name":"cluster-1--shop.example.com","jwt_log":{"is_jwt_verified":false}}`))
}

// l7 has the fields that are kept of l7Line().
type l7 struct {
	ADF                  bool        `json:"adf"`
	Significant          uint64      `json:"significant"`
	VirtualService       string      `json:"virtualservice"`
	ReportTimestamp      string      `json:"report_timestamp"`
	ServiceEngine        string      `json:"service_engine"`
	ClientIP             string      `json:"client_ip"`
	ClientSrcPort        uint32      `json:"client_src_port"`
	ClientDestPort       uint32      `json:"client_dest_port"`
	ClientRTT            uint32      `json:"client_rtt"`
	SSLVersion           string      `json:"ssl_version"`
	SSLCipher            string      `json:"ssl_cipher"`
	SNIHostname          string      `json:"sni_hostname"`
	HTTPVersion          string      `json:"http_version"`
	Method               string      `json:"method"`
	URIPath              string      `json:"uri_path"`
	URIQuery             string      `json:"uri_query"`
	UserAgent            string      `json:"user_agent"`
	Host                 string      `json:"host"`
	ETag                 string      `json:"etag"`
	PersistentSessionID  json.Number `json:"persistent_session_id"`
	ResponseContentType  string      `json:"response_content_type"`
	RequestLength        uint64      `json:"request_length"`
	CacheHit             bool        `json:"cache_hit"`
	Pool                 string      `json:"pool"`
	PoolName             string      `json:"pool_name"`
	ServerIP             string      `json:"server_ip"`
	ServerDestPort       uint32      `json:"server_dest_port"`
	ServerRTT            uint32      `json:"server_rtt"`
	ServerResponseLength uint64      `json:"server_response_length"`
	ServerResponseCode   uint32      `json:"server_response_code"`
	ResponseLength       uint64      `json:"response_length"`
	ResponseCode         uint32      `json:"response_code"`
	FirstByte            uint64      `json:"response_time_first_byte"`
	LastByte             uint64      `json:"response_time_last_byte"`
	AppResponseTime      uint64      `json:"app_response_time"`
	TotalTime            uint64      `json:"total_time"`
	RequestID            string      `json:"request_id"`
	VSIP                 string      `json:"vs_ip"`
	VSName               string      `json:"vs_name"`
	WAFLog               struct {
		Status string `json:"status"`
	} `json:"waf_log"`
}

// l7Paths are the fields of l7, in its order.
func l7Paths() []string {
	return strings.Fields(`adf significant virtualservice report_timestamp service_engine client_ip client_src_port client_dest_port
	client_rtt ssl_version ssl_cipher sni_hostname http_version method uri_path uri_query user_agent host etag persistent_session_id
	response_content_type request_length cache_hit pool pool_name server_ip server_dest_port server_rtt server_response_length
	server_response_code response_length response_code response_time_first_byte response_time_last_byte app_response_time total_time
	request_id vs_ip vs_name waf_log.status`)
}

func newL7Walk(t testing.TB, hide *secrets) (*jsonWalker, *Record) {
	fields := map[string]int{}
	for i, path := range l7Paths() {
		fields[path] = i
	}
	plan, err := newJSONPlan(fields, hide)
	if err != nil {
		t.Fatal(err)
	}
	return plan.newWalker(), &Record{Spans: make([]Span, len(l7Paths())), Scratch: &Scratch{}}
}

func TestWalk_L7(t *testing.T) {
	w, r := newL7Walk(t, nil)
	r.Line = l7Line()
	if _, err := w.walk(r, Span{0, int32(len(r.Line))}); err != nil {
		t.Fatal(err)
	}
	var want l7
	if err := json.Unmarshal(l7Line(), &want); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("{%s", r.Value(0))
	for i := range len(l7Paths()) - 2 {
		got += " " + string(r.Value(i+1))
	}
	got += fmt.Sprintf(" {%s}}", r.Value(len(l7Paths())-1))
	if want := fmt.Sprint(want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// BenchmarkWalk is to be read beside BenchmarkUnmarshal, which keeps the same
// values of the same line. Both copies of a line that is redacted are in it.
func BenchmarkWalk(b *testing.B) {
	for name, hide := range map[string]*secrets{"plain": nil, "redacted": testSecrets()} {
		b.Run(name, func(b *testing.B) {
			w, r := newL7Walk(b, hide)
			text := l7Line()
			line := slices.Clone(text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r.Line = line[:copy(line[:cap(line)], text)]
				r.Scratch.Reset()
				if _, err := w.walk(r, Span{0, int32(len(r.Line))}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	text := l7Line()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var v l7
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
}
