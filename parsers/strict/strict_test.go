package strict

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type settings struct {
	Name  string            `yaml:"name"`
	Wait  time.Duration     `yaml:"wait"`
	Limit int               `yaml:"limit"`
	On    bool              `yaml:"on"`
	Inner inner             `yaml:"inner"`
	List  []inner           `yaml:"list"`
	Map   map[string]string `yaml:"map"`
	Maybe *inner            `yaml:"maybe"`
}

type inner struct {
	Files []string `yaml:"files"`
	Rate  float64  `yaml:"rate"`
}

func TestDecode_Success(t *testing.T) {
	f := func(text string, want settings) {
		t.Helper()
		got := settings{Name: "default", Wait: time.Second}
		if _, faults := Decode("c.yaml", []byte(text), &got); faults.Err() != nil {
			t.Fatalf("unexpected faults in %q: %s", text, faults)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f("", settings{Name: "default", Wait: time.Second})
	f("# nothing\n", settings{Name: "default", Wait: time.Second})
	f("name:\n", settings{Name: "default", Wait: time.Second})
	f("name: 1.10\nwait: 1m30s\nlimit: 3\non: true\n", settings{Name: "1.10", Wait: 90 * time.Second, Limit: 3, On: true})
	f("inner: {files: [a, b], rate: 0.5}\nmap: {k: v}\nmaybe: {rate: 2}\n", settings{
		Name: "default", Wait: time.Second, Inner: inner{[]string{"a", "b"}, 0.5},
		Map: map[string]string{"k": "v"}, Maybe: &inner{Rate: 2},
	})
	f("list: [&a {rate: 1}, *a]\n", settings{Name: "default", Wait: time.Second, List: []inner{{Rate: 1}, {Rate: 1}}})
}

func TestDecode_Failure(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var into settings
		_, faults := Decode("c.yaml", []byte(text), &into)
		if faults.Err() == nil {
			t.Fatalf("%q: no fault", text)
		}
		if diff := cmp.Diff(want, faults.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f("nam: x\n", `c.yaml:1:1: nam: unknown key; did you mean "name"?`)
	f("name: x\nzzzzzzzz: x\n", `c.yaml:2:1: zzzzzzzz: unknown key; known keys: name, wait, limit, on, inner, list, map, maybe`)
	f("name: x\nname: y\n", "c.yaml:2:1: name: given twice, first in line 1")
	f("wait: 5\nlimit: many\non: perhaps\n",
		`c.yaml:1:7: wait: expected a duration such as 5s or 1m30s, found "5"`+"\n"+
			`c.yaml:2:8: limit: expected a whole number, found "many"`+"\n"+
			`c.yaml:3:5: on: expected true or false, found "perhaps"`)
	f("list:\n  - rate: 1\n  - {rate: x, fils: []}\n",
		`c.yaml:3:12: list[1].rate: expected a number, found "x"`+"\n"+
			`c.yaml:3:15: list[1].fils: unknown key; did you mean "files"?`)
	f("inner: [1]\nlist: {a: b}\nname: [x]\nmap: x\n",
		"c.yaml:1:8: inner: expected keys and values, found a list\n"+
			"c.yaml:2:7: list: expected a list, found keys and values\n"+
			"c.yaml:3:7: name: expected a text, found a list\n"+
			`c.yaml:4:6: map: expected keys and values, found "x"`)
	f("name: x\n---\nname: y\n", "c.yaml:2:1: a second YAML document starts here; only one is read")
	f("name: [x\n", "c.yaml:1: did not find expected ',' or ']'")
	f("a\n", `c.yaml:1:1: expected keys and values, found "a"`)
	// in characters
	f("map: {äöü: x, b: [1]}\n", `c.yaml:1:18: map.b: expected a text, found a list`)
}

func TestDocument_Fault(t *testing.T) {
	var into settings
	doc, faults := Decode("c.yaml", []byte("name: x\nlist:\n  - rate: 1\n  - rate: 2\n"), &into)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	f := func(key, want string) {
		t.Helper()
		if got := doc.Fault(key, "bad").Error(); got != want {
			t.Errorf("Fault(%q): want %q, got %q", key, want, got)
		}
	}
	f("list[1].rate", "c.yaml:4:11: list[1].rate: bad")
	f("list[1].files[2]", "c.yaml:4:5: list[1].files[2]: bad")
	f("list[7]", "c.yaml:3:3: list[7]: bad")
	f("inner.files", "c.yaml:1:1: inner.files: bad")
}

func TestDocument_Has(t *testing.T) {
	var into settings
	doc, faults := Decode("c.yaml", []byte("name: ''\nwait:\nlist: []\ninner: {rate: 0}\n"), &into)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	f := func(key string, want bool) {
		t.Helper()
		if got := doc.Has(key); got != want {
			t.Errorf("Has(%q): want %v, got %v", key, want, got)
		}
	}
	f("name", true)
	f("list", true)
	f("inner.rate", true)
	f("wait", false) // nothing stands behind it
	f("limit", false)
	f("inner.files", false)
}

// What a document has borrowed is reported where it stands, or at a key of
// the document's own, over any number of loans.
func TestDocument_Borrow(t *testing.T) {
	decode := func(file, text string) *Document {
		t.Helper()
		var into settings
		doc, faults := Decode(file, []byte(text), &into)
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	base := decode("base.yaml", "name: x\nlist:\n  - {rate: 1}\n  - {files: [a]}\nmap: {a: b}\n")
	own := decode("own.yaml", "# mine\nlist: [{rate: 3}]\nmaybe: {rate: 1}\n")
	second := base.Overlay()
	second.Borrow("", base, "", "")
	third := own.Overlay()
	third.Borrow("list", second, "list", "name")
	third.Borrow("list[2]", own, "list[0]", "")
	third.Borrow("map", second, "map", "name")
	third.Borrow("name", own, "maybe", "")
	whole := own.Overlay()
	whole.Borrow("", own, "list[0]", "")
	f := func(doc *Document, key, want string) {
		t.Helper()
		if got := doc.Fault(key, "bad").Error(); got != want {
			t.Errorf("Fault(%q): want %q, got %q", key, want, got)
		}
	}
	f(second, "list[1].files[0]", "base.yaml:4:14: list[1].files[0]: bad")
	f(third, "list[2].rate", "own.yaml:2:15: list[0].rate: bad")
	f(third, "list[2].files", "own.yaml:2:8: list[0].files: bad")
	f(third, "list[1].files[0]", "own.yaml:3:8: maybe: breaks base.yaml:4:14: list[1].files[0]: bad")
	f(third, "list[0].files", "own.yaml:3:8: maybe: breaks base.yaml:3:5: list[0].files: bad")
	f(third, "map.a", "own.yaml:3:8: maybe: breaks base.yaml:5:10: map.a: bad")
	f(third, "limit", "own.yaml: limit: bad")
	f(whole, "rate", "own.yaml:2:15: list[0].rate: bad")
	f(whole, "files[3]", "own.yaml:2:8: list[0].files[3]: bad")
	if third.File() != "own.yaml" || !third.Has("list[1].files") || third.Has("list[10]") {
		t.Errorf("file %q, keys %v", third.File(), third.places)
	}
	ring := own.Overlay() // never a hang
	ring.Borrow("maybe", own, "maybe", "maybe")
	f(ring, "maybe", "own.yaml:3:8: maybe: bad")
	f(ring, "maybe.rate", "own.yaml:3:8: maybe: breaks own.yaml:3:15: maybe.rate: bad")
}

func TestFaults_Sort(t *testing.T) {
	faults := Faults{{File: "b", Line: 1}, {File: "a", Line: 2, Column: 1}, {File: "a", Line: 1, Column: 3}, {File: "a", Line: 1, Column: 2}, {File: "a"}, {File: "a", Line: 1, Column: 2, Key: "k"}}
	faults.Sort()
	if diff := cmp.Diff("a: \na:1:2: \na:1:2: k: \na:1:3: \na:2:1: \nb:1: ", faults.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("name: x\nlist: [&a {rate: 1}, *a]\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		var into settings
		if _, faults := Decode("c.yaml", []byte(text), &into); len(faults) > 0 && faults.Error() == "" {
			t.Fatalf("%q: faults that say nothing", text) // nor panic, nor hang
		}
	})
}
