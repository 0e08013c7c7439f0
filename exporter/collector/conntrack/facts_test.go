package conntrack

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The three layouts of /proc/net/stat/nf_conntrack: before Linux 5.9, before
// 5.15, and since.
func TestParseStat(t *testing.T) {
	const (
		before59  = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
		before515 = "entries  clashres found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
		since515  = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
		one       = "000000ff  00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000a 0000000b 0000000c  0000000d 0000000e 0000000f ffffffff\n"
	)
	row := perCPU{found: 2, invalid: 4, insert: 8, insertFailed: 9, drop: 10, earlyDrop: 11, packetError: 12, searchRestart: 0xffffffff}
	f := func(text string, want []perCPU, lacks ...counter) {
		t.Helper()
		rows, has, err := parseStat([]byte(text))
		if err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
		for c := range has {
			lack := false
			for _, l := range lacks {
				lack = lack || l == counter(c)
			}
			if has[c] == lack {
				t.Errorf("%q: has %s is %t", text, columns[c], has[c])
			}
		}
	}
	f(before59+one+one, []perCPU{row, row}, clashResolve, chainTooLong)
	clash, chain := row, row
	clash[clashResolve] = 1
	f(before515+one, []perCPU{clash}, chainTooLong)
	chain[clashResolve], chain[chainTooLong] = 1, 7
	f(since515+one, []perCPU{chain})
	f("drop new_one\n0000000a 00000001", []perCPU{{drop: 10}}, found, invalid, insert, insertFailed, earlyDrop, packetError, searchRestart, clashResolve, chainTooLong)
	f(since515, nil)

	fail := func(text, want string) {
		t.Helper()
		if _, _, err := parseStat([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want %q", text, err, want)
		}
	}
	fail("", "has no column drop")
	fail("drop\n1 2\n", "2 values in line 2, and 1 names")
	fail("drop\n1\nx\n", "line 3: ")
	fail("drop\n100000000\n", "line 2: ")
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("entries drop found\n1 2 3\n4 5 6\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, has, err := parseStat(text)
		if err == nil && !has[drop] {
			t.Error("no column drop, and no error")
		}
		if err != nil && rows != nil {
			t.Error("rows and an error")
		}
	})
}

// Counters of 32 bits go on beyond them, over a reload of the module, and with
// CPUs that come later.
func TestTotals(t *testing.T) {
	var totals totals
	f := func(want uint64, drops ...uint32) {
		t.Helper()
		rows := make([]perCPU, len(drops))
		for i, n := range drops {
			rows[i][drop] = n
		}
		totals.add(rows, [counters]bool{drop: true})
		if got := totals.values[drop]; got != want || !totals.has[drop] || totals.has[found] {
			t.Errorf("%d: %d drops, want %d", drops, got, want)
		}
	}
	f(12, 5, 7)            // since the kernel began
	f(13, 5, 8)            //
	f(1<<32+7, 1<<32-1, 8) // nearly
	f(1<<32+10, 2, 8)      // wrapped
	f(1<<32+10, 2, 8)      //
	f(1<<32+12, 2, 8, 2)   // a CPU more
	f(1<<32+13, 1, 8, 2)   // set back
	f(1<<32+13, 1)         // CPUs that have gone
	f(1<<32+16, 4, 8, 2)
}

func writeProc(t *testing.T, files map[string]string) (proc string) {
	t.Helper()
	proc = t.TempDir()
	for name, text := range files {
		path := filepath.Join(proc, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func TestProcFacts(t *testing.T) {
	const sysctl = "sys/net/netfilter/nf_conntrack_"
	files := map[string]string{sysctl + "count": "12\n", sysctl + "max": "262144\n", sysctl + "buckets": "65536\n", sysctl + "acct": "1\n", sysctl + "timestamp": "0\n"}
	got, err := procFacts(writeProc(t, files))
	if want := (facts{entries: 12, limit: 262144, buckets: 65536, accounting: true}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	delete(files, sysctl+"timestamp") // of an old kernel
	if _, err := procFacts(writeProc(t, files)); err != nil {
		t.Error(err)
	}
	files[sysctl+"max"] = "many"
	if _, err := procFacts(writeProc(t, files)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	if _, err := procFacts(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}
