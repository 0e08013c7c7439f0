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
	f("nam: x\n", `c.yaml:1: nam: unknown key; did you mean "name"?`)
	f("name: x\nzzzzzzzz: x\n", `c.yaml:2: zzzzzzzz: unknown key; known keys: name, wait, limit, on, inner, list, map, maybe`)
	f("name: x\nname: y\n", "c.yaml:2: name: given twice, first in line 1")
	f("wait: 5\nlimit: many\non: perhaps\n",
		`c.yaml:1: wait: expected a duration such as 5s or 1m30s, found "5"`+"\n"+
			`c.yaml:2: limit: expected a whole number, found "many"`+"\n"+
			`c.yaml:3: on: expected true or false, found "perhaps"`)
	f("list:\n  - rate: 1\n  - {rate: x, fils: []}\n",
		`c.yaml:3: list[1].rate: expected a number, found "x"`+"\n"+
			`c.yaml:3: list[1].fils: unknown key; did you mean "files"?`)
	f("inner: [1]\nlist: {a: b}\nname: [x]\nmap: x\n",
		"c.yaml:1: inner: expected keys and values, found a list\n"+
			"c.yaml:2: list: expected a list, found keys and values\n"+
			"c.yaml:3: name: expected a text, found a list\n"+
			`c.yaml:4: map: expected keys and values, found "x"`)
	f("name: x\n---\nname: y\n", "c.yaml:2: a second YAML document starts here; only one is read")
	f("name: [x\n", "c.yaml:1: did not find expected ',' or ']'")
	f("a\n", `c.yaml:1: expected keys and values, found "a"`)
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
	f("list[1].rate", "c.yaml:4: list[1].rate: bad")
	f("list[1].files[2]", "c.yaml:4: list[1].files[2]: bad")
	f("list[7]", "c.yaml:3: list[7]: bad")
	f("inner.files", "c.yaml: inner.files: bad")
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
