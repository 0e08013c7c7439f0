package conntrack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// facts are cheap: what the kernel tells without a look at the entries.
type facts struct {
	entries, limit uint64
	buckets        uint64
	accounting     bool // packets and bytes are counted
	timestamps     bool
}

// procFacts reads the sysctls. Without the tracker the error is fs.ErrNotExist.
func procFacts(proc string) (f facts, err error) {
	var accounting, timestamps uint64
	for _, sysctl := range [...]struct {
		name     string
		to       *uint64
		required bool
	}{
		{"count", &f.entries, true},
		{"max", &f.limit, true},
		{"buckets", &f.buckets, false},
		{"acct", &accounting, false},
		{"timestamp", &timestamps, false},
	} {
		var text []byte
		text, err = os.ReadFile(filepath.Join(proc, "sys/net/netfilter/nf_conntrack_"+sysctl.name))
		if err == nil {
			*sysctl.to, err = strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
		}
		if err != nil && (sysctl.required || !errors.Is(err, fs.ErrNotExist)) {
			return facts{}, fmt.Errorf("read sysctl: %w", err)
		}
	}
	f.accounting, f.timestamps = accounting > 0, timestamps > 0
	return f, nil
}

// Size gives the table's entries, and how many it may have.
func (o *Options) Size(ctx context.Context) (entries, limit uint64, err error) {
	if o.Datapath != nil {
		return o.Datapath.Size(ctx)
	}
	proc := o.Proc
	if proc == "" {
		proc = defaultProc
	}
	f, err := procFacts(proc)
	return f.entries, f.limit, err
}

const defaultProc = "/proc"

// counter is one of those that the kernel has for each CPU.
type counter uint8

// The counters.
const (
	found counter = iota
	invalid
	insert
	insertFailed
	drop
	earlyDrop
	packetError
	searchRestart
	clashResolve
	chainTooLong
	counters
)

// columns of /proc/net/stat/nf_conntrack by the names in its header. Before
// Linux 5.9 there is searched in the place of clashres, and delete_list in that
// of chainlength before 5.15.
var columns = [counters]string{
	found: "found", invalid: "invalid", insert: "insert", insertFailed: "insert_failed", drop: "drop", earlyDrop: "early_drop",
	packetError: "icmp_error", searchRestart: "search_restart", clashResolve: "clashres", chainTooLong: "chainlength",
}

// perCPU are counters of one CPU, which wrap.
type perCPU [counters]uint32

// parseStat reads /proc/net/stat/nf_conntrack: a header, and a row for each CPU
// in hexadecimal digits. Has tells which counters there are.
func parseStat(text []byte) (rows []perCPU, has [counters]bool, err error) {
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	names := bytes.Fields(header)
	places := make([]counter, len(names)) // counters for none
	for i, name := range names {
		places[i] = counters
		for c, column := range columns {
			if string(name) == column {
				places[i], has[c] = counter(c), true
			}
		}
	}
	if !has[drop] {
		return nil, has, fmt.Errorf("parse conntrack's counters: the header %.80q has no column drop", header)
	}
	for line := range bytes.Lines(rest) {
		values := bytes.Fields(line)
		if len(values) == 0 {
			continue
		}
		if len(values) != len(names) {
			return nil, has, fmt.Errorf("parse conntrack's counters: %d values in line %d, and %d names", len(values), len(rows)+2, len(names))
		}
		var row perCPU
		for i, value := range values {
			n, err := strconv.ParseUint(string(value), 16, 32)
			if err != nil {
				return nil, has, fmt.Errorf("parse conntrack's counters: line %d: %w", len(rows)+2, err)
			}
			if places[i] < counters {
				row[places[i]] = uint32(n)
			}
		}
		rows = append(rows, row)
	}
	return rows, has, nil
}

// netlinkCounters are those of procfs where it lacks them.
func netlinkCounters(ctx context.Context, conn *netlink.Conn) (rows []perCPU, has [counters]bool, err error) {
	all, err := conn.CPUStats(ctx)
	if err != nil {
		return nil, has, err
	}
	for i := range has {
		has[i] = true
	}
	for _, s := range all {
		for len(rows) <= int(s.CPU) {
			rows = append(rows, perCPU{})
		}
		rows[s.CPU] = perCPU{
			found: s.Found, invalid: s.Invalid, insert: s.Insert, insertFailed: s.InsertFailed, drop: s.Drop, earlyDrop: s.EarlyDrop,
			packetError: s.Error, searchRestart: s.SearchRestart, clashResolve: s.ClashResolve, chainTooLong: s.ChainTooLong,
		}
	}
	return rows, has, nil
}

// totals are counters that do not wrap, of all CPUs, from when the kernel
// began to count; has tells which there are.
type totals struct {
	values [counters]uint64
	has    [counters]bool
	last   []perCPU
}

// half of the range of 32 bits: what goes back by less has been set back, as by
// a reload of the module, and what goes back by more has wrapped.
const half = 1 << 31

func (t *totals) add(rows []perCPU, has [counters]bool) {
	for len(t.last) < len(rows) {
		t.last = append(t.last, perCPU{})
	}
	for cpu := range rows {
		for c, now := range rows[cpu] {
			delta := now - t.last[cpu][c]
			if now < t.last[cpu][c] && delta >= half {
				delta = now
			}
			t.values[c] += uint64(delta)
		}
		t.last[cpu] = rows[cpu]
	}
	t.has = has
}
