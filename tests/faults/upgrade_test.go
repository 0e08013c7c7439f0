package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/tests/rig"
)

// previous is the commit of the agent that the state is exchanged with.
const previous = "9349cf2cdb00284430cb3e9d88b6d1453fe4c7e2"

// olderAgent builds the agent of another commit, or says why it cannot.
func olderAgent(t *testing.T, commit string) (binary string, err error) {
	t.Helper()
	dir := t.TempDir()
	archive := exec.CommandContext(t.Context(), "git", "-C", rig.Root(), "archive", "--format=tar", "--output", filepath.Join(dir, "tree.tar"), commit)
	if out, err := archive.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the history has no commit %.7s (a shallow clone?): %w: %s", commit, err, strings.TrimSpace(string(out)))
	}
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", tree, "-xf", filepath.Join(dir, "tree.tar")).CombinedOutput(); err != nil {
		t.Fatalf("unpack the tree: %s\n%s", err, out)
	}
	binary = filepath.Join(dir, "corkline")
	if err := rig.Build(t.Context(), tree, binary); err != nil {
		t.Fatal(err)
	}
	return binary, nil
}

// The agent is replaced by a newer one and by an older one, again and again,
// while lines come in, Loki comes and goes, and the state holds all that it can:
// positions, accounts, received syslog and archived lines.
func TestRow22Upgrade(t *testing.T) {
	t.Parallel()
	runs := either(4, 40)
	l := newLab(t, 22, fmt.Sprintf("upgrade and downgrade in turn, %d times, at 2,000 lines/s", runs-1))
	older, err := olderAgent(t, previous)
	if err != nil {
		l.row.NotRun = fmt.Sprintf("%s; the state that this agent left, kept in exporter/testdata, has to do", err)
		return
	}
	address := rig.Addr(t)
	// Loki folds what both send only if its labels are the same, which those of a
	// shipped definition need not be over the years.
	l.configure(fmt.Sprintf(`definitions:
  - name: policies
    layouts: [{name: any, regex: '^(?P<time>\S+ \S+) (?P<table>\S+) (?P<policy>\S+) (?P<rest>.*)$'}]
    time: {field: time, layout: "2006/01/02 15:04:05.000000", zone: UTC}
    stream_labels: [table]
    structured_metadata: [policy]
sources:
  - {name: antrea-networkpolicy, definition: policies, files: [%s]}
  - {name: aged, definition: policies, files: [%s]}
  - {name: lb, definition: policies, syslog: {tcp: '%s'}}
`, l.path("np.log"), l.path("aged.log"), address))
	l.write("corkline.yaml", strings.Replace(rig.Read(t, l.path("corkline.yaml")), "timeout: 2s}", "timeout: 2s, max_age: 1h}", 1))
	aged := rig.Lines(t, simulation.Log{Seed: 22, Start: l.from.Add(-90 * time.Minute), Step: 2 * time.Millisecond})

	const each = 200 // lines of the other sources, at a time
	newer := l.agent.Binary
	var archived, received, waiting, spooled, segments int
	var afterStops int // lines sent twice, of which those after kills are the rest
	clean, before := false, 0
	ended := func(stopped bool) { // an agent; what it sent twice, the one before had sent
		if clean {
			afterStops += l.proxy.repeated() - before
		}
		clean, before = stopped, l.proxy.repeated()
	}
	l.meet()
	stop := l.follow(20*time.Millisecond, 40, func(tick int) error {
		if tick%50 == 0 {
			return l.rotate(200)
		}
		return nil
	})
	for i := range runs {
		l.agent.Binary = []string{older, newer}[i%2]
		l.proxy.behave(nil)
		l.agent.Start()
		l.agent.AtLeast(`corkline_pipeline_lines_shipped_total{source="antrea-networkpolicy"}`, 1000)
		var text []byte
		for range each {
			at := len(text)
			text = aged.Next(text)
			l.mu.Lock()
			l.written = append(l.written, string(text[at:len(text)-1]))
			l.mu.Unlock()
		}
		if err := appendTo(l.path("aged.log"), text); err != nil {
			t.Fatal(err)
		}
		l.agent.AtLeast(`corkline_pipeline_lines_dead_lettered_total{source="aged"}`, each)
		archived += each

		l.proxy.behave(always(status(503, "away")))
		if _, err := l.dial("tcp", address).Write(l.next(each)); err != nil {
			t.Fatal(err)
		}
		l.agent.Shows(`corkline_syslog_messages_total{source="lb",transport="tcp"}`, each)
		l.agent.AtLeast(`corkline_pipeline_lines_waiting{source="antrea-networkpolicy"}`, 500)
		received += each
		stopped := i%4 >= 2
		if stopped {
			l.agent.Stop()
		} else {
			l.agent.Kill()
		}
		ended(stopped)
		for _, binary := range []string{older, newer} { // each reads what the other wrote
			for _, a := range rig.Ledger(t, binary, l.path("state")) {
				waiting += int(a.Waiting)
			}
		}
		spooled += l.files("state/spool/lb/*")
		segments += l.files("state/archive/aged/*")
	}
	stop()
	l.proxy.behave(nil)
	for range 2 { // the second reads the last file that the first received into
		l.agent.Once()
	}
	ended(true)
	if n := l.files("state/spool/lb/*"); n > 0 {
		t.Errorf("%d files of syslog stay", n)
	}
	for _, a := range l.ledger() {
		want := map[string][2]int{"antrea-networkpolicy": {len(l.written) - archived - received, 0}, "aged": {archived, archived}, "lb": {received, 0}}[a.Source]
		if got := [2]int{int(a.Read), int(a.DeadLettered)}; got != want {
			t.Errorf("%s: read %d, of which %d are dead-lettered; want %d and %d", a.Source, got[0], got[1], want[0], want[1])
		}
	}
	if got := l.replay(); got != archived {
		t.Errorf("%d lines were replayed, and %d archived", got, archived)
	}
	l.arrived()
	l.row.Note = fmt.Sprintf("to commit %.7s and back; in between %d lines waited, and %d files of syslog and %d segments of the archive had more; of the lines sent twice %d were so after a stop while Loki was away, and the others after a kill, of which the older agent does not read what the newer one has appended to its positions", previous, waiting/2, spooled, segments, afterStops)
	if spooled == 0 || segments == 0 {
		t.Error("the state had nothing to lose")
	}
}

// files that match a pattern.
func (l *lab) files(pattern string) int {
	l.Helper()
	files, err := filepath.Glob(l.path(pattern))
	if err != nil {
		l.Fatal(err)
	}
	return len(files)
}

// replay pushes what the state's archive holds, and gives how many lines.
func (l *lab) replay() (lines int) {
	l.Helper()
	out, log, code := rig.Run(l, exec.CommandContext(l.Context(), l.agent.Binary, "replay", "--config", l.path("corkline.yaml"), "--dir", l.path("state/archive"),
		"--from", l.from.Add(-24*time.Hour).UTC().Format(time.RFC3339), "--to", time.Now().UTC().Format(time.RFC3339)))
	match := regexp.MustCompile(`pushed (\d+) lines`).FindStringSubmatch(out)
	if code != 0 || match == nil {
		l.Fatalf("corkline replay: exit code %d\n%s%s", code, out, log)
	}
	lines, err := strconv.Atoi(match[1])
	if err != nil {
		l.Fatal(err)
	}
	return lines
}
