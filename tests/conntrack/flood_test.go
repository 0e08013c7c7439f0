package conntrack

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// The network: an attacker's and a victim's namespace, and between them that of
// the test, which forwards and tracks.
const (
	clientAddr   = "10.99.1.2"
	attackerAddr = "10.99.1.3" // no client of the victim
	victimAddr   = "10.99.2.2"
	victimPort   = 8080
)

// play tells that the process is to do something in its namespace: "flood" or
// "serve".
const play = "CORKLINE_TEST_PLAY"

// newNetwork gives the processes that hold the two namespaces.
func newNetwork(t *testing.T) (attacker, victim *exec.Cmd) {
	t.Helper()
	emptyTable(t)
	attacker, victim = holder(t), holder(t)
	for _, side := range []struct {
		name, network string
		pid           int
	}{{"a", "10.99.1", attacker.Process.Pid}, {"b", "10.99.2", victim.Process.Pid}} {
		enter := []string{"-t", fmt.Sprint(side.pid), "-n", "ip"}
		command(t, "ip", "link", "add", "ct-"+side.name, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(side.pid))
		command(t, "ip", "addr", "add", side.network+".1/24", "dev", "ct-"+side.name)
		command(t, "ip", "link", "set", "ct-"+side.name, "up")
		command(t, "nsenter", append(enter, "addr", "add", side.network+".2/24", "dev", "eth0")...)
		command(t, "nsenter", append(enter, "addr", "add", side.network+".3/24", "dev", "eth0")...)
		command(t, "nsenter", append(enter, "link", "set", "eth0", "up")...)
		command(t, "nsenter", append(enter, "link", "set", "lo", "up")...)
		command(t, "nsenter", append(enter, "route", "add", "default", "via", side.network+".1")...)
		t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "ct-"+side.name).Run() }) //nolint:noctx // it goes with the namespace as well
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	command(t, "nft", "add table inet forwarding; add chain inet forwarding through { type filter hook forward priority 0; }; add rule inet forwarding through ct state new counter")
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", "forwarding").Run() }) //nolint:noctx // it goes with the namespace as well
	return attacker, victim
}

// holder of a new network namespace, which ends with the test.
func holder(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// start this binary in a namespace; stop ends it. It has begun when it has said so.
func start(t *testing.T, in *exec.Cmd, what string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "nsenter", "-t", fmt.Sprint(in.Process.Pid), "-n", os.Args[0], "-test.run=^TestPlay$")
	cmd.Env = append(os.Environ(), play+"="+what)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatalf("%s: %s", what, err)
	}
	return sync.OnceFunc(func() { cancel(); _ = cmd.Wait() })
}

// TestPlay is the process that start starts.
func TestPlay(t *testing.T) {
	switch os.Getenv(play) {
	case "flood":
		flood(t)
	case "serve":
		serve(t)
	case "burst":
		burst(t)
	}
}

// flood the victim with SYN at full speed.
func flood(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(attackerAddr).As4()}); err != nil {
		t.Fatal(err)
	}
	fmt.Print("!")
	src, dst := netip.MustParseAddr(attackerAddr).As4(), netip.MustParseAddr(victimAddr).As4()
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment[2:], victimPort)
	segment[12], segment[13] = 5<<4, 2 // no options, SYN
	for i := 0; ; i++ {
		binary.BigEndian.PutUint16(segment[0:], uint16(1024+i%64000))
		binary.BigEndian.PutUint32(segment[4:], uint32(i))
		binary.BigEndian.PutUint16(segment[16:], 0)
		binary.BigEndian.PutUint16(segment[16:], checksum(src, dst, segment))
		_ = unix.Sendto(fd, segment, 0, &unix.SockaddrInet4{Addr: dst}) // what the kernel cannot send is no flood
	}
}

func checksum(src, dst [4]byte, segment []byte) uint16 {
	sum := uint32(6 + len(segment))
	for _, b := range [][]byte{src[:], dst[:], segment} {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// serve short connections.
func serve(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(victimAddr, fmt.Sprint(victimPort)))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print("!")
	for {
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// burst of 10,000 short connections.
func burst(t *testing.T) {
	var work sync.WaitGroup
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddr)}}
	for range 50 {
		work.Go(func() {
			for range 200 {
				conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(victimAddr, fmt.Sprint(victimPort)))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}
		})
	}
	work.Wait()
	fmt.Print("!")
}

// told are the events that a collector emits.
type told struct {
	mu     sync.Mutex
	events []map[string]any
}

// Emit implements collector.Events.
func (e *told) Emit(event any) {
	text, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		panic(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, object)
}

// A SYN flood at full speed is seen within two polls, with both ends right; ten
// thousand short connections are none.
func TestFlood(t *testing.T) {
	attacker, victim := newNetwork(t)
	names := conntrack.Names{
		netip.MustParsePrefix(attackerAddr + "/32"): {Namespace: "shop", Pod: "job-1"},
		netip.MustParsePrefix(victimAddr + "/32"):   {Namespace: "shop", Pod: "web-0"},
	}
	events := &told{}
	c := conntrack.New(conntrack.Options{Interval: 15 * time.Second, Names: names, Events: events})
	poll(t, c)

	stopServing := start(t, victim, "serve")
	stopBurst := start(t, attacker, "burst") // returns when it is over
	for range 2 {
		if got := poll(t, c); got["entries"] < 1000 {
			t.Errorf("a burst of %v entries", got["entries"])
		}
	}
	stopBurst()
	stopServing()
	if len(events.events) > 0 {
		t.Errorf("a burst leads to %v", events.events)
	}

	// The victim answers nothing: its firewall is closed.
	command(t, "nsenter", "-t", fmt.Sprint(victim.Process.Pid), "-n", "nft", "add table inet closed; add chain inet closed arriving { type filter hook input priority 0; policy drop; }")
	stopFlood := start(t, attacker, "flood")
	defer stopFlood()
	waitFor(t, 3000+10000) // entries, a small part of what a poll's interval brings
	for range 2 {
		poll(t, c)
	}
	stopFlood()
	if len(events.events) == 0 {
		t.Fatalf("no flood in %v", c.Status())
	}
	e := events.events[0]
	if e["event"] != "flood" || e["phase"] != "start" || e["src_ip"] != attackerAddr || e["src_pod"] != "shop/job-1" ||
		e["dst_ip"] != victimAddr || e["dst_pod"] != "shop/web-0" || e["dst_port"] != float64(victimPort) || e["protocol"] != "tcp" {
		t.Errorf("%v", e)
	}
	if facts := fmt.Sprint(c.Status()); !strings.Contains(facts, "shop/job-1") {
		t.Errorf("the status page does not tell who: %s", facts)
	}
	t.Logf("%v", e["message"])
}

// A flood of a big table is told with the next check, long before all entries
// are to be read again, whether the victim answers or not; growth that is
// answered is not read.
func TestFloodCheck(t *testing.T) {
	emptyTable(t)
	table := openTable(t)
	const size = 200_000
	table.fill(size)
	f := func(what string, answered bool) {
		t.Helper()
		later := time.Duration(0)
		events := &told{}
		c := conntrack.New(conntrack.Options{
			Interval: 10 * time.Minute, Check: 2 * time.Second, Events: events, Now: func() time.Time { return time.Now().Add(later) },
		})
		f := func(when string, read uint64, checks float64, floods int) sums {
			t.Helper()
			start := time.Now()
			got := poll(t, c)
			r := c.Report()
			t.Logf("%s, %s: polled in %s", what, when, time.Since(start).Round(time.Millisecond))
			if r.Read != read || got["flood_checks_total"] != checks || len(events.events) != floods || r.Missing != "" {
				t.Errorf("%s, %s: %d entries read, %v checks, %s, events %v", what, when, r.Read, got["flood_checks_total"], r.Missing, events.events)
			}
			later += time.Minute
			return got
		}
		f("the first poll", size, 0, 0)
		if next := c.Interval(); next > 2*time.Second {
			t.Errorf("the next poll is in %s", next)
		}
		f("nothing new", size, 0, 0)
		table.more(size, 5000)
		if got := f("growth", size, 1, 0); got["entries"] != size+5000 {
			t.Errorf("the size is %v", got["entries"])
		}
		table.forge(5000, answered)
		if got := f("flooded", size+10_000, 2, 1); got["status_entries half_open"] != 5000 {
			t.Errorf("%v half-open entries", got["status_entries half_open"])
		}
		f("still flooded", size+10_000, 2, 1)
		if len(events.events) > 0 {
			if e := events.events[0]; e["event"] != "flood" || e["dst_ip"] != forgedTo || e["dst_port"] != float64(80) {
				t.Errorf("%s: %v", what, e)
			}
		}
	}
	f("no answer", false)
	command(t, "conntrack", "-D", "-d", forgedTo)
	for i := size; i < size+5000; i++ {
		table.remove(i)
	}
	table.flush()
	f("answered", true)
	emptyTable(t)
}

// waitFor so many entries.
func waitFor(t *testing.T, entries uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		n, _, err := (&conntrack.Options{}).Size(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n >= entries {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d entries only", n)
		case <-ticker.C:
		}
	}
}
