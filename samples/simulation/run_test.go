package simulation_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
)

func run(t *testing.T, change func(*simulation.Play)) (string, *simulation.Written) {
	t.Helper()
	p := simulation.Play{
		Options: simulation.Options{Seed: 7, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rate: 1},
		Dir:     t.TempDir(), Seconds: 120, Fast: true,
	}
	change(&p)
	w, err := simulation.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return p.Dir, w
}

// files below a folder, by path, without links.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRun_IsDecidedByItsSeed(t *testing.T) {
	f := func(same bool, change func(*simulation.Play)) {
		t.Helper()
		one, _ := run(t, func(*simulation.Play) {})
		other, _ := run(t, change)
		a, b := files(t, one), files(t, other)
		if maps.Equal(a, b) != same {
			t.Errorf("equal files: %v, want %v; there are %d and %d", !same, same, len(a), len(b))
		}
	}
	f(true, func(*simulation.Play) {})
	f(false, func(p *simulation.Play) { p.Seed = 8 })
	f(false, func(p *simulation.Play) { p.Stories = []simulation.Story{} })
}

// Each node has its logs where the definitions look for them, and nodes differ.
func TestRun_LaysOutNodes(t *testing.T) {
	dir, w := run(t, func(p *simulation.Play) { p.Nodes = 2 })
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, node := range []string{"node-1", "node-2"} {
		for _, d := range w.Definitions {
			pattern := filepath.Join(dir, node, "var/log/avi/avi-*.log")
			if !strings.HasPrefix(d.Definition, "avi-") {
				pattern = filepath.Join(dir, node, set[d.Definition].Files[0])
			}
			found, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			once := d.Definition == "antrea-controller" || d.Definition == "ako" || d.Definition == "amko" || strings.HasPrefix(d.Definition, "avi-")
			if want := map[bool]int{true: 1}[node == "node-1" || !once]; len(found) != want {
				t.Errorf("%s has %d files, want %d: %v", pattern, len(found), want, found)
			}
			for _, path := range found {
				log, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				text[node+d.Definition] = string(log)
			}
		}
	}
	if text["node-1antrea-networkpolicy"] == text["node-2antrea-networkpolicy"] {
		t.Error("two nodes log the same")
	}
}

// Files are rotated where they have become long, by their own conventions, and
// no line is torn or missing.
func TestRun_Rotates(t *testing.T) {
	whole, _ := run(t, func(p *simulation.Play) { p.Seconds = 30 })
	dir, _ := run(t, func(p *simulation.Play) { p.Seconds, p.RotateBytes = 30, 40<<10 })
	a, b := files(t, whole), files(t, dir)
	const log = "node-1/var/log/antrea/networkpolicy/np.log"
	var parts []string
	for name := range b {
		if strings.HasPrefix(name, "node-1/var/log/antrea/networkpolicy/np-2026-01-02T03-04-") && strings.HasSuffix(name, ".000.log") {
			parts = append(parts, name)
		}
	}
	slices.Sort(parts)
	if len(parts) < 2 {
		t.Fatalf("rotated are %v", parts)
	}
	text := ""
	for _, name := range append(parts, log) {
		if text += b[name]; !strings.HasSuffix(text, "\n") {
			t.Errorf("%s ends in the middle of a line", name)
		}
	}
	if text != a[log] {
		t.Errorf("of %d bytes %d are there after rotations", len(a[log]), len(text))
	}
	// The oldest are removed.
	dir, _ = run(t, func(p *simulation.Play) { p.Seconds, p.RotateBytes = 120, 1 })
	for _, f := range []struct{ pattern, about string }{
		{"node-1/var/log/antrea/networkpolicy/np-*.log", "np.log"},
		{"node-1/var/log/antrea/openvswitch/ovs-vswitchd.log.[1-9]", "ovs-vswitchd.log"},
		{"node-1/var/log/pods/*/antrea-agent/0.log.2026*", "antrea-agent"},
	} {
		if found, err := filepath.Glob(filepath.Join(dir, f.pattern)); err != nil || len(found) != 4 {
			t.Errorf("%s has %d backups, want 4: %v, %v", f.about, len(found), found, err)
		}
	}
}

// What is said to be written is.
func TestRun_Written(t *testing.T) {
	dir, w := run(t, func(p *simulation.Play) { p.Nodes, p.Seconds = 2, 200 })
	var read simulation.Written
	text, err := os.ReadFile(filepath.Join(dir, simulation.WrittenFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*w, read); diff != "" {
		t.Errorf("the file differs (-given +file):\n%s", diff)
	}
	value := func(of []simulation.Expectation, expression string) float64 {
		for _, e := range of {
			if e.Expression == expression {
				return e.Value
			}
		}
		t.Errorf("no %s", expression)
		return 0
	}
	drops := 0
	for node := range 2 {
		log, err := os.ReadFile(filepath.Join(dir, simulation.NodeName(node), "var/log/antrea/networkpolicy/np.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, direction := range []string{"Ingress", "Egress"} {
			n := bytes.Count(log, []byte(" "+direction+" Drop "))
			drops += n
			if got := value(w.LogQL, fmt.Sprintf(`sum(count_over_time({cluster="simulated", node=%q, source="antrea-networkpolicy", action="Drop", direction=%q}[201s]))`, simulation.NodeName(node), direction)); got != float64(n) {
				t.Errorf("on node %d are %v lines with %s Drop, want %d", node, got, direction, n)
			}
		}
		if got := value(w.LogQL, fmt.Sprintf(`sum(count_over_time({cluster="simulated", node=%q, source="antrea-networkpolicy"}[201s]))`, simulation.NodeName(node))); got != float64(bytes.Count(log, []byte("\n"))) {
			t.Errorf("on node %d are %v lines", node, got)
		}
	}
	if got := value(w.PromQL, `sum(corkline_networkpolicy_log_lines_total{action="Drop"})`); got != float64(drops) || drops == 0 {
		t.Errorf("%v lines with Drop are counted, want %d", got, drops)
	}
	if w.At != w.Start.Add(200*time.Second) {
		t.Errorf("the end is %s", w.At)
	}
}

// A second is written when it has passed; what passed before, at once.
func TestRun_Live(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		lines := func() int {
			log, err := os.ReadFile(filepath.Join(dir, "node-1/var/log/antrea/networkpolicy/np.log"))
			if err != nil {
				t.Fatal(err)
			}
			last := strings.LastIndexByte(strings.TrimSuffix(string(log), "\n"), '\n')
			at, err := time.Parse("2006/01/02 15:04:05", string(log)[last+1:][:19])
			if err != nil {
				t.Fatal(err)
			}
			return int(time.Since(at) / time.Second)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var reports []int
		done := make(chan error)
		go func() {
			_, err := simulation.Run(ctx, simulation.Play{
				Options: simulation.Options{Seed: 1, Start: time.Now().Add(-time.Minute), Rate: 1},
				Dir:     dir,
				Report:  func(r simulation.Report) { reports = append(reports, r.Moment.Second) },
			})
			done <- err
		}()
		synctest.Wait()
		if late := lines(); late != 1 {
			t.Errorf("the last line is %d seconds old at the begin", late)
		}
		timer := time.NewTimer(25*time.Second + time.Millisecond)
		<-timer.C
		synctest.Wait()
		if late := lines(); late != 1 {
			t.Errorf("the last line is %d seconds old after a while", late)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]int{59, 69, 79}, reports); diff != "" {
			t.Errorf("reports at (-want +got):\n%s", diff)
		}
	})
}

// Lines wait for their receiver, and come in order, each once.
func TestRun_Syslog(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nobody is there at first
	var got []string
	received, again := make(chan error, 1), make(chan struct{})
	told := make(chan string, 16)
	s := simulation.Syslog{Network: "tcp", Address: address, Log: func(format string, args ...any) { told <- fmt.Sprintf(format, args...) }}
	sender := simulation.StartSender(s)
	send := func(from, to int) {
		var lines [][]byte
		for i := from; i < to; i++ {
			lines = append(lines, fmt.Appendf(nil, "<14>line %d\n", i))
		}
		if err := sender.Send(t.Context(), lines); err != nil {
			t.Error(err)
		}
	}
	send(0, 5000)
	away := <-told
	if !strings.Contains(away, "5000 lines wait") {
		t.Errorf("it says %q", away)
	}
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for i := range 2 {
			conn, err := listener.Accept()
			if err != nil {
				received <- err
				return
			}
			if i == 1 {
				close(again)
			}
			lines := bufio.NewReader(conn)
			for i == 1 || len(got) < 2500 { // there it is closed between two lines
				line, err := lines.ReadString('\n')
				if err == io.EOF {
					received <- conn.Close()
					return
				}
				if err != nil {
					received <- err
					return
				}
				got = append(got, line)
			}
			conn.Close()
		}
		received <- nil
	}()
	back := <-told
	end, tick := 5000, time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for connected := false; !connected; end += 10 {
		send(end, end+10)
		select {
		case <-again:
			connected = true
		case <-tick.C:
		}
	}
	if err := sender.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		t.Fatal("nothing came")
	}
	// What was on its way when the receiver went away is gone, as syslog has no
	// acknowledgement. All else is there once, in order.
	last := -1
	for _, line := range got {
		var n int
		if _, err := fmt.Sscanf(line, "<14>line %d\n", &n); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if n <= last {
			t.Fatalf("line %d comes after %d", n, last)
		}
		last = n
	}
	if last != end-1 {
		t.Errorf("the last line is %d, not %d", last, end-1)
	}
	t.Log(len(got), "of", end, "lines;", away, ";", back)
}

func TestRun_SyslogThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender := simulation.StartSender(simulation.Syslog{Network: "tcp", Address: "127.0.0.1:1"})
		if err := sender.Send(t.Context(), [][]byte{[]byte("a\n"), []byte("b\n")}); err != nil {
			t.Error(err)
		}
		err := sender.Stop()
		if err == nil || !strings.Contains(err.Error(), "2 lines have not been taken: connect: ") {
			t.Errorf("got %v", err)
		}
	})
}

// What does not fit any more waits for room, and is not taken when ctx ends.
func TestRun_SyslogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender := simulation.StartSender(simulation.Syslog{Network: "tcp", Address: "127.0.0.1:1"})
		line := bytes.Repeat([]byte{'a'}, 8<<20)
		for range 8 {
			if err := sender.Send(t.Context(), [][]byte{line}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := sender.Send(ctx, [][]byte{line}); err == nil || !strings.Contains(err.Error(), "send 1 lines by syslog: context deadline exceeded") {
			t.Errorf("got %v", err)
		}
		if err := sender.Stop(); err == nil || !strings.Contains(err.Error(), "8 lines have not been taken") {
			t.Errorf("got %v", err)
		}
	})
}

// Over UDP a line is a datagram, without its end.
func TestRun_SyslogOverUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sender := simulation.StartSender(simulation.Syslog{Network: "udp", Address: conn.LocalAddr().String()})
	if err := sender.Send(t.Context(), [][]byte{[]byte("<14>one\n"), []byte("<14>two\n")}); err != nil {
		t.Error(err)
	}
	datagram := make([]byte, 100)
	for _, want := range []string{"<14>one", "<14>two"} {
		n, _, err := conn.ReadFrom(datagram)
		if err != nil || string(datagram[:n]) != want {
			t.Errorf("got %q, %v, want %q", datagram[:n], err, want)
		}
	}
	if err := sender.Stop(); err != nil {
		t.Error(err)
	}
}

func TestParseSyslog(t *testing.T) {
	f := func(text, network, address string) {
		t.Helper()
		got, err := simulation.ParseSyslog(text)
		if network == "" {
			if err == nil {
				t.Errorf("%q is taken as %+v", text, got)
			}
			return
		}
		if err != nil || got.Network != network || got.Address != address {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	f("tcp://127.0.0.1:5515", "tcp", "127.0.0.1:5515")
	f("udp://[2001:db8::1]:514/", "udp", "[2001:db8::1]:514")
	f("127.0.0.1:5515", "", "")
	f("http://127.0.0.1:5515", "", "")
	f("tcp://127.0.0.1", "", "")
	f("tcp://:5515", "", "")
	f("tcp://127.0.0.1:5515/path", "", "")
}
