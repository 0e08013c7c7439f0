package vswitch

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	"github.com/corkline/corkline/samples/simulation"
)

// openVSwitch is a real one in userspace whose ports are of the type dummy: it
// needs no privileges and no devices. Packets are handed to it over unixctl.
type openVSwitch struct {
	dir, version string
	stepped      bool
	begun        time.Time // the moment that the switch's clock is at
	daemons      []*process
	unixctl      unixctl.Client
	received     uint64            // packets, by the switch's own count
	names        map[int]string    // of ports
	at           map[string]string // where the programs are
}

func programs() []string {
	return []string{"ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl"}
}

// schemas are where packages of Open vSwitch have the database's schema.
func schemas() []string {
	return []string{"/usr/share/openvswitch/vswitch.ovsschema", "/usr/local/share/openvswitch/vswitch.ovsschema"}
}

// startReal runs the daemons. Its error says what is not there.
func startReal(ctx context.Context, dir string, stepped bool) (_ *openVSwitch, err error) {
	r := &openVSwitch{dir: dir, stepped: stepped, names: map[int]string{}, at: map[string]string{}}
	for _, name := range programs() {
		if r.at[name], err = exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("%s is not on PATH (Debian's package openvswitch-switch has it)", name)
		}
	}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *openVSwitch) start(ctx context.Context) error {
	out, err := r.run(ctx, "", "ovs-vswitchd", "--version")
	if err != nil {
		return err
	}
	r.version = "of an unknown version"
	if line, _, _ := strings.Cut(out, "\n"); strings.LastIndexByte(line, ' ') >= 0 {
		r.version = line[strings.LastIndexByte(line, ' ')+1:]
	}
	schema := ""
	for _, path := range schemas() {
		if _, err := os.Stat(path); err == nil {
			schema = path
			break
		}
	}
	if schema == "" {
		return fmt.Errorf("find the schema of Open vSwitch's database: none of %s is there", strings.Join(schemas(), ", "))
	}
	database := filepath.Join(r.dir, "conf.db")
	if err := os.RemoveAll(database); err != nil {
		return fmt.Errorf("remove the database of before: %w", err)
	}
	if _, err := r.run(ctx, "", "ovsdb-tool", "create", database, schema); err != nil {
		return err
	}
	socket := filepath.Join(r.dir, "db.sock")
	if err := r.daemon(ctx, socket, "ovsdb-server", database, "--remote=punix:"+socket, "--pidfile", "--log-file", "--no-chdir", "-vconsole:off"); err != nil {
		return err
	}
	if err := r.vsctl(ctx, "--no-wait", "init"); err != nil {
		return err
	}
	// Overriding makes dummies of all types, so that nothing of the machine's is used.
	if err := r.daemon(ctx, "", "ovs-vswitchd", "unix:"+socket, "--pidfile", "--log-file", "--no-chdir", "-vconsole:off", "--enable-dummy=override", "--disable-system"); err != nil {
		return err
	}
	vswitchd := r.daemons[len(r.daemons)-1]
	r.unixctl.Path = filepath.Join(r.dir, fmt.Sprintf("ovs-vswitchd.%d.ctl", vswitchd.pid()))
	if err := vswitchd.wait(ctx, r.unixctl.Path); err != nil {
		return err
	}
	if err := r.bridge(ctx); err != nil {
		return err
	}
	if _, err := r.call(ctx, "dpctl/ct-set-maxconns", strconv.Itoa(maxEntries)); err != nil {
		return err
	}
	if !r.stepped {
		return nil
	}
	_, err = r.call(ctx, "time/stop")
	return err
}

// bridge makes it, with the names of its tables and the time-outs of its connections.
func (r *openVSwitch) bridge(ctx context.Context) error {
	arguments := []string{
		"add-br", bridgeName, "--", "set", "bridge", bridgeName, "datapath_type=netdev", "fail_mode=secure", "protocols=OpenFlow13,OpenFlow15",
		"external_ids:roundNum=" + strconv.Itoa(round),
		"--", "--id=@dp", "create", "Datapath", `datapath_version=""`, "--", "set", "Open_vSwitch", ".", "datapaths:netdev=@dp",
	}
	for i, name := range tableNames() {
		arguments = append(arguments, "--", fmt.Sprintf("--id=@t%d", i), "create", "Flow_Table", "name="+name, "--", "set", "bridge", bridgeName, fmt.Sprintf("flow_tables:%d=@t%d", i, i))
	}
	if err := r.vsctl(ctx, arguments...); err != nil {
		return err
	}
	var timeouts []string
	for name, seconds := range map[string]int{
		"tcp_syn_sent": timeoutSYNSent, "tcp_syn_recv": timeoutSYNReceived, "tcp_established": timeoutEstablished, "tcp_fin_wait": timeoutFinWait,
		"tcp_time_wait": timeoutTimeWait, "tcp_close": timeoutClosed, "udp_first": timeoutUDP, "udp_single": timeoutUDP, "udp_multiple": timeoutUDPReplied,
		"icmp_first": timeoutICMP, "icmp_reply": timeoutICMP,
	} {
		timeouts = append(timeouts, fmt.Sprintf("%s=%d", name, seconds))
	}
	for _, zone := range []int{zone, zoneSNAT} {
		if err := r.vsctl(ctx, append([]string{"add-zone-tp", "netdev", fmt.Sprintf("zone=%d", zone)}, timeouts...)...); err != nil {
			return err
		}
	}
	return nil
}

func (r *openVSwitch) begin(ctx context.Context, m simulation.Moment) error {
	defer func() { r.begun = m.Time }()
	if !r.stepped || r.begun.IsZero() {
		return nil
	}
	// The switch takes a jump as one moment: connections expire in steps.
	for left := m.Time.Sub(r.begun).Milliseconds(); left > 0; left -= 1000 {
		if _, err := r.call(ctx, "time/warp", strconv.FormatInt(min(left, 1000), 10)); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the difference between two states.
func (r *openVSwitch) apply(ctx context.Context, before, now *state) error {
	if before == nil {
		before = &state{}
	}
	if err := r.applyPorts(ctx, before.ports, now.ports); err != nil {
		return err
	}
	var b bytes.Buffer
	was, is := byKey(before.flows, flowKey), byKey(now.flows, flowKey)
	for _, key := range slices.Sorted(maps.Keys(was)) {
		if _, still := is[key]; !still {
			fmt.Fprintf(&b, "flow delete_strict %s\n", key)
		}
	}
	groups := byKey(before.groups, groupKey)
	for _, group := range now.groups {
		if groups[groupKey(group)] != group {
			fmt.Fprintf(&b, "group add_or_mod %s\n", group)
		}
	}
	for _, flow := range now.flows {
		if was[flowKey(flow)] != flow {
			fmt.Fprintf(&b, "flow add %s\n", flow)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if _, err := r.run(ctx, b.String(), "ovs-ofctl", "-O", "OpenFlow15", "bundle", filepath.Join(r.dir, bridgeName+".mgmt"), "-"); err != nil || !r.stepped {
		return err
	}
	// Until the datapath's own flows have been looked at, packets go where they
	// went before.
	_, err := r.call(ctx, "revalidator/wait")
	return err
}

func byKey(lines []string, key func(string) string) map[string]string {
	by := make(map[string]string, len(lines))
	for _, line := range lines {
		by[key(line)] = line
	}
	return by
}

// flowKey is table, priority and match: what a flow is known by.
func flowKey(flow string) string {
	_, rest, _ := strings.Cut(flow, " ")
	key, _, _ := strings.Cut(rest, " actions=")
	return key
}

func groupKey(group string) string {
	key, _, _ := strings.Cut(group, ",")
	return key
}

func (r *openVSwitch) applyPorts(ctx context.Context, before, now []port) error {
	var arguments []string
	for _, p := range before {
		if !slices.Contains(now, p) {
			arguments = append(arguments, "--", "--if-exists", "del-port", bridgeName, p.name)
			delete(r.names, p.number)
		}
	}
	for _, p := range now {
		if slices.Contains(before, p) {
			continue
		}
		r.names[p.number] = p.name
		arguments = append(arguments, "--", "--may-exist", "add-port", bridgeName, p.name, "--", "set", "interface", p.name, "type=dummy", "ofport_request="+strconv.Itoa(p.number), "--", "set", "port", p.name)
		ids := p.externalIDs()
		for _, key := range slices.Sorted(maps.Keys(ids)) {
			arguments = append(arguments, fmt.Sprintf("external_ids:%s=%q", key, ids[key]))
		}
	}
	if arguments == nil {
		return nil
	}
	return r.vsctl(ctx, arguments[1:]...)
}

// patience with a switch that is busy, on a machine that is.
const patience = time.Minute

// maxReceive packets of a port are on their way at most: of more than 100 in its
// queue a dummy port loses the newest.
const maxReceive = 64

// receive hands packets over, in calls of some of one port, and waits for them
// before any port's queue could be full.
func (r *openVSwitch) receive(ctx context.Context, packets []packet) error {
	byPort := map[int][]string{}
	var order []int
	for i := range packets {
		in := packets[i].in
		if byPort[in] == nil {
			order = append(order, in)
		}
		byPort[in] = append(byPort[in], hex.EncodeToString(packets[i].frame()))
	}
	for len(byPort) > 0 {
		sent := uint64(0)
		for _, in := range order {
			frames := byPort[in]
			n := min(len(frames), maxReceive)
			if n == 0 {
				continue
			}
			if _, err := r.call(ctx, "netdev-dummy/receive", append([]string{r.names[in]}, frames[:n]...)...); err != nil {
				return err
			}
			sent += uint64(n)
			if byPort[in] = frames[n:]; len(byPort[in]) == 0 {
				delete(byPort, in)
			}
		}
		if err := r.drain(ctx, sent); err != nil {
			return err
		}
	}
	return nil
}

// drain waits until the switch has taken so many packets more, by its own count.
func (r *openVSwitch) drain(ctx context.Context, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := r.call(ctx, "dpif-netdev/pmd-stats-show")
		if err != nil {
			return err
		}
		received, err := packetsReceived(text)
		if err != nil {
			return err
		}
		if received >= r.received+n {
			r.received = received
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d packets to be taken: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
}

// packetsReceived of all threads.
func packetsReceived(text string) (sum uint64, err error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "packets received:")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read how many packets were taken: %w", err)
		}
		sum += n
	}
	return sum, nil
}

func (r *openVSwitch) call(ctx context.Context, command string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := r.unixctl.Call(ctx, command, arguments...)
	if err != nil {
		return "", r.reason(err)
	}
	return text, nil
}

// reason is that a daemon has ended, where one has. One that is about to has
// half a second for it.
func (r *openVSwitch) reason(err error) error {
	timer := time.NewTimer(500 * time.Millisecond)
	defer timer.Stop()
	for waits := true; ; waits = false {
		for _, d := range r.daemons {
			if d.ended() {
				return fmt.Errorf("%s has ended: %w", d.name, err)
			}
		}
		if !waits || len(r.daemons) == 0 || errors.As(err, new(unixctl.Error)) {
			return err
		}
		select {
		case <-r.daemons[len(r.daemons)-1].done: // ovs-vswitchd, as soon as it runs
		case <-timer.C:
		}
	}
}

func (r *openVSwitch) vsctl(ctx context.Context, arguments ...string) error {
	_, err := r.run(ctx, "", "ovs-vsctl", append([]string{"--timeout=20", "--db=unix:" + filepath.Join(r.dir, "db.sock")}, arguments...)...)
	return err
}

func (r *openVSwitch) environment() []string {
	environment := os.Environ()
	for _, name := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"} {
		environment = append(environment, name+"="+r.dir)
	}
	return environment
}

// run a program to its end.
func (r *openVSwitch) run(ctx context.Context, input, program string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, r.at[program], arguments...)
	command.Env = r.environment()
	command.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", r.reason(fmt.Errorf("run %s: %w: %.500s", program, err, bytes.TrimSpace(stderr.Bytes())))
	}
	return string(out), nil
}

// daemon starts one, and waits for its socket when one is named.
func (r *openVSwitch) daemon(ctx context.Context, socket, program string, arguments ...string) error {
	command := exec.Command(r.at[program], arguments...) //nolint:noctx // it runs until close
	command.Env = r.environment()
	d, err := startProcess(program, command)
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	r.daemons = append(r.daemons, d)
	if socket == "" {
		return nil
	}
	return d.wait(ctx, socket)
}

// close ends the daemons, ovs-vswitchd first.
func (r *openVSwitch) close() error {
	slices.Reverse(r.daemons)
	var errs []error
	for _, d := range r.daemons {
		errs = append(errs, d.stop())
	}
	return errors.Join(errs...)
}
