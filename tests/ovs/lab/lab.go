// Package lab runs a real Open vSwitch for tests: ovsdb-server and
// ovs-vswitchd with the userspace datapath in a network namespace, and pods in
// namespaces of their own, joined by veth. It needs root.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Options of a switch.
type Options struct {
	Bridge    string   // br-int
	Protocols []string // OpenFlow10 to OpenFlow15
	Dummy     bool     // devices of the type dummy, which need no network
}

// Switch is a running Open vSwitch with one bridge.
type Switch struct {
	Dir    string // of the sockets, the database and the logs (the run dir)
	Bridge string

	t         testing.TB
	options   Options
	prefix    string // of the namespaces
	database  *exec.Cmd
	forwarder *exec.Cmd
}

// switches counts them, so that each has namespaces of its own.
var switches atomic.Int32 //nolint:gochecknoglobals // names must differ within the process

// Start runs a switch until the test ends, and fails the test when it cannot.
func Start(t testing.TB, options Options) *Switch {
	t.Helper()
	if options.Bridge == "" {
		options.Bridge = "br-int"
	}
	if len(options.Protocols) == 0 {
		options.Protocols = []string{"OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"}
	}
	install(t)
	dir, err := os.MkdirTemp("", "corkline-ovs-") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	s := &Switch{
		Dir: dir, Bridge: options.Bridge, t: t, options: options,
		prefix: fmt.Sprintf("ck%d-%d-", os.Getpid()%100000, switches.Add(1)),
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "ovs-vswitchd.log")) // there or not
			t.Logf("ovs-vswitchd.log:\n%s", text[max(0, len(text)-4000):])
		}
		_ = os.RemoveAll(dir)
	})
	s.namespace("sw")
	s.run("ovsdb-tool", "create", s.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
	s.database = s.daemon("ovsdb-server", s.path("conf.db"), "--remote=punix:"+s.path("db.sock"), "--pidfile", "--log-file", "--no-chdir", "-vconsole:off")
	s.wait(s.path("db.sock"))
	s.Vsctl("--no-wait", "init")
	s.startForwarder()
	s.Vsctl("--may-exist", "add-br", s.Bridge, "--", "set", "bridge", s.Bridge, "datapath_type="+s.datapath(), "fail_mode=secure",
		"protocols="+strings.Join(options.Protocols, ","))
	s.wait(s.Management())
	return s
}

func (s *Switch) datapath() string {
	if s.options.Dummy {
		return "dummy"
	}
	return "netdev"
}

// install has what the lab needs from Debian.
func install(t testing.TB) {
	t.Helper()
	if err := Install(t.Context(), map[string]string{"ovs-vswitchd": "openvswitch-switch", "ethtool": "ethtool", "ip": "iproute2"}); err != nil {
		t.Fatal(err)
	}
}

// Install the packages of Debian that have programs which are not there.
func Install(ctx context.Context, packages map[string]string) error {
	var missing []string
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return nil
	}
	aptGet := func(arguments ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-y", "-o", "DPkg::Lock::Timeout=60"}, arguments...)...)
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		return c.CombinedOutput()
	}
	arguments := append([]string{"install", "--no-install-recommends"}, missing...)
	if _, err := aptGet(arguments...); err == nil {
		return nil
	}
	if out, err := aptGet("update"); err != nil { // a fresh image has no lists
		return fmt.Errorf("update the package lists: %w\n%s", err, out)
	}
	if out, err := aptGet(arguments...); err != nil {
		return fmt.Errorf("install %s: %w\n%s", strings.Join(missing, ", "), err, out)
	}
	return nil
}

func (s *Switch) path(name string) string { return filepath.Join(s.Dir, name) }

// Management is the socket for OpenFlow.
func (s *Switch) Management() string { return s.path(s.Bridge + ".mgmt") }

func (s *Switch) environment() []string {
	env := os.Environ()
	for _, name := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"} {
		env = append(env, name+"="+s.Dir)
	}
	return env
}

// namespace makes a network namespace until the test ends, and gives its name.
func (s *Switch) namespace(name string) string {
	s.t.Helper()
	name = s.prefix + name
	s.run("ip", "netns", "add", name)
	s.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil { //nolint:noctx // the test's context has ended
			s.t.Errorf("delete namespace %s: %v: %s", name, err, out)
		}
	})
	s.run("ip", "-n", name, "link", "set", "lo", "up")
	return name
}

// Command gives a program with the switch's environment, in its namespace.
func (s *Switch) Command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.prefix + "sw", program}, arguments...)...)
	c.Env = s.environment()
	return c
}

// daemon runs in the switch's namespace until the test ends.
func (s *Switch) daemon(program string, arguments ...string) *exec.Cmd {
	s.t.Helper()
	c := s.Command(context.WithoutCancel(s.t.Context()), program, arguments...) // it ends in the cleanup
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		s.t.Fatalf("start %s: %v", program, err)
	}
	s.t.Cleanup(func() { s.end(c) })
	return c
}

// end kills a daemon that runs, and waits for it.
func (s *Switch) end(c *exec.Cmd) {
	if c.ProcessState != nil {
		return
	}
	_ = c.Process.Kill() // gone already, or killed
	_ = c.Wait()         // says that it was killed
}

// wait for a socket that takes connections.
func (s *Switch) wait(path string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = conn.Close() // nothing was written
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("wait for %s: %v", path, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// run a program in the root namespace, and fail the test when it fails.
func (s *Switch) run(program string, arguments ...string) string {
	s.t.Helper()
	return s.finish(func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, program, arguments...)
		c.Env = s.environment()
		return c
	})
}

func (s *Switch) finish(command func(context.Context) *exec.Cmd) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	c := command(ctx)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		s.t.Fatalf("run %s: %v\n%s%s", strings.Join(c.Args, " "), err, out, &stderr)
	}
	return string(out)
}

// Run a program with the switch's environment, in its namespace.
func (s *Switch) Run(program string, arguments ...string) string {
	s.t.Helper()
	return s.finish(func(ctx context.Context) *exec.Cmd { return s.Command(ctx, program, arguments...) })
}

// Ofctl runs ovs-ofctl.
func (s *Switch) Ofctl(arguments ...string) string {
	s.t.Helper()
	return s.Run("ovs-ofctl", arguments...)
}

// Vsctl runs ovs-vsctl.
func (s *Switch) Vsctl(arguments ...string) string {
	s.t.Helper()
	return s.Run("ovs-vsctl", append([]string{"--db=unix:" + s.path("db.sock")}, arguments...)...)
}

// Appctl runs ovs-appctl.
func (s *Switch) Appctl(arguments ...string) string {
	s.t.Helper()
	return s.Run("ovs-appctl", arguments...)
}

// AddFlows adds flows, one a line, at once.
func (s *Switch) AddFlows(flows string) {
	s.t.Helper()
	file := s.path("flows")
	if err := os.WriteFile(file, []byte(flows), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.Ofctl("-O", "OpenFlow15", "--bundle", "add-flows", s.Bridge, file)
}

// StartForwarder starts ovs-vswitchd after KillForwarder. It has no flows.
func (s *Switch) StartForwarder() {
	s.t.Helper()
	s.startForwarder()
	s.wait(s.Management())
}

func (s *Switch) startForwarder() {
	s.t.Helper()
	arguments := []string{"unix:" + s.path("db.sock"), "--pidfile", "--log-file", "--no-chdir", "-vconsole:off"}
	if s.options.Dummy {
		arguments = append(arguments, "--enable-dummy=override", "--disable-system")
	}
	s.forwarder = s.daemon("ovs-vswitchd", arguments...)
	s.wait(s.path(fmt.Sprintf("ovs-vswitchd.%d.ctl", s.forwarder.Process.Pid)))
}

// KillForwarder kills ovs-vswitchd, which leaves its sockets and pid file behind.
func (s *Switch) KillForwarder() { s.end(s.forwarder) }

// RestartForwarder stops ovs-vswitchd in order and starts another. The flows
// are gone then.
func (s *Switch) RestartForwarder() {
	s.t.Helper()
	s.Appctl("exit")
	_ = s.forwarder.Wait() // its exit code says nothing more
	s.StartForwarder()
}

// ForwarderPID is the process of ovs-vswitchd.
func (s *Switch) ForwarderPID() int { return s.forwarder.Process.Pid }

// ForwarderCPU is the time that the main thread of ovs-vswitchd, which answers
// OpenFlow, has computed for.
func (s *Switch) ForwarderCPU() time.Duration {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", s.forwarder.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	nanoseconds, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return time.Duration(nanoseconds)
}

// Pod is a network namespace that is joined to the bridge.
type Pod struct {
	Port      string // on the bridge
	Address   string
	s         *Switch
	namespace string
}

// AddPod makes a pod with an address, as 192.0.2.1/24, whose port has that name
// and number.
func (s *Switch) AddPod(port string, number int, address string) *Pod {
	s.t.Helper()
	inside := s.namespace(fmt.Sprintf("p%d", number))
	s.run("ip", "-n", s.prefix+"sw", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", inside)
	s.run("ip", "-n", s.prefix+"sw", "link", "set", port, "up")
	s.run("ip", "-n", inside, "addr", "add", address, "dev", "eth0")
	s.run("ip", "-n", inside, "link", "set", "eth0", "up")
	s.run("ip", "netns", "exec", inside, "ethtool", "-K", "eth0", "tx", "off") // else every packet is invalid
	s.Vsctl("add-port", s.Bridge, port, "--", "set", "interface", port, "ofport_request="+strconv.Itoa(number))
	host, _, _ := strings.Cut(address, "/")
	return &Pod{port, host, s, inside}
}

// Command gives a program in the pod.
func (p *Pod) Command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", p.namespace, program}, arguments...)...)
}

// Run a program in the pod.
func (p *Pod) Run(program string, arguments ...string) string {
	p.s.t.Helper()
	return p.s.finish(func(ctx context.Context) *exec.Cmd { return p.Command(ctx, program, arguments...) })
}
