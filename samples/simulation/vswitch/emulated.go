package vswitch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/corkline/corkline/samples/simulation"
)

// emulated serves the sockets of Open vSwitch from the model.
type emulated struct {
	dir       string
	listeners []net.Listener
	serving   sync.WaitGroup

	mu       sync.Mutex
	pipeline *pipeline
	open     map[net.Conn]bool
	closed   bool
}

func startEmulated(dir string) (*emulated, error) {
	e := &emulated{dir: dir, pipeline: newPipeline(), open: map[net.Conn]bool{}}
	for name, serve := range map[string]func(net.Conn) error{
		"db.sock": e.serveOVSDB, bridgeName + ".mgmt": e.serveOpenFlow, fmt.Sprintf("ovs-vswitchd.%d.ctl", os.Getpid()): e.serveUnixctl,
	} {
		if err := e.listen(name, serve); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	if err := os.WriteFile(e.pidFile(), fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("write the pid file: %w", err), e.close())
	}
	return e, nil
}

func (e *emulated) pidFile() string { return filepath.Join(e.dir, "ovs-vswitchd.pid") }

// version that the emulation is like.
func (e *emulated) version() string { return "3.1.0" }

// listen on a socket; one that was left there is removed.
func (e *emulated) listen(name string, serve func(net.Conn) error) error {
	path := filepath.Join(e.dir, name)
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the socket of before: %w", err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", name, err)
	}
	e.listeners = append(e.listeners, listener)
	e.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil { // closed
				return
			}
			if !e.keep(conn) {
				return
			}
			e.serving.Go(func() {
				_ = serve(conn) // the other side is gone, or sends what is no request
				e.drop(conn)
			})
		}
	})
	return nil
}

func (e *emulated) keep(conn net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = conn.Close() // nothing was asked
		return false
	}
	e.open[conn] = true
	return true
}

func (e *emulated) drop(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, conn)
	_ = conn.Close() // what was to be sent is
}

func (e *emulated) close() error {
	e.mu.Lock()
	e.closed = true
	for conn := range e.open {
		_ = conn.Close() // wakes who serves it
	}
	e.mu.Unlock()
	var errs []error
	for _, l := range e.listeners {
		errs = append(errs, l.Close())
	}
	e.serving.Wait()
	if err := os.Remove(e.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *emulated) begin(_ context.Context, m simulation.Moment) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pipeline.begin(m)
	return nil
}

func (e *emulated) apply(_ context.Context, before, now *state) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pipeline.apply(before, now)
}

func (e *emulated) receive(ctx context.Context, packets []packet) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range packets {
		e.pipeline.receive(&packets[i])
	}
	return ctx.Err()
}

// call is a request of JSON-RPC 1.0.
type call struct {
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	ID     json.RawMessage   `json:"id"`
}

// serveCalls answers calls until one is none.
func serveCalls(conn net.Conn, answer func(*call) (result any, err error)) error {
	decoder, encoder := json.NewDecoder(conn), json.NewEncoder(conn)
	for {
		var c call
		if err := decoder.Decode(&c); err != nil {
			return err
		}
		if c.Method == "" || c.ID == nil { // an answer, or what needs none
			continue
		}
		reply := struct {
			Result any             `json:"result"`
			Error  any             `json:"error"`
			ID     json.RawMessage `json:"id"`
		}{ID: c.ID}
		result, err := answer(&c)
		if reply.Result = result; err != nil {
			reply.Result, reply.Error = nil, err.Error()
		}
		if err := encoder.Encode(&reply); err != nil {
			return err
		}
	}
}

// serveOVSDB answers what selects all rows of a table (RFC 7047).
func (e *emulated) serveOVSDB(conn net.Conn) error {
	return serveCalls(conn, func(c *call) (any, error) {
		switch c.Method {
		case "echo":
			return c.Params, nil
		case "list_dbs":
			return []string{"Open_vSwitch"}, nil
		case "transact":
			return e.transact(c.Params), nil
		}
		return nil, errors.New("unknown method")
	})
}

// transact gives a result for each operation; after an error there is none.
func (e *emulated) transact(params []json.RawMessage) []any {
	e.mu.Lock()
	defer e.mu.Unlock()
	results := []any{}
	for _, text := range params[min(1, len(params)):] {
		var operation struct {
			Op      string   `json:"op"`
			Table   string   `json:"table"`
			Columns []string `json:"columns"`
		}
		if err := json.Unmarshal(text, &operation); err != nil || operation.Op != "select" {
			return append(results, map[string]string{"error": "not supported", "details": "this is an emulation, which is only read"})
		}
		rows := e.rows(operation.Table)
		if rows == nil {
			return append(results, map[string]string{"error": "syntax error", "details": "No table named " + operation.Table + "."})
		}
		if operation.Columns != nil {
			for _, row := range rows {
				maps.DeleteFunc(row, func(column string, _ any) bool { return !slices.Contains(operation.Columns, column) })
			}
		}
		results = append(results, map[string]any{"rows": rows})
	}
	return results
}

// rows of a table, with the columns that readers of Antrea's database need.
func (e *emulated) rows(table string) (rows []map[string]any) {
	ports := slices.SortedFunc(maps.Values(e.pipeline.ports), func(a, b *livePort) int { return a.number - b.number })
	switch table {
	case "Open_vSwitch":
		return []map[string]any{{"_uuid": id(1, 0), "ovs_version": e.version(), "bridges": id(2, 0)}}
	case "Bridge":
		uuids := []any{}
		for _, p := range ports {
			uuids = append(uuids, id(3, p.number))
		}
		return []map[string]any{{"_uuid": id(2, 0), "name": bridgeName, "datapath_type": "netdev", "ports": []any{"set", uuids}, "external_ids": ovsMap(map[string]string{"roundNum": strconv.Itoa(round)})}}
	case "Port":
		for _, p := range ports {
			ids := map[string]string{}
			if p.number != localPort {
				ids = p.externalIDs()
			}
			rows = append(rows, map[string]any{"_uuid": id(3, p.number), "name": p.name, "interfaces": id(4, p.number), "external_ids": ovsMap(ids)})
		}
		return rows
	case "Interface":
		for _, p := range ports {
			kind, number := "dummy", p.number
			if number == localPort {
				kind, number = "internal", 65534
			}
			rows = append(rows, map[string]any{"_uuid": id(4, p.number), "name": p.name, "type": kind, "ofport": number, "external_ids": ovsMap(nil)})
		}
		return rows
	}
	return nil
}

// id of a row.
func id(table, n int) []string {
	return []string{"uuid", fmt.Sprintf("%08x-0000-4000-8000-%012x", table, n)}
}

// ovsMap is a map as OVSDB writes it.
func ovsMap(m map[string]string) []any {
	pairs := [][2]string{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, [2]string{key, m[key]})
	}
	return []any{"map", pairs}
}

// serveUnixctl answers what ovs-appctl asks ovs-vswitchd.
func (e *emulated) serveUnixctl(conn net.Conn) error {
	commands := e.commands()
	return serveCalls(conn, func(c *call) (any, error) {
		var arguments []string
		for _, text := range c.Params {
			var argument string
			if err := json.Unmarshal(text, &argument); err != nil {
				return nil, errors.New("params is not an array of strings")
			}
			arguments = append(arguments, argument)
		}
		if c.Method == "list-commands" {
			return "The available commands are:\n  " + strings.Join(slices.Sorted(maps.Keys(commands)), "\n  ") + "\n", nil
		}
		command := commands[c.Method]
		if command == nil {
			return nil, fmt.Errorf("%q is not a valid command (use \"list-commands\" to see a list of valid commands)", c.Method)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		return command(arguments), nil
	})
}

const datapathName = "netdev@ovs-netdev"

// commands of unixctl that are known (lib/dpctl.c, ofproto/ofproto-dpif-upcall.c, lib/coverage.c and lib/memory.c).
func (e *emulated) commands() map[string]func(arguments []string) string {
	p := e.pipeline
	return map[string]func([]string) string{
		"version":               func([]string) string { return "ovs-vswitchd (Open vSwitch) " + e.version() + "\n" },
		"dpctl/ct-get-nconns":   func([]string) string { return strconv.Itoa(p.tracker.count) + "\n" },
		"dpctl/ct-get-maxconns": func([]string) string { return strconv.Itoa(maxEntries) + "\n" },
		"dpctl/dump-conntrack": func(arguments []string) string {
			return p.tracker.dump(slices.Contains(arguments, "-m"))
		},
		"dpctl/show": func([]string) string {
			var b strings.Builder
			fmt.Fprintf(&b, "%s:\n  lookups: hit:%d missed:%d lost:0\n  flows: %d\n", datapathName, p.hits, p.misses, len(p.caches))
			for i, port := range slices.SortedFunc(maps.Values(p.ports), func(a, b *livePort) int { return a.number - b.number }) {
				fmt.Fprintf(&b, "  port %d: %s (dummy)\n", i+1, port.name)
			}
			return b.String()
		},
		"upcall/show": func([]string) string {
			n := len(p.caches)
			return fmt.Sprintf("%s:\n  flows         : (current %d) (avg %d) (max %d) (limit 200000)\n  dump duration : 1ms\n  ufid enabled : true\n\n  1: (keys %d)\n", datapathName, n, n, n, n)
		},
		"memory/show": func([]string) string {
			rules := 0
			for i := range p.tables {
				rules += len(p.tables[i].flows)
			}
			return fmt.Sprintf("handlers:1 ports:%d revalidators:1 rules:%d udpif keys:%d\n", len(p.ports), rules, len(p.caches))
		},
		"coverage/show": func([]string) string {
			var b strings.Builder
			b.WriteString("Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=00000000:\n")
			for _, event := range []struct {
				name string
				n    uint64
			}{
				{"conntrack_full", p.tracker.full},
				{"drop_action_of_pipeline", p.nowhere},
				{"flow_extract", p.packets},
				{"ofproto_packet_in", p.answered},
				{"ofproto_recv_openflow", p.asked},
				{"rev_flow_table", p.changes},
				{"rev_reconfigure", p.replugs},
				{"xlate_actions", p.misses},
			} {
				if event.n > 0 {
					fmt.Fprintf(&b, "%-28s 0.0/sec     0.000/sec        0.0000/sec   total: %d\n", event.name, event.n)
				}
			}
			return b.String()
		},
	}
}
