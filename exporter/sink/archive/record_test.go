package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drawEntry makes any entry.
func drawEntry(t *rapid.T) Entry {
	word := rapid.OneOf(rapid.StringN(0, 12, -1), rapid.Just(`{"crc":"`), rapid.Just("\x00\n\t\r\"\\\u2028"),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }))
	e := Entry{
		Time: rapid.Int64().Draw(t, "time"), Source: word.Draw(t, "source"),
		Line: []byte(word.Draw(t, "line")), Reason: word.Draw(t, "reason"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "labels") {
		e.Labels = append(e.Labels, [2]string{fmt.Sprintf("label_%d", i), word.Draw(t, "value")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "metadata") {
		e.Metadata = append(e.Metadata, [2]string{word.Draw(t, "name"), word.Draw(t, "value")})
	}
	return e
}

// What is decoded is what was encoded, byte for byte.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEntry(t)
		line := appendRecord([]byte("before"), &want)[len("before"):]
		if n := bytes.Count(line, []byte("\n")); n != 1 || line[len(line)-1] != '\n' || !json.Valid(line) {
			t.Fatalf("not a line of JSON: %q", line)
		}
		line = line[:len(line)-1]
		if bytes.LastIndex(line, []byte(recordStart)) != 0 {
			t.Fatalf("a record seems to begin in another: %q", line)
		}
		if err := checkRecord(line); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		got, err := decodeRecord(line)
		if err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if got.Line == nil {
			got.Line = []byte{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if at, reason, err := peek(line); err != nil || at != want.Time || reason != want.Reason {
			t.Fatalf("%q: at %d for %q, %v", line, at, reason, err)
		}
		again := want
		again.Reason += "another"
		if digestOf(line) != digestOf(bytes.TrimSuffix(appendRecord(nil, &again), []byte("\n"))) {
			t.Fatal("the reason is in the digest")
		}
		again = want
		again.Time++
		if digestOf(line) == digestOf(bytes.TrimSuffix(appendRecord(nil, &again), []byte("\n"))) {
			t.Fatal("the time is not in the digest")
		}
	})
}

// lines of a few entries, and the text that they make.
func someRecords(n int) (records []string, text []byte) {
	for i := range n {
		e := Entry{
			Time: int64(1000 + i), Source: "s", Labels: [][2]string{{"job", "j"}}, Line: fmt.Appendf(nil, `line "%d" {"crc":"00`, i),
			Metadata: [][2]string{{"k", "v\xff"}}, Reason: strings.Repeat("r", i),
		}
		at := len(text)
		text = appendRecord(text, &e)
		records = append(records, string(text[at:len(text)-1]))
	}
	return records, text
}

// scanned gives the good records, the stretches of damage and the whole length.
func scanned(text []byte) (good, damaged []string, whole int) {
	whole = scan(text, func(b []byte) { good = append(good, string(b)) }, func(b []byte) { damaged = append(damaged, string(b)) })
	return good, damaged, whole
}

// Damage costs the record that it hits and no more.
func TestScan_AnyByteFlipped(t *testing.T) {
	records, text := someRecords(5)
	var ends []int
	for _, r := range records {
		last := 0
		if len(ends) > 0 {
			last = ends[len(ends)-1]
		}
		ends = append(ends, last+len(r)+1)
	}
	for i := range text {
		for bit := range 8 {
			flipped := bytes.Clone(text)
			flipped[i] ^= 1 << bit
			good, damaged, whole := scanned(flipped)
			var want []string
			hit := 0
			for k, r := range records {
				if start := ends[k] - len(r) - 1; i >= start && i < ends[k]-1 {
					hit = k
				} else {
					want = append(want, r)
				}
			}
			switch {
			case len(good) == len(records): // a line end, or the case of a checksum's digit
				if len(damaged) > 0 || whole != len(text) {
					t.Fatalf("byte %d, bit %d: all records are good, and %q is damaged", i, bit, damaged)
				}
			case cmp.Diff(want, good) != "" || len(damaged) != 1 || whole != len(text):
				t.Fatalf("byte %d, bit %d, in record %d: damaged %q, whole %d of %d; good (-want +got):\n%s", i, bit, hit, damaged, whole, len(text), cmp.Diff(want, good))
			}
		}
	}
}

// The end of a write that was cut off is told from damage.
func TestScan_Torn(t *testing.T) {
	records, text := someRecords(3)
	for n := range len(text) + 1 {
		good, damaged, whole := scanned(text[:n])
		complete, end := 0, 0
		for _, r := range records {
			if end+len(r) > n {
				break
			}
			end += len(r) + 1
			complete++
		}
		if len(good) != complete || len(damaged) > 0 || whole > n || whole != min(end, n) {
			t.Fatalf("of %d bytes %d records are good, want %d; %q is damaged, and %d bytes are whole, want %d", n, len(good), complete, damaged, whole, min(end, n))
		}
	}
}

func FuzzScan(f *testing.F) {
	_, text := someRecords(3)
	f.Add(text)
	f.Add([]byte(recordStart + "\n" + recordStart))
	chance := appendRecord(nil, &Entry{})
	body := `"time":1` + reasonKey
	f.Add(fmt.Appendf(chance, "%s%08x\",%s\n", recordStart, checksum([]byte(body)), body))
	f.Add([]byte("\n\n{\"crc\":\"00000000\",}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sum, good := 0, 0
		whole := scan(text, func(line []byte) {
			sum += len(line)
			good++
			if err := checkRecord(line); err != nil {
				t.Fatalf("%q: %s", line, err)
			}
			_, _ = decodeRecord(line) // a checksum can be right by chance
			_, _, _ = peek(line)
		}, func(b []byte) { sum += len(b) })
		if whole > len(text) || sum > whole || sum+good < whole { // all but line ends
			t.Fatalf("%d bytes of %d are whole, %d were handed out in %d records", whole, len(text), sum, good)
		}
	})
}
