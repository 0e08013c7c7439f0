package tail

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// openFiles counts the descriptors of this process.
func openFiles(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// follow reads until nothing is left, and returns the lines in order.
func (b *bench) follow() []string {
	b.Helper()
	var got []string
	for {
		b.do(b.tailer.Fill(b.buffer, Ship))
		if b.buffer.Len() == 0 {
			return got
		}
		got = append(got, texts(b.buffer.Chunks)...)
		b.commit()
	}
}

// pod writes the log of a container where kubelet has it: a link to a link to
// the log.
func (b *bench) pod(name string, restart int, lines string) {
	b.Helper()
	b.do(os.MkdirAll(b.path("pods/"+name), 0o700))
	b.do(os.MkdirAll(b.path("disk/"+name), 0o700))
	b.do(os.MkdirAll(b.path("containers"), 0o700))
	log := fmt.Sprintf("%d.log", restart)
	b.append("disk/"+name+"/"+log, lines)
	b.do(os.Symlink(b.path("disk/"+name+"/"+log), b.path("pods/"+name+"/"+log)))
	b.do(os.RemoveAll(b.path("containers/" + name + ".log")))
	b.do(os.Symlink(b.path("pods/"+name+"/"+log), b.path("containers/"+name+".log")))
}

// A link leads to the log of a new container, after that of the old one was
// rotated beside where it is.
func TestLinkSwapped(t *testing.T) {
	for _, down := range []bool{false, true} {
		b := newBench(t, "containers/*.log")
		b.pod("web", 0, "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		b.append("disk/web/0.log", "b\n")
		if down {
			b.stop()
		}
		b.rename("disk/web/0.log", "disk/web/0.log.20240602-101112")
		b.compress("disk/web/0.log.20240602-101112")
		b.append("disk/web/0.log.20240602-111112", "c\n")
		b.append("disk/web/0.log", "d\n")
		b.append("disk/web/1.log.20240602-121112", "e\n")
		b.pod("web", 1, "f\n")
		if down {
			b.start()
		}
		b.scan()
		b.fill(Ship, "b", "c", "d", "e", "f")
		b.commit()
		for range 2 {
			b.now = b.now.Add(quietTime)
			b.scan()
			b.fill(Ship)
		}
		if got := b.tailer.Files(); len(got) != 1 || got[0].Committed != 2 {
			t.Errorf("followed: %+v", got)
		}
		for _, r := range b.positions.of("np") {
			if len(b.positions.marks) != 1 || r.Target == "" {
				t.Errorf("position %+v", r)
			}
		}
	}
}

// Pods that come and go leave nothing behind: no line, descriptor or position.
func TestPodsComeAndGo(t *testing.T) {
	b := newBench(t, "containers/*.log")
	b.pod("last", 0, "last\n")
	b.scan()
	b.follow()
	start := openFiles(t)
	var got, want []string
	const pods = 500
	for i := range pods { // a minute's worth, some alive at the same time
		name := fmt.Sprintf("pod-%d", i)
		b.pod(name, 0, fmt.Sprintf("%d a\n", i))
		b.now = b.now.Add(time.Minute / pods)
		b.scan()
		got = append(got, b.follow()...)
		b.append("disk/"+name+"/0.log", fmt.Sprintf("%d b\n", i))
		want = append(want, fmt.Sprintf("%d a", i), fmt.Sprintf("%d b", i))
		if i%3 == 0 {
			b.rename("disk/"+name+"/0.log", "disk/"+name+"/0.log.20240602-101112")
			b.append("disk/"+name+"/0.log", fmt.Sprintf("%d c\n", i))
			want = append(want, fmt.Sprintf("%d c", i))
			b.scan()
		}
		if i >= 10 {
			gone := fmt.Sprintf("pod-%d", i-10)
			b.do(os.Remove(b.path("containers/" + gone + ".log")))
			b.do(os.RemoveAll(b.path("pods/" + gone)))
			b.do(os.RemoveAll(b.path("disk/" + gone)))
		}
	}
	for i := pods - 10; i < pods; i++ {
		gone := fmt.Sprintf("pod-%d", i)
		b.do(os.Remove(b.path("containers/" + gone + ".log")))
		b.do(os.RemoveAll(b.path("disk/" + gone)))
	}
	for range 3 {
		b.scan()
		got = append(got, b.follow()...)
		b.now = b.now.Add(quietTime)
	}
	slices.Sort(got)
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d lines arrived, %d were written", len(got), len(want))
	}
	if end := openFiles(t); end != start {
		t.Errorf("%d files are open, %d were at the start", end, start)
	}
	left := b.tailer
	if len(left.files) != 1 || len(left.byID) != 1 || len(left.at) != 1 || len(left.chains) != 1 || len(left.partial) != 0 || len(b.positions.marks) != 1 {
		t.Errorf("left: %d files, %d identities, %d paths, %d chains, %d positions", len(left.files), len(left.byID), len(left.at), len(left.chains), len(b.positions.marks))
	}
}

// Far more files than may be open, that grow, are rotated, compressed, deleted
// and truncated while they are closed.
func TestManyFiles(t *testing.T) {
	b := newBench(t, "*.log")
	b.positions.descriptors.soft, b.positions.descriptors.hard = 10, 20
	const n = 100
	name := func(i int) string { return fmt.Sprintf("%03d.log", i) }
	before, rotated := openFiles(t), false
	bounded := func() {
		t.Helper()
		most := int64(10)
		if rotated {
			most = 20 // files may grow for a while after they were rotated
		}
		if got := b.positions.descriptors.open.Load(); got > most || int(got) != openFiles(t)-before {
			t.Errorf("%d files count as open, %d are", got, openFiles(t)-before)
		}
	}
	check := func(want ...string) {
		t.Helper()
		got := b.follow()
		slices.Sort(got)
		slices.Sort(want)
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("got %q\nwant %q", got, want)
		}
		bounded()
	}
	var want []string
	for i := range n {
		b.append(name(i), fmt.Sprintf("%d a\n", i))
		want = append(want, fmt.Sprintf("%d a", i))
	}
	b.scan()
	bounded()
	check(want...)
	want = nil
	for i := range n {
		b.append(name(i), fmt.Sprintf("%d b\n", i))
		want = append(want, fmt.Sprintf("%d b", i))
		switch i % 20 {
		case 1:
			b.rename(name(i), name(i)+".1")
		case 2:
			b.rename(name(i), name(i)+".1")
			b.append(name(i), fmt.Sprintf("%d c\n", i))
			want = append(want, fmt.Sprintf("%d c", i))
		case 3:
			b.rename(name(i), name(i)+".1")
			b.compress(name(i) + ".1")
			b.append(name(i), fmt.Sprintf("%d c\n", i))
			want = append(want, fmt.Sprintf("%d c", i))
		case 4:
			b.do(os.WriteFile(b.path(name(i)), []byte(fmt.Sprintf("other %d\n", i)), 0o600))
			want[len(want)-1] = fmt.Sprintf("other %d", i)
		}
	}
	b.scan()
	rotated = true
	check(want...)
	rotated = false
	b.now = b.now.Add(quietTime)
	b.scan()
	check()
	for i := range n {
		b.do(os.RemoveAll(b.path(name(i))))
		b.do(os.RemoveAll(b.path(name(i) + ".1")))
	}
	for range 2 {
		b.scan("no file matches")
		b.now = b.now.Add(quietTime)
	}
	check()
	if got := b.positions.of("np"); len(got) != 0 {
		t.Errorf("%d positions are left", len(got))
	}
	if got := openFiles(t); got != before {
		t.Errorf("%d files are open, %d were before", got, before)
	}
}

// Files that must stay open take what RLIMIT_NOFILE allows; the others wait.
func TestManyRotatedFiles(t *testing.T) {
	b := newBench(t, "*.log")
	b.positions.descriptors.soft, b.positions.descriptors.hard = 2, 4
	for i := range 8 {
		b.append(fmt.Sprintf("%d.log", i), fmt.Sprintln("line", i))
	}
	b.scan()
	for i := range 8 {
		b.rename(fmt.Sprintf("%d.log", i), fmt.Sprintf("%d.log.1", i))
	}
	b.append("live.log", "live\n")
	faults := b.tailer.Scan()
	if len(faults) < 4 || !strings.Contains(fmt.Sprint(faults), "RLIMIT_NOFILE") {
		t.Errorf("Scan returned %q", faults)
	}
	var got []string
	for range 4 {
		got = append(got, b.follow()...)
		b.now = b.now.Add(quietTime)
		if b.tailer.Scan(); b.positions.descriptors.open.Load() > 4 {
			t.Errorf("%d files are open", b.positions.descriptors.open.Load())
		}
	}
	slices.Sort(got)
	if want := "line 0,line 1,line 2,line 3,line 4,line 5,line 6,line 7,live"; strings.Join(got, ",") != want {
		t.Errorf("got %q", got)
	}
	b.scan()
}

// A huge file does not starve others, and its rotated predecessor comes first.
func TestTurns(t *testing.T) {
	b := newBench(t, "*.log")
	b.buffer = NewBuffer(256 << 10)
	huge := strings.Repeat(strings.Repeat("x", 99)+"\n", 20_000) // of 2 MB
	b.append("huge.log", "old\n"+huge)
	b.scan()
	b.rename("huge.log", "huge.log.1")
	b.append("huge.log", "new\n"+huge)
	var small []string
	for i := range 40 {
		b.append(fmt.Sprintf("small-%d.log", i), fmt.Sprintf("%d\n", i))
		small = append(small, fmt.Sprint(i))
	}
	b.append("large.log", strings.Replace(huge, "x", "y", 1))
	b.scan()
	fills, seen := 0, map[string]int{}
	for {
		b.do(b.tailer.Fill(b.buffer, Ship))
		if b.buffer.Len() == 0 {
			break
		}
		fills++
		for _, line := range texts(b.buffer.Chunks) {
			if seen[line] == 0 {
				seen[line] = fills
			}
		}
		if fills == 3 {
			b.append("small-7.log", "late\n")
		}
	}
	for _, line := range small {
		if seen[line] == 0 || seen[line] > 4 {
			t.Errorf("%s came with fill %d", line, seen[line])
		}
	}
	if seen["late"] == 0 || seen["late"] > 6 {
		t.Errorf("what was written after fill 3 came with fill %d", seen["late"])
	}
	if seen["old"] != 1 || seen["new"] < fills/4 {
		t.Errorf("of %d fills, %d has the old file, %d the new one", fills, seen["old"], seen["new"])
	}
}
