package conntrack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/tests/ovs/lab"
)

// The table of Open vSwitch's userspace datapath is shown as the kernel's is,
// with the pods that the ports are for.
func TestSwitch(t *testing.T) {
	s := lab.Start(t, lab.Options{})
	client := s.AddPod("client", 1, "192.0.2.1/24")
	s.AddPod("server", 2, "192.0.2.2/24")
	for port, ids := range map[string]string{"client": "pod-name=job-1", "server": "pod-name=web-0"} {
		address := map[string]string{"client": "192.0.2.1", "server": "192.0.2.2"}[port]
		s.Vsctl("set", "port", port, "external_ids:"+ids, "external_ids:pod-namespace=shop", `external_ids:ip-address="`+address+`,2001:db8::1"`)
	}
	s.AddFlows(`table=0,priority=100,arp,actions=NORMAL
table=0,priority=90,ip,ct_state=-trk,actions=ct(table=1,zone=65520)
table=1,priority=90,ip,ct_state=+trk+new,actions=ct(commit,zone=65520,exec(set_field:0x3->ct_mark,set_field:0x200000107->ct_label)),NORMAL
table=1,priority=80,ip,actions=NORMAL
`)
	client.Run("ping", "-c", "2", "-W", "5", "192.0.2.2")
	for range 3 {
		client.Run("bash", "-c", "echo x > /dev/udp/192.0.2.2/9999")
	}
	config := filepath.Join(t.TempDir(), "corkline.yaml")
	if err := os.WriteFile(config, []byte("collectors: {ovs: {run_dir: "+s.Dir+"}, conntrack: {table: ovs}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := strings.Count(s.Appctl("dpctl/dump-conntrack"), "zone=65520")
	var report conntrack.Report
	if err := json.Unmarshal([]byte(command(t, corkline(), "conntrack", "-o", "json", "--config", config)), &report); err != nil {
		t.Fatal(err)
	}
	if want == 0 || report.Read != uint64(want) || report.Entries != uint64(want) || report.Limit == 0 || len(report.Zones) != 1 || report.Zones[0].Zone != "antrea" {
		t.Errorf("%+v, want %d entries", report, want)
	}
	out := command(t, corkline(), "conntrack", "flows", "-o", "json", "--pod", "shop/web-0", "--protocol", "udp", "--config", config)
	var flow conntrack.Flow
	if err := json.Unmarshal([]byte(strings.SplitAfter(out, "\n")[0]), &flow); err != nil {
		t.Fatalf("%s\n%s", err, out)
	}
	if flow.SourcePod != "shop/job-1" || flow.DestinationPod != "shop/web-0" || flow.Port != 9999 || flow.IngressRule != 0x107 || flow.EgressRule != 2 || flow.NotAllowed {
		t.Errorf("%+v", flow)
	}
}
