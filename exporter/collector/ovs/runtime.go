package ovs

import (
	"context"
	"errors"
	"strings"

	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	"github.com/corkline/corkline/parsers/ovs"
)

// coverageEvents are those of ovs-vswitchd's coverage counters (coverage/show)
// that tell of trouble or load: packets that the pipeline drops for its own
// limits, upcalls, revalidation, and the control channel. Those that a version
// does not have are absent.
func coverageEvents() []string {
	return []string{
		"drop_action_bridge_not_found", "drop_action_congestion", "drop_action_forwarding_disabled", "drop_action_invalid_tunnel_metadata",
		"drop_action_no_recirculation_context", "drop_action_of_pipeline", "drop_action_recirculation_conflict", "drop_action_recursion_too_deep",
		"drop_action_stack_too_deep", "drop_action_too_many_mpls_labels", "drop_action_too_many_resubmit", "drop_action_unsupported_packet_type",
		"datapath_drop_upcall_error", "datapath_drop_lock_error", "datapath_drop_rx_invalid_packet", "datapath_drop_tunnel_pop_error",
		"datapath_drop_meter", "datapath_drop_recirc_error", "datapath_drop_userspace_action_error", "datapath_drop_invalid_port",
		"dumped_duplicate_flow", "dumped_new_flow", "handler_duplicate_upcall", "upcall_ukey_contention", "upcall_ukey_replace", "upcall_flow_limit_hit",
		"upcall_flow_limit_kill", "upcall_flow_limit_reduced", "upcall_flow_limit_scaled", "revalidate_missed_dp_flow", "ukey_dp_change", "ukey_invalid_stat_reset",
		"rev_flow_table", "rev_reconfigure", "rev_port_toggled", "rev_mac_learning", "xlate_actions", "flow_extract", "ofproto_recv_openflow",
		"ofproto_packet_out", "ofproto_queue_req", "rconn_discarded", "rconn_overflow", "rconn_sent", "vconn_received", "vconn_sent",
		"netdev_sent", "netlink_overflow", "netlink_received", "netlink_sent", "util_xalloc", "poll_create_node",
		"conntrack_full", "conntrack_insert_failed", "conntrack_zone_full", "conntrack_long_cleanup",
	}
}

// runtime is what ovs-vswitchd tells of itself over unixctl.
type runtime struct {
	datapaths map[string]*datapathCount
	upcalls   []ovs.Upcalls
	coverage  map[string]*monotonic
	memory    []ovs.Use
}

type datapathCount struct {
	ovs.Datapath
	hits, misses, lost, maskHits monotonic
	connections                  ovs.Count // of the userspace datapath
	seen                         bool
}

func newRuntime() *runtime {
	return &runtime{datapaths: map[string]*datapathCount{}, coverage: map[string]*monotonic{}}
}

func (r *runtime) restarted() {
	for _, d := range r.datapaths {
		d.hits.last, d.misses.last, d.lost.last, d.maskHits.last = 0, 0, 0, 0
	}
	for _, m := range r.coverage {
		m.last = 0
	}
}

// read asks for all of it. What one command does not give is told, and does not
// keep the others from it.
func (r *runtime) read(ctx context.Context, client unixctl.Client) error {
	return errors.Join(r.readDatapaths(ctx, client), r.readUpcalls(ctx, client), r.readCoverage(ctx, client), r.readMemory(ctx, client))
}

func (r *runtime) readDatapaths(ctx context.Context, client unixctl.Client) error {
	text, err := client.Call(ctx, "dpctl/show")
	if err != nil {
		return err
	}
	datapaths, err := ovs.Datapaths(text)
	if err != nil {
		return err
	}
	for _, d := range r.datapaths {
		d.seen = false
	}
	for i := range datapaths {
		d := r.datapaths[datapaths[i].Name]
		if d == nil {
			d = &datapathCount{}
			r.datapaths[datapaths[i].Name] = d
		}
		d.Datapath, d.seen = datapaths[i], true
		d.hits.to(d.Hit, false)
		d.misses.to(d.Missed, false)
		d.lost.to(d.Lost, false)
		d.maskHits.to(d.MaskHits.Value, false)
		d.connections = ovs.Count{}
		// The kernel's table is read by the collector that is there for it.
		if strings.HasPrefix(d.Name, "netdev@") {
			d.connections = r.readConnections(ctx, client, d.Name)
		}
	}
	for name, d := range r.datapaths {
		if !d.seen {
			delete(r.datapaths, name)
		}
	}
	return nil
}

// readConnections asks what only newer versions of the userspace datapath tell.
func (r *runtime) readConnections(ctx context.Context, client unixctl.Client, datapath string) ovs.Count {
	text, err := client.Call(ctx, "dpctl/ct-get-nconns", datapath)
	if err != nil {
		return ovs.Count{}
	}
	n, err := ovs.SingleCount(text)
	return ovs.Count{Value: n, Known: err == nil}
}

func (r *runtime) readUpcalls(ctx context.Context, client unixctl.Client) error {
	text, err := client.Call(ctx, "upcall/show")
	if err != nil {
		return err
	}
	upcalls, err := ovs.AllUpcalls(text)
	if err == nil {
		r.upcalls = upcalls
	}
	return err
}

func (r *runtime) readCoverage(ctx context.Context, client unixctl.Client) error {
	text, err := client.Call(ctx, "coverage/show")
	if err != nil {
		return err
	}
	events, err := ovs.Coverage(text)
	if err != nil {
		return err
	}
	totals := map[string]uint64{}
	for _, e := range events {
		totals[e.Name] = e.Total
	}
	for _, name := range coverageEvents() {
		if _, ok := totals[name]; !ok && r.coverage[name] == nil {
			continue
		}
		if r.coverage[name] == nil {
			r.coverage[name] = &monotonic{}
		}
		r.coverage[name].to(totals[name], false)
	}
	return nil
}

func (r *runtime) readMemory(ctx context.Context, client unixctl.Client) error {
	text, err := client.Call(ctx, "memory/show")
	if err != nil {
		return err
	}
	memory, err := ovs.MemoryUse(text)
	if err == nil {
		r.memory = memory
	}
	return err
}
