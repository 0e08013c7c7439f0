package syslog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corkline/corkline/exporter/exportertest"
)

// deliver reads the files that are not written to any more, and deletes them.
func (b *bench) deliver() (messages []string) {
	b.Helper()
	for _, path := range b.paths() {
		text, err := os.ReadFile(path)
		b.do(err)
		if b.spool.Finished(path, int64(len(text))) {
			b.do(os.Remove(path))
			b.spool.Removed(path)
			messages = append(messages, decode(text)...)
		}
	}
	return messages
}

// A full spool pushes back, and goes on when there is room again.
func TestSpool_Full(t *testing.T) {
	b := newBench(t)
	b.options.TCP, b.limit = loopback, 1<<20
	b.start()
	const size = 4000
	var want []string
	for i := range 8000 { // 32 MB, more than the kernel holds of a connection
		want = append(want, fmt.Sprintf("<1>%d %s", i, strings.Repeat("x", size-10)))
	}
	conn := b.dial("tcp", b.receiver.tcp.Addr())
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, strings.Join(want, "\n")+"\n")
		sent <- err
	}()
	exportertest.Eventually(b, "the spool", func() error {
		if bytes, limit := b.spool.Size(); bytes < limit-2*readBytes {
			return fmt.Errorf("has %d bytes only", bytes)
		}
		return nil
	})
	bytes, limit := b.spool.Size()
	if len(sent) > 0 || bytes > limit {
		t.Errorf("%d of %d bytes in the spool, and all is sent: %t", bytes, limit, len(sent) > 0)
	}
	var got []string
	exportertest.Eventually(b, "all messages", func() error {
		if bytes, limit := b.spool.Size(); bytes > limit {
			return fmt.Errorf("%d of %d bytes", bytes, limit)
		}
		if got = append(got, b.deliver()...); len(sent) > 0 {
			b.Advance(time.Minute)
		}
		if len(got) < len(want) {
			return fmt.Errorf("%d came", len(got))
		}
		return nil
	})
	b.do(<-sent)
	if !slices.Equal(got, want) {
		t.Error("messages are not as they were sent")
	}
	if files := b.paths(); len(files) > 0 {
		t.Errorf("files stay: %q", files)
	}
	b.counts(b.metrics.spoolBytes, 0)
	b.counts(b.metrics.spoolLimit, 1<<20)
	b.counts(b.metrics.tcp.messages, float64(len(want)))
}

// While the spool is full, the kernel drops datagrams, and each is counted.
func TestSpool_FullDropsUDP(t *testing.T) {
	b := newBench(t)
	b.options.UDP, b.limit = loopback, 64<<10
	b.start()
	conn := b.dial("udp", b.receiver.udp.conn.LocalAddr())
	b.do(b.receiver.udp.conn.SetReadBuffer(64 << 10))
	const sent = 1000
	for i := range sent {
		b.send(conn, fmt.Sprintf("<1>%d %s", i, strings.Repeat("x", 3000)))
	}
	exportertest.Eventually(b, "drops", func() error {
		if testutil.ToFloat64(b.metrics.dropped) == 0 {
			return errors.New("none are counted")
		}
		return nil
	})
	var got []string
	exportertest.Eventually(b, "all messages", func() error {
		b.Advance(time.Minute)
		got = append(got, b.deliver()...)
		if dropped := int(testutil.ToFloat64(b.metrics.dropped)); len(got)+dropped != sent {
			return fmt.Errorf("%d came and %d were dropped of %d", len(got), dropped, sent)
		}
		return nil
	})
	if !strings.HasPrefix(got[0], "<1>0 ") {
		t.Errorf("the first is %.20q", got[0])
	}
}

// A spool that is full keeps what was read when the receiver stops.
func TestSpool_FullAtStop(t *testing.T) {
	b := newBench(t)
	b.options.TCP, b.limit = loopback, 1<<10
	b.start()
	conn := b.dial("tcp", b.receiver.tcp.Addr())
	long := "<1>" + strings.Repeat("x", 1000)
	b.send(conn, long+"\n")
	b.arrives(long)
	b.send(conn, "<2>"+long+"\n")
	b.counts(b.metrics.tcp.messages, 2)
	b.arrives(long)
	b.stop()
	b.arrives(long, "<2>"+long)
}

// A restart goes on with other files, and repairs the line that a kill has cut.
func TestSpool_Killed(t *testing.T) {
	b := newBench(t)
	b.do(os.MkdirAll(b.dir, 0o700))
	file := filepath.Join(b.dir, fmt.Sprintf("%019d.log", time.Now().Add(time.Hour).UnixNano())) // the clock has gone back since
	b.do(os.WriteFile(file, []byte("<1>a\n<2>b\n<3>ha"), 0o600))
	b.do(os.WriteFile(filepath.Join(b.dir, "empty.log"), nil, 0o600))
	b.do(os.WriteFile(filepath.Join(b.dir, "notes"), []byte("no spool file"), 0o600))
	b.do(os.Mkdir(filepath.Join(b.dir, "folder.log"), 0o700)) // nobody's, and no reason to fail
	b.open()
	b.counts(b.metrics.spoolBytes, 16)
	b.do(b.spool.Append(t.Context(), []byte("<4>c\n")))
	b.do(b.spool.Close())
	b.do(os.Remove(filepath.Join(b.dir, "folder.log")))
	b.arrives("<1>a", "<2>b", "<3>ha", "<4>c")
	paths := b.paths()
	if len(paths) != 3 || paths[0] != file || paths[1] <= file {
		t.Errorf("files are %q", paths)
	}
	if got := b.deliver(); len(got) != 4 {
		t.Errorf("%q are delivered", got)
	}
	b.counts(b.metrics.spoolBytes, 0)
}

// A receiver that is killed leaves whole messages, without a gap but at the end
// of each connection, and half a line at most.
func TestSpool_SIGKILL(t *testing.T) {
	b := newBench(t)
	if dir := os.Getenv("SYSLOG_SPOOL"); dir != "" { // what is to be killed
		b.dir, b.options.TCP = dir, loopback
		b.start()
		fmt.Println("at", b.receiver.tcp.Addr())
		<-t.Context().Done()
		return
	}
	text := func(connection, i int) string {
		return fmt.Sprintf("<%d>%d %s", connection, i, strings.Repeat(string(rune('a'+i%26)), i%2000))
	}
	const kills = 10
	for k := range kills {
		b.killed(k, text)
	}
	b.open() // repairs the last
	next := map[int]int{}
	torn := 0
	for _, path := range b.paths() {
		lines, err := os.ReadFile(path)
		b.do(err)
		messages := decode(lines)
		for n, message := range messages {
			var connection int
			if _, err := fmt.Sscanf(message, "<%d>", &connection); err != nil {
				torn++ // not even that
				continue
			}
			switch want := text(connection, next[connection]); {
			case message == want:
				next[connection]++
			case n == len(messages)-1 && strings.HasPrefix(want, message):
				torn++
			default:
				t.Fatalf("%.30q comes instead of %.30q", message, want)
			}
		}
	}
	if len(next) != kills || torn > kills {
		t.Errorf("messages of %d connections, %d torn", len(next), torn)
	}
	t.Logf("%v messages of the connections, %d torn", next, torn)
}

// killed runs a receiver in a process of its own, sends to it, and kills it
// when some messages are in the spool.
func (b *bench) killed(connection int, text func(connection, i int) string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestSpool_SIGKILL$")
	cmd.Env = append(os.Environ(), "SYSLOG_SPOOL="+b.dir)
	out, err := cmd.StdoutPipe()
	b.do(err)
	b.do(cmd.Start())
	var at string
	_, err = fmt.Fscanf(out, "at %s\n", &at)
	b.do(err)
	address, err := net.ResolveTCPAddr("tcp", at)
	b.do(err)
	conn := b.dial("tcp", address)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// Not without end: a busy machine may take long to look, and the budget
		// of the spool is to last for all connections.
		for i := range 100*connection + 3000 {
			if _, err := io.WriteString(conn, text(connection, i)+"\n"); err != nil {
				return // killed
			}
		}
	}()
	exportertest.Eventually(b, "messages in the spool", func() error {
		for _, message := range b.spooled() {
			if strings.HasPrefix(message, fmt.Sprintf("<%d>%d ", connection, 100*connection)) {
				return nil
			}
		}
		return errors.New("none are there")
	})
	b.do(cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		b.Error("it was not killed")
	}
	<-sent
}

func BenchmarkUDP(bm *testing.B) {
	b := newBench(bm)
	b.options.UDP, b.limit = loopback, 1<<40
	b.start()
	conn := b.dial("udp", b.receiver.udp.conn.LocalAddr())
	message := []byte("<134>" + strings.Repeat("x", 2995))
	bm.SetBytes(int64(len(message)))
	bm.ReportAllocs()
	sent := 0
	for bm.Loop() {
		if _, err := conn.Write(message); err != nil {
			bm.Fatal(err)
		}
		if sent++; sent%1000 == 0 {
			bm.StopTimer()
			for _, path := range b.paths() { // so that the disk is not filled
				if info, err := os.Stat(path); err == nil && b.spool.Finished(path, info.Size()) {
					b.do(os.Remove(path))
					b.spool.Removed(path)
				}
			}
			bm.StartTimer()
		}
	}
	bm.StopTimer()
	b.stop()
	bm.ReportMetric(testutil.ToFloat64(b.metrics.dropped)/float64(sent), "dropped/op")
	bm.ReportMetric(float64(sent)/bm.Elapsed().Seconds(), "messages/s")
	if got := testutil.ToFloat64(b.metrics.udp.messages) + testutil.ToFloat64(b.metrics.dropped); got != float64(sent) {
		bm.Errorf("%v of %d are accounted for", got, sent)
	}
}
