package parsers_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden parses samples/<stem>.log with the definition of the same stem
// and compares with samples/<stem>.golden. A new format gets this test with
// its sample file; -update writes its golden.
func TestGolden(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		t.Run(name, func(t *testing.T) {
			d := set[name]
			text, err := os.ReadFile(filepath.Join("..", "samples", name+".log"))
			if err != nil {
				t.Fatalf("every definition needs its sample: %s", err)
			}
			var got bytes.Buffer
			seen := map[string]bool{}
			parser := d.NewParser()
			parser.Refer(reference().UnixNano())
			for _, record := range records(d, text) {
				line := record.Text
				r := parsers.Record{Line: bytes.Clone(line), Carried: record.Time, Header: record.Header}
				if err := parser.Parse(&r); err != nil {
					t.Errorf("%q: %s; %s", line, err, d.Closest(line))
					continue
				}
				if fits := d.Fits(line); len(fits) != 1 {
					t.Errorf("%q fits the layouts %v, not one", line, fits)
				}
				seen[r.Layout.Name] = true
				encoded, err := json.Marshal(r.Result(time.Time{}))
				if err != nil {
					t.Fatal(err)
				}
				got.Write(append(encoded, '\n'))
			}
			for _, l := range d.Layouts {
				if !seen[l.Name] {
					t.Errorf("no sample line has the layout %s", l.Name)
				}
			}
			golden := filepath.Join("..", "samples", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("read golden (write it with make generate): %s", err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// TestGolden_Bad holds that the lines of samples/<stem>.bad do not parse.
func TestGolden_Bad(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../samples/*.bad")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad samples: %v", err)
	}
	for _, file := range files {
		d := set[strings.TrimSuffix(filepath.Base(file), ".bad")]
		text, err := os.ReadFile(file)
		if err != nil || d == nil {
			t.Fatalf("%s: %v, definition %v", file, err, d)
		}
		for _, record := range records(d, text) {
			line := record.Text
			r := parsers.Record{Line: bytes.Clone(line), Carried: record.Time, Header: record.Header}
			if d.NewParser().Parse(&r) == nil {
				t.Errorf("%s: %q parses as %s", file, line, r.Layout.Name)
			} else if c := d.Closest(line); c.Layout == "" || c.Expected == "" || c.Column < 1 || c.Column > len(line)+1 {
				t.Errorf("%s: %q: closest is %+v", file, line, c)
			}
		}
	}
}

// reference is when the samples without a year are read.
func reference() time.Time { return time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC) }

// records puts the lines of a text together.
func records(d *parsers.Definition, text []byte) []parsers.Line {
	var all []parsers.Line
	for _, line := range lines(text) {
		all = append(all, parsers.Line{Text: line})
	}
	if framer := d.NewFramer(256 << 10); framer != nil {
		all, _, _ = framer.Join(nil, all, nil, true)
	}
	return all
}

func lines(text []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}
