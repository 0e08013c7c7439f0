package ovs

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/tests/ovs/lab"
)

// own is the time that this process has computed for.
func own(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost is what something took, over all rounds.
type cost struct{ wall, own, forwarder time.Duration }

func (c *cost) add(b *testing.B, s *lab.Switch, run func() error) {
	b.Helper()
	wall, self, forwarder := time.Now(), own(b), s.ForwarderCPU()
	if err := run(); err != nil {
		b.Fatal(err)
	}
	c.wall += time.Since(wall)
	c.own += own(b) - self
	c.forwarder += s.ForwarderCPU() - forwarder
}

func (c *cost) report(b *testing.B, name string, dump cost) {
	n := float64(b.N)
	b.ReportMetric(c.wall.Seconds()*1000/n, name+"-ms")
	b.ReportMetric(c.forwarder.Seconds()*1000/n, name+"-vswitchd-ms")
	if dump.wall > 0 {
		b.ReportMetric(c.own.Seconds()*1000/n, name+"-own-ms")
		b.ReportMetric(c.wall.Seconds()/dump.wall.Seconds(), name+"-x-ovs-ofctl")
	}
}

// BenchmarkPoll compares, in turns, with "ovs-ofctl -O OpenFlow15 dump-flows
// br-int | wc -c": a poll of all 100,000 flows that looks at their fields and
// actions, at once and table by table, and one of the counts of all tables and
// ports.
func BenchmarkPoll(b *testing.B) {
	s := lab.Start(b, lab.Options{})
	s.AddFlows(manyFlows(100_000))
	for i := range 20 {
		name := fmt.Sprintf("pod-%d", i)
		s.Vsctl("add-port", s.Bridge, name, "--", "set", "interface", name, "type=internal")
	}
	ctx := b.Context()
	client, err := openflow.Dial(ctx, s.Management())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()

	var drops, fields uint64
	var used []uint8
	flows := func(table uint8) error {
		return client.Flows(ctx, openflow.FlowFilter{Table: table}, func(f *openflow.Flow) error {
			for field := range f.Match.Fields() {
				fields += uint64(field.ID)
			}
			for a := range f.Instructions.All() {
				fields += uint64(a.Kind)
			}
			if f.Instructions.Drop() {
				drops += f.Packets.Value
			}
			return nil
		})
	}
	full := func() error { return flows(openflow.AllTables) }
	tables := func() error {
		for _, table := range used {
			if err := flows(table); err != nil {
				return err
			}
		}
		return nil
	}
	routine := func() error {
		used = used[:0]
		err := client.Tables(ctx, func(t *ovs.TableStats) error {
			if t.Active > 0 {
				used = append(used, uint8(t.ID))
			}
			return nil
		})
		for _, table := range used {
			if err == nil {
				_, err = client.Aggregate(ctx, openflow.FlowFilter{Table: table})
			}
		}
		if err == nil {
			err = client.PortStats(ctx, func(*ovs.PortStats) error { return nil })
		}
		return err
	}
	dump := func() error {
		// Not over the lab, so that nothing is between the two.
		ofctl := exec.CommandContext(context.WithoutCancel(ctx), "ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "unix:"+s.Management())
		wc := exec.CommandContext(ctx, "wc", "-c")
		pipe, err := ofctl.StdoutPipe()
		if err != nil {
			return err
		}
		wc.Stdin, wc.Stdout = pipe, io.Discard
		if err := ofctl.Start(); err != nil {
			return err
		}
		if err := wc.Run(); err != nil {
			return err
		}
		return ofctl.Wait()
	}

	var dumps, fulls, byTable, routines cost
	for b.Loop() {
		dumps.add(b, s, dump)
		fulls.add(b, s, full)
		routines.add(b, s, routine)
		byTable.add(b, s, tables)
	}
	if len(used) != 30 {
		b.Errorf("%d tables", len(used))
	}
	dumps.report(b, "ovs-ofctl", cost{})
	fulls.report(b, "full", dumps)
	byTable.report(b, "by-table", dumps)
	routines.report(b, "routine", dumps)
	b.ReportMetric(0, "ns/op") // of all three, which says nothing
}
