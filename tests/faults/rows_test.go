package faults

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/tests/rig"
)

// short gives the figure of the short form, or that of the long one.
func either[T any](short, whole T) T {
	if *long {
		return whole
	}
	return short
}

// Kills at random points, at 5,000 lines a second, with rotation, while Loki
// is there or is away.
func TestRow01Kill(t *testing.T) {
	t.Parallel()
	f := func(kills int, least, most time.Duration) {
		t.Run(fmt.Sprint(least), func(t *testing.T) { killed(t, kills, least, most) })
	}
	f(either(100, 1000), 100*time.Millisecond, 900*time.Millisecond)
	f(either(13, 130), 2100*time.Millisecond, 2900*time.Millisecond)
}

// killed kills the agent that often, each time after least to most.
func killed(t *testing.T, kills int, least, most time.Duration) {
	t.Parallel()
	l := newLab(t, 1, fmt.Sprintf("kill -9 every %.1f–%.1f s, %d times, 5,000 lines/s, rotation every 2 s, Loki up and down", least.Seconds(), most.Seconds(), kills))
	draw := rand.New(rand.NewPCG(1, uint64(kills))) // #nosec G404 -- a test
	l.proxy.behave(func(push int, _ []string) fault {
		if push/20%4 == 1 {
			return status(503, "away")
		}
		return nil
	})
	l.meet()
	stop := l.follow(20*time.Millisecond, 100, l.rotating(100, 200, l.rotate))
	for range kills {
		l.agent.Start()
		alive := time.NewTimer(least + time.Duration(draw.Int64N(int64(most-least))))
		<-alive.C
		l.kill()
	}
	stop()
	l.proxy.behave(nil)
	l.agent.Once()
	l.arrived()
	share := func(n int) float64 { return 100 * float64(n) / float64(l.row.Lines) }
	l.row.Note = fmt.Sprintf("%.3f %% sent twice, %.3f %% after Loki's folding", share(l.row.SentTwice), share(l.row.Twice))
}

// After a loss of power the newest writes of the state may be missing: the
// position file is that of some commits ago.
func TestRow02PowerLoss(t *testing.T) {
	l := newLab(t, 2, "unsynced writes are dropped: the position file is an old one")
	rounds := either(5, 50)
	for range rounds {
		l.append("np.log", 2000)
		l.agent.Once()
		old, err := os.ReadFile(l.path("state/positions"))
		if err != nil {
			t.Fatal(err)
		}
		l.append("np.log", 2000)
		l.agent.Once()
		if err := os.WriteFile(l.path("state/positions"), old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.agent.Once()
	l.arrived()
	l.row.Note = "what is sent again, Loki folds"
}

// The disk of the state is full: nothing is lost, and the agent goes on when
// there is room again.
func TestRow03DiskFull(t *testing.T) {
	l := newLab(t, 3, "disk of the state is full (1 MiB tmpfs)")
	if err := os.Mkdir(l.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", l.path("state"), "tmpfs", 0, "size=1m"); err != nil {
		if errors.Is(err, syscall.EPERM) {
			l.row.NotRun = fmt.Sprintf("mounting a tmpfs takes root: %s", err)
			return
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.agent.Kill() // it holds files open, if the test has failed
		if err := syscall.Unmount(l.path("state"), 0); err != nil {
			t.Error(err)
		}
	})
	l.append("np.log", 1000)
	l.agent.Start()
	l.agent.Balances("antrea-networkpolicy", 1000)
	filler := l.path("state/filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk takes 2 MiB: %v", err)
	}
	// The last page of the positions has room for some commits.
	const failures = "corkline_pipeline_position_write_failures_total"
	for n := 2000; l.metrics()[failures] == 0; n += 1000 {
		l.append("np.log", 1000)
		l.agent.Balances("antrea-networkpolicy", n)
	}
	l.append("np.log", 5000)
	l.agent.Balances("antrea-networkpolicy", len(l.written))
	l.kill() // what was not committed is sent again
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.append("np.log", 500)
	l.agent.Once()
	l.arrived()
}

// Loki is away, while lines go on being counted; then they are delivered.
func TestRow04LokiAway(t *testing.T) {
	away := either(12*time.Second, time.Minute)
	backlog := either(150_000, 1_000_000)
	l := newLab(t, 4, fmt.Sprintf("Loki away for %s, with %d lines", away, backlog))
	l.append("np.log", 1000)
	l.agent.Start()
	l.agent.Balances("antrea-networkpolicy", 1000)
	l.proxy.behave(always(cut))
	l.append("np.log", backlog)
	l.read(backlog + 1000)
	l.agent.Measure()
	during := l.agent.PeakRSS
	wait := time.NewTimer(away)
	<-wait.C
	back := time.Now()
	first := l.proxy.next()
	l.proxy.pass()
	<-first
	late := time.Since(back)
	l.agent.Balances("antrea-networkpolicy", backlog+1000)
	l.agent.Stop()
	l.arrived()
	l.row.Note = fmt.Sprintf("first line %.1f s after Loki's return; RSS during the outage %.1f MiB", late.Seconds(), float64(during)/(1<<20))
	if late > 5*time.Second {
		t.Errorf("the first line came %s after Loki's return", late)
	}
}

// What has gathered in a long outage is delivered, with nothing between the
// agent and Loki.
func TestRow04Backlog(t *testing.T) {
	const perSecond = 2000
	away := either(time.Minute, time.Hour)
	backlog := perSecond * int(away.Seconds())
	l := newLab(t, 4, fmt.Sprintf("a backlog of %s at %d lines/s, no proxy between", away, perSecond))
	l.upstream = stack.Loki.URL
	l.tail()
	l.from = time.Now().Add(-away).Truncate(time.Second)
	l.lines = rig.Lines(t, simulation.Log{Seed: 4, Start: l.from, Step: time.Second / perSecond})
	for left := backlog; left > 0; left -= 100_000 {
		l.append("np.log", min(left, 100_000))
	}
	syscall.Sync() // the lines of an hour have long been on the disk
	start := time.Now()
	l.agent.Start()
	all := l.agent.Balances("antrea-networkpolicy", backlog)
	drained := time.Since(start)
	l.agent.Stop()
	pushes, refused := 0.0, 0.0
	for series, n := range all {
		switch status, of := strings.CutPrefix(series, "corkline_loki_push_requests_total"); {
		case !of:
			continue
		case status != `{status="2xx"}` && status != `{status="error"}`: // that is no answer in time
			refused += n
		}
		pushes += n
	}
	if pushes == 0 || refused > 0 {
		t.Errorf("Loki refused %v of %v pushes", refused, pushes)
	}
	l.arrived()
	l.row.Note = fmt.Sprintf("delivered in %.0f s, %.0f lines/s, in %v pushes of which Loki refused %v, and %v were repeated",
		drained.Seconds(), float64(backlog)/drained.Seconds(), pushes, refused, all["corkline_loki_push_retries_total"])
}

// Every answer that Loki or what stands before it may give.
func TestRow05Answers(t *testing.T) {
	l := newLab(t, 5, "429, 500, 503, 400, 413, hang, half-close, cut, lost answers")
	refused := map[string]bool{}
	l.append("np.log", 20_000)
	for i := 5; i < len(l.written); i += 4000 {
		refused[l.written[i]] = true // Loki is made to refuse these
	}
	answers := []fault{
		status(429, "slow down"), nil, status(500, "what"), status(503, ""), nil, status(413, "too large"), halfClose, nil, cut, deaf, nil, hang, nil,
	}
	l.proxy.behave(func(push int, lines []string) fault {
		bad := slices.ContainsFunc(lines, func(line string) bool { return refused[line] })
		lets := push == 9 // deaf lets Loki have the push
		switch {
		case push < len(answers) && answers[push] != nil && (!bad || !lets):
			return answers[push]
		case bad:
			return status(400, "entry has a forbidden word")
		}
		return nil
	})
	l.agent.Start()
	all := l.agent.Balances("antrea-networkpolicy", len(l.written))
	if dead := all[`corkline_pipeline_lines_dead_lettered_total{source="antrea-networkpolicy"}`]; dead != float64(len(refused)) {
		t.Errorf("%v dead letters, want %d", dead, len(refused))
	}
	l.agent.Stop()
	var good []string
	for _, line := range l.written {
		if !refused[line] {
			good = append(good, line)
		}
	}
	l.written, l.besides = good, len(refused)
	l.arrived()
	l.row.Note = fmt.Sprintf("%d lines refused with 400, each a dead letter", len(refused))
}

// meet lets an agent follow np.log for the first time: what is rotated away before
// is no concern of its.
func (l *lab) meet() {
	l.Helper()
	l.append("np.log", 1)
	l.agent.Once()
}

// Rotation by renaming, also while no agent runs.
func TestRow06Rotation(t *testing.T) {
	rounds := either(8, 100)
	t.Parallel()
	l := newLab(t, 6, "rename rotation ten times a second, 10 deep, also while the agent is down")
	rotate := l.rotating(5, 10, l.rotate)
	l.meet()
	for range rounds {
		l.agent.Start()
		stop := l.follow(20*time.Millisecond, 50, rotate)
		up := time.NewTimer(700 * time.Millisecond)
		<-up.C
		l.agent.Stop()
		l.ledger()
		down := time.NewTimer(400 * time.Millisecond)
		<-down.C
		stop()
		l.agent.Once()
		l.ledger()
	}
	l.arrived()
}

// copytruncate, with the last lines read before the truncation.
func TestRow07CopyTruncate(t *testing.T) {
	rounds := either(10, 200)
	l := newLab(t, 7, "copytruncate")
	l.agent.Start()
	for i := range rounds {
		l.append("np.log", 500)
		l.agent.Balances("antrea-networkpolicy", 500*(i+1))
		if err := os.Truncate(l.path("np.log"), 0); err != nil {
			t.Fatal(err)
		}
	}
	l.agent.Stop()
	l.arrived()
	l.row.Note = "what is written between the last read and the truncation is lost to any reader; here there is none"
}

// Rotated files are compressed at once, also while no agent runs, and the
// pattern takes the live file, the rotated one and the compressed ones.
func TestRow08Gzip(t *testing.T) {
	rounds := either(8, 100)
	t.Parallel()
	l := newLab(t, 8, "gzip before the end was read; a glob that takes live, rotated and .gz")
	l.configure(fmt.Sprintf("sources:\n  - {definition: antrea-networkpolicy, files: ['%s*']}\n", l.path("np.log")))
	rotate := l.rotating(8, 10, l.compress)
	l.meet()
	for range rounds {
		l.append("np.log", 400)
		l.agent.Start()
		stop := l.follow(20*time.Millisecond, 30, rotate)
		up := time.NewTimer(500 * time.Millisecond)
		<-up.C
		l.kill()
		down := time.NewTimer(300 * time.Millisecond)
		<-down.C
		stop()
	}
	l.agent.Once()
	l.arrived()
}

// compress rotates as logrotate does: np.log becomes np.log.1 and that
// np.log.1.gz, which becomes np.log.2.gz, and so on.
func (l *lab) compress(depth int) error {
	for i := depth; i >= 2; i-- {
		err := os.Rename(l.path(fmt.Sprintf("np.log.%d.gz", i-1)), l.path(fmt.Sprintf("np.log.%d.gz", i)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(l.path("np.log"), l.path("np.log.1")); err != nil {
		return err
	}
	text, err := os.ReadFile(l.path("np.log.1"))
	if err != nil {
		return err
	}
	packed, err := os.OpenFile(l.path("np.log.1.gz"), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := gzip.NewWriter(packed)
	for len(text) > 0 && err == nil { // in pieces: it grows while it is seen
		n := min(len(text), 4<<10)
		_, err = w.Write(text[:n])
		err = errors.Join(err, w.Flush())
		text = text[n:]
	}
	if err := errors.Join(err, w.Close(), packed.Close()); err != nil {
		return err
	}
	return os.Remove(l.path("np.log.1"))
}

// Pods come and go, their containers are restarted, and their links swapped.
func TestRow10Links(t *testing.T) {
	pods := either(60, 2000)
	l := newLab(t, 10, fmt.Sprintf("links of /var/log/containers swapped, %d pods", pods))
	l.configure(fmt.Sprintf("sources:\n  - {definition: antrea-networkpolicy, files: ['%s/*.log']}\n", l.path("containers")))
	if err := os.MkdirAll(l.path("containers"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.agent.Start()
	l.metrics()
	before := l.descriptors()
	most := 0
	const together = 10
	for first := 0; first < pods; first += together {
		for restart := range 3 {
			for i := first; i < first+together; i++ {
				link := l.path(fmt.Sprintf("containers/web-%d.log", i))
				if err := os.MkdirAll(l.path(fmt.Sprintf("pods/%d", i)), 0o700); err != nil {
					t.Fatal(err)
				}
				if restart > 0 { // the last lines before the container is restarted
					l.append(fmt.Sprintf("pods/%d/%d.log", i, restart-1), 5)
				}
				name := fmt.Sprintf("pods/%d/%d.log", i, restart)
				l.append(name, 20)
				if err := errors.Join(os.Symlink(l.path(name), link+".new"), os.Rename(link+".new", link)); err != nil {
					t.Fatal(err)
				}
			}
			l.agent.Balances("antrea-networkpolicy", len(l.written))
		}
		most = max(most, l.descriptors())
		for i := first; i < first+together; i++ { // the pods are deleted
			if err := errors.Join(os.Remove(l.path(fmt.Sprintf("containers/web-%d.log", i))), os.RemoveAll(l.path(fmt.Sprintf("pods/%d", i)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	rig.Eventually(t, "descriptors", func(context.Context) error {
		if n := l.descriptors(); n > before {
			return fmt.Errorf("are %d, and were %d", n, before)
		}
		return nil
	})
	l.agent.Stop()
	l.arrived()
	l.row.Note = fmt.Sprintf("%d descriptors before, %d at most, back to %d or fewer", before, most, before)
}

// descriptors of log files that the agent has open.
func (l *lab) descriptors() (n int) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", l.agent.PID()))
	if err != nil {
		l.Fatal(err)
	}
	for _, path := range paths {
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, l.dir) && strings.Contains(target, ".log") {
			n++
		}
	}
	return n
}

// A deleted file's inode is used again, and files begin alike.
func TestRow09Inodes(t *testing.T) {
	rounds := either(10, 200)
	l := newLab(t, 9, "inodes that are used again; files with the same first KiB")
	l.configure(fmt.Sprintf("sources:\n  - {definition: antrea-networkpolicy, files: ['%s/*.log']}\n", l.dir))
	same := l.next(10) // more than a KiB, in each file: Loki folds it
	reused := 0
	var before uint64
	for i := range rounds {
		name := fmt.Sprintf("np-%d.log", i)
		if err := appendTo(l.path(name), same); err != nil {
			t.Fatal(err)
		}
		l.append(name, 500)
		var info syscall.Stat_t
		if err := syscall.Stat(l.path(name), &info); err != nil {
			t.Fatal(err)
		}
		if info.Ino == before {
			reused++
		}
		before = info.Ino
		l.agent.Once()
		if err := os.Remove(l.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	l.besides = (rounds - 1) * 10 // the same lines of each file
	l.arrived()
	l.row.Note = fmt.Sprintf("%d of %d files had the inode of the one before", reused, rounds)
}

// Times that jump: each line keeps its place, and none is refused.
func TestRow11Clock(t *testing.T) {
	l := newLab(t, 11, "clock jumps by ±1 h and ±1 d")
	base := time.Now().Add(-2 * time.Hour).UTC()
	var text []byte
	for i, jump := range []time.Duration{0, time.Hour, 0, -time.Hour, 0, -24 * time.Hour, 0, 24 * time.Hour, 0} {
		for k := range 200 {
			line := fmt.Sprintf("%s AntreaPolicyIngressRule AntreaNetworkPolicy:shop/web allow-%d Allow 14600 192.0.2.1 %d 192.0.2.2 80 TCP 60",
				base.Add(time.Duration(i*200+k)*time.Millisecond).Add(jump).Format("2006/01/02 15:04:05.000000"), i, 1000+k)
			l.written = append(l.written, line)
			text = append(append(text, line...), '\n')
		}
	}
	if err := appendTo(l.path("np.log"), text); err != nil {
		t.Fatal(err)
	}
	l.agent.Start()
	all := l.agent.Balances("antrea-networkpolicy", len(l.written))
	if dead := all[`corkline_pipeline_lines_dead_lettered_total{source="antrea-networkpolicy"}`]; dead != 0 {
		t.Errorf("%v lines were refused", dead)
	}
	l.agent.Stop()
	l.arrived()
	l.row.Note = "a time that Loki would refuse is replaced by that of the line before, and flagged"
}

// Lines that no format has.
func TestRow12HugeLine(t *testing.T) {
	l := newLab(t, 12, "a line of 100 MiB, NUL, invalid UTF-8, a line without end")
	l.append("np.log", 100)
	huge := make([]byte, 100<<20)
	for i := range huge {
		huge[i] = 'x'
	}
	huge[len(huge)-1] = '\n'
	if err := appendTo(l.path("np.log"), huge); err != nil {
		t.Fatal(err)
	}
	if err := appendTo(l.path("np.log"), []byte("nul \x00\nbad \xff\xfe\n")); err != nil {
		t.Fatal(err)
	}
	l.append("np.log", 100)
	if err := appendTo(l.path("np.log"), []byte("without end")); err != nil {
		t.Fatal(err)
	}
	l.written = append(l.written, strings.Repeat("x", 256<<10), "nul \x00", "bad \uFFFD", "without end")
	l.agent.Once()
	l.arrived()
	l.row.Note = "the huge line is cut at 256 KiB and flagged"
	if l.agent.PeakRSS > 64<<20 {
		t.Errorf("peak RSS is %d", l.agent.PeakRSS)
	}
}

// A flipped byte of the positions costs a repetition of one file at most.
func TestRow13Damage(t *testing.T) {
	flips := either(15, 300)
	l := newLab(t, 13, fmt.Sprintf("position file with a flipped byte, %d times", flips))
	l.anew = true                       // what a flipped byte damages may be an account
	draw := rand.New(rand.NewPCG(3, 4)) // #nosec G404 -- a test
	for range flips {
		l.append("np.log", 200)
		l.agent.Once()
		text, err := os.ReadFile(l.path("state/positions"))
		if err != nil {
			t.Fatal(err)
		}
		text[draw.IntN(len(text))] ^= byte(1 + draw.IntN(255))
		if err := os.WriteFile(l.path("state/positions"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.agent.Once()
	l.arrived()
}

// The agent needs no inotify watches, of which a node may have none left.
func TestRow14Inotify(t *testing.T) {
	l := newLab(t, 14, "inotify limits are exhausted")
	l.append("np.log", 1000)
	l.agent.Start()
	l.agent.Balances("antrea-networkpolicy", 1000)
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", l.agent.PID()))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no descriptors: %v", err)
	}
	for _, path := range paths {
		if target, err := os.Readlink(path); err == nil && strings.Contains(target, "inotify") {
			t.Errorf("%s is %s", path, target)
		}
	}
	l.append("np.log", 1000)
	l.agent.Balances("antrea-networkpolicy", 2000)
	l.agent.Stop()
	l.arrived()
	l.row.Note = "the agent polls and has no watches"
}

// Garbage is shipped as it is, and flagged.
func TestRow19Garbage(t *testing.T) {
	l := newLab(t, 19, "garbage")
	draw := rand.New(rand.NewPCG(5, 6)) // #nosec G404 -- a test
	n := either(2000, 50_000)
	var text []byte
	for i := range n {
		line := fmt.Sprintf("%d ", i)
		for range draw.IntN(400) {
			line += string(rune(' ' + draw.IntN(0x2000)))
		}
		line = strings.ToValidUTF8(line, "")
		l.written = append(l.written, line)
		text = append(append(text, line...), '\n')
	}
	if err := appendTo(l.path("np.log"), text); err != nil {
		t.Fatal(err)
	}
	l.agent.Start()
	l.agent.Balances("antrea-networkpolicy", n)
	l.agent.Stop()
	l.arrived()
}

// All of it at random.
func TestRow21Soak(t *testing.T) {
	length := either(20*time.Second, 15*time.Minute)
	t.Parallel()
	l := newLab(t, 21, fmt.Sprintf("%s of all of it at random", length))
	draw := rand.New(rand.NewPCG(7, 8)) // #nosec G404 -- a test
	faults := []fault{nil, nil, nil, nil, status(429, ""), status(500, ""), cut, deaf, halfClose}
	l.proxy.behave(func(push int, _ []string) fault { return faults[push*7%len(faults)] })
	l.meet()
	stop := l.follow(10*time.Millisecond, 20, l.rotating(150, 200, l.rotate))
	for end := time.Now().Add(length); time.Now().Before(end); {
		l.agent.Start()
		alive := time.NewTimer(time.Duration(100+draw.IntN(3000)) * time.Millisecond)
		<-alive.C
		if draw.IntN(2) == 0 {
			l.kill()
		} else {
			l.agent.Stop()
		}
	}
	stop()
	l.proxy.behave(nil)
	l.agent.Once()
	l.arrived()
}
