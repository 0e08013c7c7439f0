package tail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var someRecords = []record{
	{Source: "dns", Path: `/var/log/"dns".log`, Dev: 1, Inode: 7, Time: 1, Target: "/mnt/dns.log", FingerprintBytes: 9, Modified: 8, Finished: true},
	{Source: "np", Path: "/var/log/np.log", Dev: 1, Inode: 5, FingerprintBytes: 1024, Fingerprint: 0xdeadbeef, Offset: 5000, Time: -3},
	{Source: "np", Path: "/var/log/np.log", Dev: 1, Inode: 6, FingerprintBytes: 6, Fingerprint: 1, Offset: 6, Time: 1_800_000_000_000_000_000, Tail: 7, Lost: 1_800_000_000},
}

var someNotes = map[string]json.RawMessage{"dns": json.RawMessage(`{"read":1}`), "np": json.RawMessage(`{"read":2,"x":[" "]}`)}

func encoded(tb testing.TB, records []record, notes map[string]json.RawMessage) []byte {
	tb.Helper()
	text, err := encodePositions(records, notes)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestPositionsWithAnyByteFlipped(t *testing.T) {
	text := encoded(t, someRecords, someNotes)
	ends := []int{bytes.IndexByte(text, '\n') + 1} // of the header, each record and each note
	for range len(someRecords) + len(someNotes) {
		last := ends[len(ends)-1]
		ends = append(ends, last+bytes.IndexByte(text[last:], '\n')+1)
	}
	for i := range text {
		for bit := range 8 {
			flipped := bytes.Clone(text)
			flipped[i] ^= 1 << bit
			got, notes, damaged, err := decodePositions(flipped)
			if err != nil {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			var want []record
			for j, r := range someRecords {
				if i < ends[j] || i >= ends[j+1] {
					want = append(want, r)
				}
			}
			wantNotes := maps.Clone(someNotes)
			for j, source := range slices.Sorted(maps.Keys(someNotes)) {
				if j += len(someRecords); i >= ends[j] && i < ends[j+1] {
					delete(wantNotes, source)
				}
			}
			whole := len(got) == len(someRecords) && len(notes) == len(someNotes)
			// The case of a checksum's digits does not matter.
			if diff := cmp.Diff(want, got) + cmp.Diff(wantNotes, notes); diff != "" && (!whole || len(damaged) > 0) {
				t.Fatalf("byte %d, bit %d: (-want +got):\n%s", i, bit, diff)
			}
			if !whole && len(damaged) == 0 {
				t.Fatalf("byte %d, bit %d: no warning", i, bit)
			}
		}
	}
}

func TestPositionsFile(t *testing.T) {
	records := string(encoded(t, someRecords, nil))
	records = records[strings.IndexByte(records, '\n')+1:]
	for _, tt := range []struct {
		name, text string
		records    int
		warnings   int
		err        string
	}{
		{"empty", "", 0, 0, ""},
		{"header only", "corkline-positions 1\n", 0, 0, ""},
		{"cut in mid-record", "corkline-positions 1\n" + records[:len(records)-5], 2, 1, ""},
		{"no header", records, 3, 0, ""},
		{"damaged header", "c0rkline\n" + records, 3, 1, ""},
		{"garbage", "\x00\x01\n\xff", 0, 2, ""},
		{"newer version", "corkline-positions 2\n00000000 {\"source\":\"np\"}\n", 0, 0, "version 2 is newer"},
		{"newer version, nothing else", "corkline-positions 2\n", 0, 0, "version 2 is newer"},
		{"impossible record", "corkline-positions 1\n84d5e5bf {}\n", 0, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "positions")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, warnings, err := OpenPositions(dir)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("OpenPositions returned %v, want %q", err, tt.err)
				}
				if text, err := os.ReadFile(path); err != nil || string(text) != tt.text {
					t.Errorf("the refused file was changed to %q, %v", text, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(p.marks) != tt.records || len(warnings) != tt.warnings {
				t.Errorf("%d records, warnings %q; want %d and %d", len(p.marks), warnings, tt.records, tt.warnings)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			p, warnings, err = OpenPositions(dir)
			if err != nil || len(warnings) > 0 || len(p.marks) != tt.records {
				t.Fatalf("opened again: %d records, %q, %v", len(p.marks), warnings, err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUnusableStateDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(dir, "busy")
	p, _, err := OpenPositions(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, "positions.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, dir, want string }{
		{"below a file", filepath.Join(file, "state"), "set state_dir"},
		{"a read-only file system", "/proc/corkline", "set state_dir"},
		{"cannot write", blocked, "set state_dir"},
		{"used by another agent", busy, "another agent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := OpenPositions(tt.dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.dir) {
				t.Errorf("OpenPositions returned %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestModes(t *testing.T) {
	b := newBench(t, "np.log")
	b.state = filepath.Join(b.state, "a", "b")
	b.stop()
	b.start()
	for path, want := range map[string]os.FileMode{"": os.ModeDir | 0o700, "lock": 0o600, "positions": 0o600} {
		info, err := os.Stat(filepath.Join(b.state, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// What a commit that failed did not write, the next one does.
func TestCommitFails(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	positions := filepath.Join(b.state, "positions")
	blocker := positions + ".tmp"
	b.do(os.MkdirAll(filepath.Join(blocker, "x"), 0o700))
	b.do(os.Remove(positions)) // which is not appended to, then
	if err := b.positions.Commit(b.buffer.Chunks); err == nil || !strings.Contains(err.Error(), positions) {
		t.Errorf("Commit returned %v, want an error that names the file", err)
	}
	if got := b.tailer.Files()[0].Committed; got != 2 {
		t.Errorf("committed %d in memory, want 2", got)
	}

	b.append("np.log", "b\n")
	b.scan("write positions") // the fault lasts, and reading goes on
	b.fill(Ship, "b")
	b.do(os.RemoveAll(blocker))
	b.do(b.positions.Sync())
	b.stop()
	b.start()
	b.scan()
	b.fill(Ship, "b")
}

// What the disk may refuse, it is made to refuse: the former positions stay,
// reading goes on, and the next commit makes up for it.
func TestCommitFails_Disk(t *testing.T) {
	f := func(what, words string, refuse, again func(b *bench, positions string)) {
		t.Helper()
		b := newBench(t, "np.log")
		positions := filepath.Join(b.state, "positions")
		b.append("np.log", "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		before, err := os.ReadFile(positions)
		b.do(err)
		for _, line := range []string{"b", "c"} {
			b.append("np.log", line+"\n")
			b.fill(Ship, line)
			refuse(b, positions)
			if err := b.positions.Commit(b.buffer.Chunks); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), positions) {
				t.Errorf("%s: Commit returned %v", what, err)
			}
			again(b, positions)
		}
		after, err := os.ReadFile(positions)
		b.do(err)
		if !bytes.Equal(before, after) {
			t.Errorf("%s: positions changed to %q", what, after)
		}
		// kill -9 now repeats what was not committed, and loses nothing.
		copied := t.TempDir()
		b.do(os.WriteFile(filepath.Join(copied, "positions"), after, 0o600))
		b.do(b.positions.Sync())
		b.stop()
		good := b.state
		b.state = copied
		b.start()
		b.scan()
		b.fill(Ship, "b", "c")
		b.stop()
		b.state = good
		b.start()
		b.scan()
		b.fill(Ship)
	}
	link := func(to string) func(*bench, string) {
		return func(b *bench, positions string) { b.do(os.Symlink(to, positions+".tmp")) }
	}
	nothing := func(*bench, string) {}
	f("disk full on write", "no space left", link("/dev/full"), nothing)
	f("fsync fails", "invalid argument", link("/dev/null"), nothing)
	f("rename fails", "file exists", func(b *bench, positions string) {
		b.do(os.Rename(positions, positions+".saved"))
		b.do(os.MkdirAll(positions+"/x", 0o700))
	}, func(b *bench, positions string) {
		b.do(os.RemoveAll(positions))
		b.do(os.Rename(positions+".saved", positions))
	})
	f("folder gone", "no such file", func(b *bench, _ string) { b.do(os.Rename(b.state, b.state+".away")) },
		func(b *bench, _ string) { b.do(os.Rename(b.state+".away", b.state)) })
}

// A commit appends one line, which holds as a whole or not at all: should it be
// torn, what was committed before it holds, and there is no damage to speak of.
func TestCommitAppends(t *testing.T) {
	b := newBench(t, "np.log")
	positions := filepath.Join(b.state, "positions")
	b.append("np.log", strings.Repeat("x", fingerprintBytes)+"\n")
	b.scan()
	var text []byte
	var sizes []int
	for read := range 3 {
		b.append("np.log", "line\n")
		b.do(b.tailer.Fill(b.buffer, Ship))
		b.positions.Keep(b.buffer.Chunks, "np", fmt.Appendf(nil, `{"read":%d}`, read))
		b.do(b.positions.Sync())
		var err error
		text, err = os.ReadFile(positions)
		b.do(err)
		sizes = append(sizes, len(text))
	}
	f := func(size int, offset int64, read int, warns bool) {
		t.Helper()
		records, notes, damaged, err := decodePositions(text[:size])
		if err != nil || warns != (len(damaged) > 0) {
			t.Fatalf("%d bytes of %q: %v, damaged %q", size, text, err, damaged)
		}
		last := records[len(records)-1]
		if note := string(notes["np"]); last.Offset != offset || note != fmt.Sprintf(`{"read":%d}`, read) {
			t.Errorf("%d bytes of %q: offset %d, note %s; want %d and %d", size, text, last.Offset, note, offset, read)
		}
	}
	line := int64(len("line\n"))
	start := int64(fingerprintBytes + 1)
	f(sizes[0], start+line, 0, false)
	f(sizes[1], start+2*line, 1, false)
	for size := sizes[1] + 1; size < sizes[2]-1; size++ {
		f(size, start+2*line, 1, size < sizes[1]+len("01234567 "+commitStart)) // it may be anything
	}
	f(sizes[2]-1, start+3*line, 2, false) // but for the line end
	f(sizes[2], start+3*line, 2, false)

	// The file stays short.
	for range 3 * appendBytes / (sizes[2] - sizes[1]) {
		b.append("np.log", "line\n")
		b.do(b.tailer.Fill(b.buffer, Ship))
		b.commit()
		info, err := os.Stat(positions)
		b.do(err)
		if most := int64(appendBytes + sizes[2]); info.Size() > most {
			t.Fatalf("positions have %d bytes, want %d at most", info.Size(), most)
		}
	}
	want := b.tailer.Files()[0].Committed
	b.stop() // replaces what was appended, so that all versions can read it
	text, err := os.ReadFile(positions)
	b.do(err)
	records, _, damaged, err := decodePositions(text)
	if err != nil || len(damaged) > 0 || len(records) != 1 || records[0].Offset != want || strings.Contains(string(text), `"positions"`) {
		t.Errorf("positions are %q, want offset %d alone", text, want)
	}
	b.start()
	b.scan()
	b.fill(Ship)
}

// A record may have what this version does not know, and lack what an older one
// did not write.
func TestRecordOfOtherVersion(t *testing.T) {
	f := func(body string, want record) {
		t.Helper()
		line := fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body)
		got, _, damaged, err := decodePositions([]byte("corkline-positions 1\n" + line))
		if err != nil || len(damaged) > 0 || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, %q, %v", body, got, damaged, err)
		}
	}
	want := record{Source: "np", Path: "/np.log", Dev: 1, Inode: 2, FingerprintBytes: 3, Fingerprint: 4, Offset: 3, Time: 5}
	f(`{"source":"np","path":"/np.log","dev":1,"inode":2,"fingerprint_bytes":3,"fingerprint":4,"offset":3,"time":5}`, want)
	want.Tail = 9
	f(`{"source":"np","path":"/np.log","dev":1,"inode":2,"fingerprint_bytes":3,"fingerprint":4,"offset":3,"time":5,"tail":9,"colour":{"red":[1]}}`, want)
}

// What is appended is nothing to an agent that does not know it: neither a note,
// whose positions it would miss, nor damage. What it makes of it is dropped.
func TestCommitOfNewerVersion(t *testing.T) {
	line, err := encodeCommit(commit{"np", json.RawMessage(`{"read":3}`), someRecords})
	if err != nil {
		t.Fatal(err)
	}
	whole := append(encoded(t, someRecords, someNotes), line...)
	for cut := range len(line) - len("01234567 "+commitStart) { // a kill while it is appended
		got, notes, damaged, err := decodePositions(whole[:len(whole)-1-cut])
		if cut == 0 && string(notes["np"]) == string(someNotes["np"]) || len(damaged) > 0 || err != nil || len(got) < len(someRecords) {
			t.Fatalf("without the last %d bytes: %v, %q, %v", cut+1, got, damaged, err)
		}
	}
	_, body, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	if bytes.HasPrefix(body, []byte(noteStart)) {
		t.Errorf("it is a note: %s", body)
	}
	var older record
	if err := json.Unmarshal(body, &older); err != nil || older != (record{}) {
		t.Errorf("it is the position %+v, %v", older, err)
	}
	text := encoded(t, []record{older, someRecords[0]}, nil)
	got, _, damaged, err := decodePositions(text)
	if diff := cmp.Diff(fmt.Sprint(someRecords[:1]), fmt.Sprint(got)); diff != "" || len(damaged) > 0 || err != nil {
		t.Errorf("%v, %v (-want +got):\n%s", damaged, err, diff)
	}
}

// The first sight of a file cannot be written; its lines are read nevertheless.
func TestFirstSightFails(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	blocker := filepath.Join(b.state, "positions.tmp")
	b.do(os.Mkdir(blocker, 0o700))
	b.scan("write positions")
	b.fill(Ship, "a")
	b.do(syscall.Rmdir(blocker))
	b.commit()
}

func TestSourcesShareAFile(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	first := b.tailer
	b.options.Source = "other"
	b.reload()
	b.scan()
	b.fill(Ship, "a")
	b.do(first.Close())
}

func FuzzDecodePositions(f *testing.F) {
	f.Add(encoded(f, someRecords, someNotes))
	appended, err := encodeCommit(commit{"np", json.RawMessage(`{"read":3}`), someRecords[1:]})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(encoded(f, someRecords, someNotes), appended...))
	f.Add([]byte("corkline-positions 2\n"))
	f.Add([]byte("corkline-positions 1\n00000000 {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		records, notes, _, err := decodePositions(text)
		if err != nil {
			return
		}
		again, notesAgain, damaged, err := decodePositions(encoded(t, records, notes))
		if err != nil || len(damaged) > 0 {
			t.Fatalf("own output: %q, %v", damaged, err)
		}
		if diff := cmp.Diff(fmt.Sprint(records), fmt.Sprint(again)) + cmp.Diff(slices.Sorted(maps.Keys(notes)), slices.Sorted(maps.Keys(notesAgain))); diff != "" {
			t.Fatalf("records (-want +got):\n%s", diff)
		}
	})
}

// A note is durable with the chunks that it was committed with.
func TestPositions_Notes(t *testing.T) {
	dir := t.TempDir()
	open := func() *Positions {
		p, damaged, err := OpenPositions(dir)
		if err != nil || len(damaged) > 0 {
			t.Fatal(err, damaged)
		}
		return p
	}
	p := open()
	p.Keep(nil, "np", []byte(`{"read":1}`))
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	p.Keep(nil, "np", []byte(`{"read":2}`))
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	want := map[string]json.RawMessage{"np": json.RawMessage(`{"read":2}`)}
	read, damaged, err := ReadNotes(dir) // while it is in use
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open()
	if diff := cmp.Diff(want, p.Notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadNotes(t.TempDir()); err == nil {
		t.Error("an empty folder has notes")
	}
}
