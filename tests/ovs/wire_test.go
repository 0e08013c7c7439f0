// Package ovs compares what is read over the sockets of a real Open vSwitch
// with what its own tools print.
package ovs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/tests/ovs/lab"
)

func start(t testing.TB) *lab.Switch {
	s := lab.Start(t, lab.Options{})
	s.Vsctl("add-port", s.Bridge, "pod-a", "--", "set", "interface", "pod-a", "type=internal", "ofport_request=1",
		"--", "add-port", s.Bridge, "pod-b", "--", "set", "interface", "pod-b", "type=internal", "ofport_request=2",
		"--", "add-port", s.Bridge, "tun0", "--", "set", "interface", "tun0", "type=geneve", "options:remote_ip=flow", "ofport_request=3")
	s.Vsctl("--id=@a", "create", "Flow_Table", "name=Classifier", "--", "--id=@b", "create", "Flow_Table", "name=Ingress-Rule",
		"--", "set", "bridge", s.Bridge, "flow_tables:0=@a", "flow_tables:9=@b")
	s.Ofctl("add-tlv-map", s.Bridge, "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=1,len=8}->tun_metadata1")
	s.Ofctl("-O", "OpenFlow15", "add-meter", s.Bridge, "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100")
	s.Ofctl("-O", "OpenFlow15", "add-meter", s.Bridge, "meter=2,pktps,stats,bands=type=drop,rate=1000")
	s.Ofctl("-O", "OpenFlow15", "add-group", s.Bridge, "group_id=1,type=select,bucket=bucket_id:0,weight:100,actions=set_field:0xc0000201->reg3,resubmit(,9),bucket=bucket_id:1,weight:50,output:1")
	return s
}

var moving = regexp.MustCompile(`duration=[0-9.]+s|idle_age=[0-9]+|hard_age=[0-9]+`)

func dial(t testing.TB, s *lab.Switch, v openflow.Version) *openflow.Client {
	t.Helper()
	c, err := openflow.Dial(t.Context(), s.Management(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTry(t *testing.T) {
	s := start(t)
	var kept []string
	for _, f := range mixed() {
		c := s.Command(t.Context(), "ovs-ofctl", "-O", "OpenFlow15", "add-flow", s.Bridge, f)
		if out, err := c.CombinedOutput(); err != nil {
			t.Logf("REFUSED %s: %s", f, out)
			continue
		}
		kept = append(kept, f)
	}
	t.Log(len(kept))
	for _, v := range []openflow.Version{openflow.Version13, openflow.Version15} {
		name := map[openflow.Version]string{4: "OpenFlow13", 6: "OpenFlow15"}[v]
		c := dial(t, s, v)
		tables, err := c.TableNames(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ports := map[uint32]string{}
		if err := c.Ports(t.Context(), func(p *openflow.Port) error { ports[p.Number] = p.Name; return nil }); err != nil {
			t.Fatal(err)
		}
		t.Log(tables, ports)
		for _, names := range []*openflow.Names{nil, {Ports: ports, Tables: tables}} {
			flag := "--no-names"
			if names != nil {
				flag = "--names"
			}
			var got []string
			if err := c.Flows(t.Context(), openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
				got = append(got, moving.ReplaceAllString(string(f.AppendText(nil, names)), "$"))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(s.Ofctl("-O", name, flag, "dump-flows", s.Bridge)) {
				if ovs.LineKind([]byte(line)) == ovs.FlowLine {
					want = append(want, moving.ReplaceAllString(strings.TrimSpace(line), "$"))
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			t.Log(name, flag, len(got), len(want))
			if diff := cmp.Diff(want, got); diff != "" {
				bad := 0
				for i := range min(len(got), len(want)) {
					if got[i] != want[i] {
						bad++
						t.Errorf("\nwant %s\ngot  %s", want[i], got[i])
					}
				}
			}
		}
	}
	_ = time.Second
	_ = os.Args
}
