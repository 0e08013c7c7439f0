package samples_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/corkline/corkline/samples"
)

// Parts that the layouts of a network-policy line are made of.
const (
	stamp    = `^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}) `
	tableRef = `(?P<table>\w*) (?P<policy>\w+(?::\S+)?) `
	rule     = `(?P<rule>.+) `
	action   = `(?P<action>Allow|Drop|Reject|Pass|Redirect) `
	decided  = action + `(?:-?\d+|<nil>) `
	ip       = `[0-9a-f.:]+`
	ends     = ip + ` (?:\d+|<nil>) ` + ip + ` (?:\d+|<nil>) [A-Za-z]\S* \d+`
	label    = ` [\w.<>-]+`
	suffix   = `(?: \[(?P<packets>\d+) packets in (?P<duration>[^ \]]+)\])?$`
)

// layouts, by the first Antrea release that printed them, newest first.
var layouts = [...]struct {
	name string
	re   *regexp.Regexp
}{
	{"1.13", regexp.MustCompile(stamp + tableRef + rule + `(?P<direction>Ingress|Egress|<nil>|) ` + decided + `\S* ` + ends + label + suffix)},
	{"1.12", regexp.MustCompile(stamp + tableRef + rule + decided + ends + label + suffix)},
	{"1.9", regexp.MustCompile(stamp + tableRef + rule + decided + ends + suffix)},
	{"1.6", regexp.MustCompile(stamp + tableRef + decided + ends + suffix)},
	{"1.4", regexp.MustCompile(stamp + tableRef + decided + ip + ` ` + ip + ` \d+ [A-Za-z]\S*` + suffix)},
	{"0.11", regexp.MustCompile(stamp + tableRef + decided + `SRC: (?:` + ip + `)? DEST: (?:` + ip + `)? \d+ (?:[A-Za-z]\S*)?` + suffix)},
}

// layoutOf names the layout that the line has, or "".
func layoutOf(line []byte) string {
	for _, l := range layouts {
		m := l.re.FindSubmatch(line)
		if m == nil {
			continue
		}
		if _, err := time.Parse("2006/01/02 15:04:05.000000", string(m[1])); err != nil {
			continue
		}
		if d := m[l.re.SubexpIndex("duration")]; d != nil {
			if _, err := time.ParseDuration(string(d)); err != nil {
				continue
			}
		}
		return l.name
	}
	return ""
}

func lines(log []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(log, []byte("\n")), []byte("\n"))
}

func TestNetworkPolicySampleHasEveryLayout(t *testing.T) {
	log, err := samples.Log("antrea-networkpolicy")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i, line := range lines(log) {
		name := layoutOf(line)
		if name == "" {
			t.Errorf("line %d has no layout: %s", i+1, line)
		}
		count[name]++
	}
	for _, l := range layouts {
		if count[l.name] < 5 {
			t.Errorf("%d lines have the layout %s, want 5 at least", count[l.name], l.name)
		}
	}
	t.Log(count)
}

func TestBadNetworkPolicyLinesHaveNoLayout(t *testing.T) {
	log, err := os.ReadFile("antrea-networkpolicy.bad")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines(log) {
		if name := layoutOf(line); name != "" {
			t.Errorf("line %d has the layout %s: %s", i+1, name, line)
		}
	}
}

func TestLogOfUnknownStem(t *testing.T) {
	if _, err := samples.Log("no-such-format"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want a not-exist error", err)
	}
}
