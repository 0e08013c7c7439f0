package parsers_test

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/corkline/corkline/parsers"
	"go.yaml.in/yaml/v3"
)

// TestMutation changes each byte of each sample record, once for all that have
// the same bytes around it, and holds that what still parses has values of the
// kinds that their fields are to have: no value slips into a neighbour's field.
func TestMutation(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range set {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := sampleValues(t, name)
			text, err := os.ReadFile("../samples/" + name + ".log")
			if err != nil {
				t.Fatal(err)
			}
			parser := d.NewParser()
			parser.Refer(reference().UnixNano())
			var r parsers.Record
			r.Scratch = new(parsers.Scratch)
			const around = 10
			seen := map[string]bool{}
			for _, record := range records(d, text) {
				for at := range record.Text {
					neighbours := string(record.Text[max(0, at-around):min(at+around, len(record.Text))])
					if seen[neighbours] {
						continue
					}
					seen[neighbours] = true
					for _, b := range []byte{' ', '0', ':', '"', 'x'} {
						r.Line, r.Carried, r.Header = append(r.Line[:0], record.Text...), record.Time, record.Header
						r.Line[at] = b
						r.Scratch.Reset()
						if parser.Parse(&r) != nil {
							continue
						}
						if wrong := wrongField(&r, words); wrong != "" {
							t.Fatalf("%q with %q at %d parses with %s", record.Text, b, at, wrong)
						}
					}
				}
			}
		})
	}
}

// wrongField names a field whose value is not of its kind, and the value.
func wrongField(r *parsers.Record, words map[string][]string) string {
	for i, f := range r.Definition.Fields {
		value := string(r.Value(i))
		if value == "" {
			continue
		}
		ok := true
		switch {
		case strings.HasSuffix(f.Name, "_ip"):
			_, err := netip.ParseAddr(value)
			ok = err == nil
		case strings.HasSuffix(f.Name, "_port"):
			_, err := strconv.ParseUint(value, 10, 16)
			ok = err == nil
		case f.Number:
			_, ok = r.Number(i)
		}
		if list, listed := words[f.Name]; listed {
			ok = ok && slices.Contains(list, value)
		}
		if !ok {
			return f.Name + " " + strconv.Quote(value)
		}
	}
	return ""
}

// sampleValues reads which words a definition lets its fields have.
func sampleValues(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("definitions/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var form struct {
		Values map[string][]string `yaml:"values"`
	}
	if err := yaml.Unmarshal(text, &form); err != nil {
		t.Fatal(err)
	}
	return form.Values
}
