package exporter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadDefinition(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"words.yaml":   wordsForm,
		"more.yml":     "name: more\nextends: words\nlayouts: [{name: extra, regex: '^(?P<word>!)$'}]\n",
		"third.yaml":   "name: third\nextends: more\n",
		"np.yaml":      "extends: antrea-networkpolicy\nlayouts: [{name: ours, regex: '^(?P<time>!)$'}]\n",
		"np-new.yaml":  "extends: antrea-networkpolicy\nlayouts: [{name: new, regex: '^(?P<time>!)$'}]\n",
		"np-both.yaml": "name: both\nextends: antrea-networkpolicy\nlayouts: [{name: both, regex: '^(?P<time>!!)$'}]\n",
		"broken.yaml":  "name: broken\nlaiouts: []\n",
		"breaks.yaml":  "name: breaks\nextends: broken\n",
		"nothing.yaml": "name: nothing\nextends: nope\n",
		"ring.yaml":    "name: ring\nextends: round\n",
		"round.yaml":   "name: round\nextends: ring\n",
		"taken.yaml":   strings.NewReplacer("name: words\n", "name: taken\n", "words_total", "pipeline_lines_read_total").Replace(wordsForm),
		"le.yaml":      "name: le\nlayouts: [{name: l, grok: '^(?P<le>.) %{INT:n:int}$'}]\nmetrics: [{name: s, type: histogram, observe: n, labels: [le], buckets: [1], help: H.}]\n",
		".hidden.yaml": "name: nope\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	good := func(file, name, layouts string) {
		t.Helper()
		d, err := LoadDefinition(filepath.Join(dir, file))
		if err != nil {
			t.Fatalf("%s: %s", file, err)
		}
		var got []string
		for _, layout := range d.Layouts {
			got = append(got, layout.Name)
		}
		if d.Name != name || strings.Join(got, " ") != layouts {
			t.Errorf("%s: want %s with %s, got %s with %s", file, name, layouts, d.Name, got)
		}
	}
	const shipped = "1.13 1.12 1.9 1.6 1.4 0.11"
	good("words.yaml", "words", "plain")
	good("more.yml", "more", "extra plain")
	good("third.yaml", "third", "extra plain")
	good("np.yaml", "antrea-networkpolicy", "ours "+shipped) // alone, though the folder has another one
	good("../"+filepath.Base(dir)+"/np-new.yaml", "antrea-networkpolicy", "new "+shipped)

	bad := func(file, want string) {
		t.Helper()
		d, err := LoadDefinition(filepath.Join(dir, file))
		if err == nil || d != nil {
			t.Fatalf("%s: %v is read", file, d)
		}
		if diff := cmp.Diff(strings.ReplaceAll(want, "DIR", dir), err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	_, all, _ := shippedNames(t)
	bad("", "read definition: read DIR: is a directory")
	bad("none.yaml", "read definition: open DIR/none.yaml: no such file or directory")
	bad("taken.yaml", `DIR/taken.yaml:5:18: metrics[0].name: corkline_pipeline_lines_read_total is that of a metric of the agent itself; choose another`)
	bad("le.yaml", `DIR/le.yaml:3:58: metrics[0].labels: have le, which is that of a histogram's buckets; name the field differently`)
	bad("breaks.yaml", `DIR/broken.yaml:2:1: laiouts: unknown key; did you mean "layouts"?`)
	bad("nothing.yaml", `DIR/nothing.yaml:2:10: extends: there is no definition "nope"; there are: `+strings.Join(all, " "))
	bad("ring.yaml", `DIR/ring.yaml:2:10: extends: comes back to itself: ring extends round extends ring; end the ring
DIR/round.yaml:2:10: extends: comes back to itself: round extends ring extends round; end the ring`)
	bad("np-both.yaml", `DIR/np.yaml:1:10: extends: "antrea-networkpolicy" is extended in its place already, at DIR/np-new.yaml:1:10; put both into one, or give this one a name`)
}

// A mounted ConfigMap has its files behind links, and swaps them all at once.
func TestReadFolder_ConfigMap(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "..1", "words.yaml"), "one")
	writeFile(t, filepath.Join(dir, "..2", "words.yaml"), "two")
	for _, link := range [][2]string{{"..1", "..data"}, {"..data/words.yaml", "words.yaml"}, {"nowhere", ".#words.yaml"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	f := func(text string) digest {
		t.Helper()
		got := readFolder(dir)
		if got.err != nil || len(got.files) != 1 || got.files[0].err != nil || got.files[0].path != filepath.Join(dir, "words.yaml") || string(got.files[0].text) != text {
			t.Errorf("want %q, got %v", text, got)
		}
		return inputs{dir: dir}.digestNow("")
	}
	before := f("one")
	if again := f("one"); again != before {
		t.Error("the digest is another one for the same texts")
	}
	if err := os.Symlink("..2", filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if after := f("two"); after == before {
		t.Error("the digest is the same for other texts")
	}
}
