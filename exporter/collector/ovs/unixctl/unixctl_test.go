package unixctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// daemon answers on a socket until the test ends.
func daemon(t *testing.T, path string, answer func(conn net.Conn)) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
}

// folder has a short path, as a socket needs.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uc") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestCall(t *testing.T) {
	f := func(name string, answer func(conn net.Conn, request string), check func(reply string, err error), args ...string) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder(t), "d.1.ctl")
			daemon(t, path, func(conn net.Conn) {
				var request json.RawMessage
				if err := json.NewDecoder(conn).Decode(&request); err != nil {
					t.Error(err)
				}
				answer(conn, string(request))
			})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			check(Client{Path: path, MaxReply: 1000}.Call(ctx, "coverage/show", args...))
		})
	}
	says := func(text string) func(net.Conn, string) {
		return func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, text) }
	}
	f("a result", func(conn net.Conn, request string) {
		if request != `{"id":0,"method":"coverage/show","params":["a","b \"c\""]}` {
			t.Errorf("request %s", request)
		}
		_, _ = io.WriteString(conn, `{"id":0,"error":null,"res`)
		_, _ = io.WriteString(conn, `ult":"one\ntwo\n"}`)
	}, func(reply string, err error) {
		if reply != "one\ntwo\n" || err != nil {
			t.Errorf("%q %v", reply, err)
		}
	}, "a", `b "c"`)
	f("no arguments", func(conn net.Conn, request string) {
		if !strings.HasSuffix(request, `"params":[]}`) {
			t.Errorf("request %s", request)
		}
		_, _ = io.WriteString(conn, `{"id":0,"result":"","error":null}`)
	}, func(reply string, err error) {
		if reply != "" || err != nil {
			t.Errorf("%q %v", reply, err)
		}
	})
	f("an error", says(`{"id":0,"result":null,"error":"\"x\" is not a valid command\n"}`), func(_ string, err error) {
		if answer := (Error{}); !errors.As(err, &answer) || err.Error() != `call coverage/show: the daemon answers: "x" is not a valid command` {
			t.Error(err)
		}
	})
	f("neither", says(`{"id":0}`), func(_ string, err error) {
		if err == nil || err.Error() != "call coverage/show: the reply has neither a result nor an error" {
			t.Error(err)
		}
	})
	f("no JSON", says(`hello`), func(_ string, err error) {
		if err == nil || !strings.HasPrefix(err.Error(), "call coverage/show: read the reply: ") {
			t.Error(err)
		}
	})
	f("cut off", says(`{"id":0,"result":"abc`), func(_ string, err error) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
	f("nothing", says(""), func(_ string, err error) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
	f("too long", says(`{"id":0,"result":"`+strings.Repeat("x", 2000)+`"}`), func(_ string, err error) {
		if !errors.Is(err, ErrTooLong) {
			t.Error(err)
		}
	})

	path := filepath.Join(folder(t), "d.1.ctl")
	daemon(t, path, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := (Client{Path: path}).Call(ctx, "version"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := (Client{Path: path}).Call(ctx, "version"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := (Client{Path: path + "x"}).Call(t.Context(), "version"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	dir, other := folder(t), folder(t)
	stale := func(dir string, pid int, age time.Duration) {
		path := filepath.Join(dir, fmt.Sprintf("ovs-vswitchd.%d.ctl", pid))
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		listener.SetUnlinkOnClose(false)
		listener.Close()
		changed := time.Now().Add(-age)
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want string, dirs ...string) {
		t.Helper()
		got, err := Find(t.Context(), "ovs-vswitchd", dirs...)
		if got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	f("", filepath.Join(dir, "none"))
	f("", dir)
	stale(dir, 3, time.Hour)
	stale(dir, 4, time.Minute)
	write("ovs-vswitchd.pid", "3\n")
	write("ovs-vswitchd.x.ctl", "")
	f("", dir)

	lives := filepath.Join(other, "ovs-vswitchd.7.ctl")
	daemon(t, lives, func(net.Conn) {})
	f(lives, dir, other)

	older := filepath.Join(dir, "ovs-vswitchd.5.ctl")
	daemon(t, older, func(net.Conn) {})
	if err := os.Chtimes(older, time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	f(older, dir, other)
	newer := filepath.Join(dir, "ovs-vswitchd.6.ctl")
	daemon(t, newer, func(net.Conn) {})
	f(newer, dir, other)
	write("ovs-vswitchd.pid", "5\n")
	f(older, dir, other)
	daemon(t, filepath.Join(dir, "ovsdb-server.8.ctl"), func(net.Conn) {})
	if got, err := Find(t.Context(), "ovsdb-server", other, dir); err != nil || filepath.Base(got) != "ovsdb-server.8.ctl" {
		t.Errorf("got %s, %v", got, err)
	}
}

// FuzzReply holds that no reply makes a call panic, wait, or succeed without a
// result.
func FuzzReply(f *testing.F) {
	for _, reply := range []string{`{"id":0,"result":"x","error":null}`, `{"id":0,"result":null,"error":"x"}`, `[`, ``, `{"result":1}`, `null`} {
		f.Add([]byte(reply))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		result, err := decode(strings.NewReader(string(reply)), 1000)
		if len(result) > 1000 || err != nil && result != "" {
			t.Fatalf("%q: %q, %v", reply, result, err)
		}
	})
}
