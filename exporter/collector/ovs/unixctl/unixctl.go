// Package unixctl asks the daemons of Open vSwitch what ovs-appctl asks them:
// a command over JSON-RPC 1.0 on a Unix socket (lib/unixctl.c of its source).
package unixctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RunDirs are the folders in which the sockets of Open vSwitch are: of
// Antrea's containers and of a plain host, then Antrea's as its host sees it.
func RunDirs() []string {
	return []string{"/var/run/openvswitch", "/var/run/antrea/openvswitch"}
}

// ErrNotFound is what Find returns, wrapped, when no daemon answers.
var ErrNotFound = errors.New("no control socket answers")

// Find gives the control socket of a daemon, such as ovs-vswitchd, in the
// first of the folders that has one which takes connections. That of its pid
// file is tried first, then what daemons before it may have left behind, the
// newest first.
func Find(ctx context.Context, daemon string, dirs ...string) (path string, err error) {
	var failures []error
	for _, dir := range dirs {
		for _, path := range candidates(dir, daemon) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
			if err == nil {
				return path, conn.Close()
			}
			failures = append(failures, err)
		}
	}
	if len(failures) == 0 {
		return "", fmt.Errorf("find %s in %s: %w", daemon, strings.Join(dirs, ", "), ErrNotFound)
	}
	return "", fmt.Errorf("find %s: %w: %w", daemon, ErrNotFound, errors.Join(failures...))
}

// candidates are the sockets in a folder that may be of a daemon.
func candidates(dir, daemon string) []string {
	var paths []string
	if text, err := os.ReadFile(filepath.Join(dir, daemon+".pid")); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			paths = append(paths, filepath.Join(dir, fmt.Sprintf("%s.%d.ctl", daemon, pid)))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return paths
	}
	type socket struct {
		path    string
		changed time.Time
	}
	var sockets []socket
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), daemon+".")
		pid, isSocket := strings.CutSuffix(middle, ".ctl")
		if _, err := strconv.Atoi(pid); !ok || !isSocket || err != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := e.Info(); err == nil && !slices.Contains(paths, path) {
			sockets = append(sockets, socket{path, info.ModTime()})
		}
	}
	slices.SortFunc(sockets, func(a, b socket) int { return b.changed.Compare(a.changed) })
	for _, s := range sockets {
		paths = append(paths, s.path)
	}
	return paths
}

// Client asks one daemon. It holds no connection; its methods may be called at
// the same time.
type Client struct {
	Path     string // of the control socket
	MaxReply int64  // bytes of JSON; 0 is 16 MiB
}

// Error is the daemon's own: it does not have the command, or the command failed.
type Error struct{ Message string }

func (e Error) Error() string { return "the daemon answers: " + strings.TrimSpace(e.Message) }

// ErrTooLong is what Call returns, wrapped, when a reply is longer than allowed.
var ErrTooLong = errors.New("the reply is too long")

// Call runs a command, such as coverage/show, and gives what ovs-appctl would
// print. The connection is this call's own, so that one that fails spoils no
// other.
func (c Client) Call(ctx context.Context, method string, args ...string) (string, error) {
	reply, err := c.call(ctx, method, args)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// The connection's clock may be a little ahead of the context's.
			err = fmt.Errorf("%w: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded), err)
		}
		return "", fmt.Errorf("call %s: %w", method, err)
	}
	return reply, nil
}

func (c Client) call(ctx context.Context, method string, args []string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = conn.SetDeadline(time.Unix(1, 0)) // wakes the read; its error is the one that counts
	})
	defer func() {
		if !stop() {
			<-done
		}
	}()

	if args == nil {
		args = []string{}
	}
	request := struct {
		ID     int      `json:"id"`
		Method string   `json:"method"`
		Params []string `json:"params"`
	}{0, method, args}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}

	limit := c.MaxReply
	if limit <= 0 {
		limit = 16 << 20
	}
	return decode(conn, limit)
}

// decode reads a reply of so many bytes at most.
func decode(r io.Reader, limit int64) (string, error) {
	from := &io.LimitedReader{R: r, N: limit}
	var reply struct {
		Result *string `json:"result"`
		Error  *string `json:"error"`
	}
	switch err := json.NewDecoder(from).Decode(&reply); {
	case err != nil && from.N <= 0:
		return "", fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("read the reply: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return "", fmt.Errorf("read the reply: %w", err)
	case reply.Error != nil:
		return "", Error{*reply.Error}
	case reply.Result == nil:
		return "", errors.New("the reply has neither a result nor an error")
	}
	return *reply.Result, nil
}
