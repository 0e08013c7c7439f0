package collector

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// A person on the node sees what is there.
func TestCommand(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	run := func(code int, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), shared.Binary, append([]string{"ovs", "--run-dir", b.Dir}, args...)...)
		out, err := c.Output()
		if got := c.ProcessState.ExitCode(); got != code {
			t.Fatalf("%q: exit code %d, not %d: %v\n%s", args, got, code, err, out)
		}
		return string(out)
	}
	has := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), text) {
				t.Errorf("%q is missing in:\n%s", text, out)
			}
		}
	}
	b.send(web.interface_, udp(web, db.ip, 5005), 3)
	b.send(web.interface_, ip("192.0.2.99", web.mac, db.ip, 64, 17, "udp(src=40000,dst=9)"), 2)
	b.Appctl("revalidator/wait")

	has(run(0), "bridge br-int, OpenFlow 1.5: Antrea 1.7 to 2.x", "TABLE FLOWS LOOKUPS MATCHES NAME", "4 3 5 5 SpoofGuard")
	has(run(0, "drops"), "3 policy_drop EgressMetric AntreaPolicyEgressRule 14500 200 reg0=0x400/0x400,reg3=0x5", "2 spoof_guard SpoofGuard")
	has(run(0, "ports"), "1 5 ", "shop/web-1", "250 0 ", "tunnel")
	has(run(0, "flows", "-t", "SpoofGuard"), "table=SpoofGuard, n_packets=3,", `in_port="web-1-1a2b3c"`)

	var drops []struct {
		Reason       string
		Packets      uint64
		RulePriority int `json:"rule_priority"`
	}
	if err := json.Unmarshal([]byte(run(0, "drops", "-o", "json", "-t", "EgressMetric")), &drops); err != nil || len(drops) != 2 || drops[0].Packets != 3 || drops[0].RulePriority != 14500 || drops[1].Reason != "policy_reject" {
		t.Errorf("drops %+v, %v", drops, err)
	}
	var flows, reasons int
	for line := range strings.Lines(run(0, "flows", "-o", "json")) {
		var f struct{ Table, Reason, Category string }
		if err := json.Unmarshal([]byte(line), &f); err != nil || f.Table == "" || f.Category == "" {
			t.Fatalf("%s: %v", line, err)
		}
		flows++
		if f.Reason != "" {
			reasons++
		}
	}
	if flows < 70 || reasons < 12 {
		t.Errorf("%d flows, %d of them drop", flows, reasons)
	}
	if out := run(0, "trace-drop", "--interval", "10ms"); strings.Contains(out, "spoof") {
		t.Errorf("nothing is dropped, but:\n%s", out)
	}
	run(2, "--bridge", "br-none")
	run(2, "flows", "-t", "NoTable")
	c := exec.CommandContext(t.Context(), shared.Binary, "ovs", "--run-dir", t.TempDir())
	if out, _ := c.CombinedOutput(); c.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "is Open vSwitch running on this node?") {
		t.Errorf("without a switch: %d\n%s", c.ProcessState.ExitCode(), out)
	}
	b.KillForwarder()
	run(2)
}

// Drops that grow between two looks are traced while they do.
func TestCommand_TraceDrop(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	c := exec.CommandContext(t.Context(), shared.Binary, "ovs", "--run-dir", b.Dir, "trace-drop", "--interval", "3s", "-o", "json")
	var out strings.Builder
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	var err error
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		default:
			b.send(web.interface_, udp(web, db.ip, 5009), 1)
		}
	}
	var grown []struct{ Reason string }
	if err != nil || json.Unmarshal([]byte(out.String()), &grown) != nil || len(grown) != 1 || grown[0].Reason != "default_deny_egress" {
		t.Errorf("%v: %s", err, out.String())
	}
}
