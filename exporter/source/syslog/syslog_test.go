package syslog

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/exporter/exportertest"
	"github.com/corkline/corkline/exporter/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a receiver on loopback with its spool.
type bench struct {
	testing.TB
	exportertest.Clock
	dir      string
	options  Options
	limit    int64
	metrics  *SourceMetrics
	log      exportertest.Log
	spool    *spool.Spool
	receiver *Receiver
	cancel   context.CancelFunc
	ended    chan error
}

func newBench(tb testing.TB) *bench {
	b := &bench{
		TB: tb, dir: filepath.Join(tb.TempDir(), "spool"), limit: 64 << 20,
		metrics: NewMetrics(prometheus.NewRegistry()).Source("avi"),
		options: Options{Source: "avi", MaxConnections: 16, IdleTimeout: exportertest.Patience, MaxLineBytes: 4096},
	}
	tb.Cleanup(func() {
		b.stop()
		if tb.Failed() {
			tb.Logf("the receiver said:\n%s", &b.log)
		}
	})
	return b
}

func (b *bench) open() {
	b.Helper()
	var err error
	b.spool, err = spool.Open(spool.Options{Dir: b.dir, Limit: b.limit, Metrics: b.metrics.Spool(), Log: slog.New(slog.NewTextHandler(&b.log, nil)), Now: b.Now})
	b.do(err)
}

func (b *bench) start() {
	b.Helper()
	b.open()
	b.options.Spool, b.options.Metrics, b.options.Log = b.spool, b.metrics, slog.New(slog.NewTextHandler(&b.log, nil))
	var err error
	b.receiver, err = Listen(b.Context(), b.options)
	b.do(err)
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	b.ended = make(chan error, 1)
	go func() { b.ended <- b.receiver.Run(ctx) }()
}

func (b *bench) stop() {
	b.Helper()
	if b.cancel == nil {
		return
	}
	b.cancel()
	b.cancel = nil
	select {
	case err := <-b.ended:
		if err != nil {
			b.Errorf("the receiver ends with: %s", err)
		}
	case <-time.After(exportertest.Patience):
		b.Fatal("the receiver does not end")
	}
}

func (b *bench) do(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) dial(network string, at net.Addr) net.Conn {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), network, at.String())
	b.do(err)
	b.Cleanup(func() { conn.Close() })
	return conn
}

func (b *bench) send(conn io.Writer, text string) {
	b.Helper()
	_, err := io.WriteString(conn, text)
	b.do(err)
}

// counts waits until a metric has a value.
func (b *bench) counts(metric prometheus.Collector, want float64) {
	b.Helper()
	exportertest.Eventually(b, "a metric", func() error {
		if got := testutil.ToFloat64(metric); got != want {
			return fmt.Errorf("is %v, want %v", got, want)
		}
		return nil
	})
}

// paths of the spool files, the oldest first.
func (b *bench) paths() []string {
	paths, err := filepath.Glob(spool.Pattern(b.dir))
	b.do(err)
	return paths
}

// spooled gives all messages in the spool.
func (b *bench) spooled() (messages []string) {
	for _, path := range b.paths() {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			b.Fatal(err)
		}
		messages = append(messages, decode(text)...)
	}
	return messages
}

func decode(text []byte) (messages []string) {
	for line := range bytes.Lines(text) {
		messages = append(messages, string(Unescape(bytes.TrimSuffix(line, []byte("\n")))))
	}
	return messages
}

// arrives waits until the spool has just these messages.
func (b *bench) arrives(want ...string) {
	b.Helper()
	exportertest.Eventually(b, "messages in the spool", func() error {
		if diff := cmp.Diff(want, b.spooled()); diff != "" {
			return errors.New("(-want +got):\n" + diff)
		}
		return nil
	})
}

const loopback = "127.0.0.1:0"

func TestUDP(t *testing.T) {
	b := newBench(t)
	b.options.UDP = "localhost:0"
	b.start()
	conn := b.dial("udp", b.receiver.udp.conn.LocalAddr())
	long := "<1>" + strings.Repeat("x", 50_000)
	for _, text := range []string{"<1>one", "", "\n", "<2>two\nlines\n", "{}\x00", long, "<3>three"} {
		b.send(conn, text)
	}
	b.arrives("<1>one", "<2>two\nlines", "{}", long[:4097], "<3>three")
	b.counts(b.metrics.udp.messages, 5)
	b.counts(b.metrics.udp.bytes, float64(6+1+13+3+len(long)+8))
	b.counts(b.metrics.oversized, 1)
	status := b.receiver.Status()
	if want := []string{"UDP " + b.receiver.udp.conn.LocalAddr().String()}; !slices.Equal(status.Listeners, want) || status.ReceiveBuffer <= 0 || status.Connections != 0 {
		t.Errorf("status is %+v", status)
	}
}

// What comes over both kinds of addresses at a wildcard socket is known by its sender.
func TestUDP_Wildcard(t *testing.T) {
	b := newBench(t)
	b.options.UDP = ":0"
	b.options.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	b.start()
	port := b.receiver.udp.conn.LocalAddr().(*net.UDPAddr).Port
	b.send(b.dial("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}), "<1>four")
	b.arrives("<1>four")
	b.counts(b.metrics.refusedSender, 0)
}

func TestTCP(t *testing.T) {
	b := newBench(t)
	b.options.TCP = loopback
	b.start()
	conn := b.dial("tcp", b.receiver.tcp.Addr())
	b.send(conn, "<1>one\n<2>t")
	b.arrives("<1>one")
	b.counts(b.metrics.tcp.connections, 1)
	b.send(conn, "wo\r\n6 <3>a\nb<4>"+strings.Repeat("x", 5000)+"\n\n\n7 <5>five")
	b.arrives("<1>one", "<2>two", "<3>a\nb", "<4>"+strings.Repeat("x", 4094), "<5>five"[:7])
	b.do(conn.Close())
	b.counts(b.metrics.tcp.connections, 0)
	b.counts(b.metrics.tcp.messages, 5)
	b.counts(b.metrics.oversized, 1)
	b.counts(b.metrics.framingCut, 0)
	info, err := os.Stat(b.dir)
	b.do(err)
	file, err := os.Stat(b.paths()[0])
	b.do(err)
	if info.Mode().Perm() != 0o700 || file.Mode().Perm() != 0o600 {
		t.Errorf("the folder has mode %s, a file %s", info.Mode(), file.Mode())
	}
}

// Random messages in random frames and pieces over several connections at once
// are complete, and in the order of their connection.
func TestTCP_Property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.options.TCP, b.limit = loopback, int64(rapid.IntRange(1<<10, 1<<20).Draw(rt, "limit")) // many files
		b.limit += 1 << 20
		b.start()
		defer b.stop()
		want := map[string][]string{}
		var work sync.WaitGroup
		for id := range rapid.IntRange(1, 3).Draw(rt, "connections") {
			var stream strings.Builder
			name := fmt.Sprintf("<%d>", id)
			for i := range rapid.IntRange(0, 30).Draw(rt, "messages") {
				message := fmt.Sprintf("%s%d ", name, i) + rapid.StringN(0, 200, 600).Draw(rt, "message")
				message = string(trim([]byte(message)))
				if strings.Contains(message, "\n") || rapid.Bool().Draw(rt, "counted") {
					fmt.Fprintf(&stream, "%d %s", len(message), message)
				} else {
					stream.WriteString(message + rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "end"))
				}
				want[name] = append(want[name], message)
			}
			var pieces []string
			for rest := stream.String(); rest != ""; {
				n := rapid.IntRange(1, len(rest)).Draw(rt, "piece")
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			conn := b.dial("tcp", b.receiver.tcp.Addr())
			work.Go(func() {
				for _, piece := range pieces {
					if _, err := io.WriteString(conn, piece); err != nil {
						t.Error(err)
					}
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		exportertest.Eventually(b, "messages of each connection", func() error {
			got := map[string][]string{}
			for _, message := range b.spooled() {
				got[message[:3]] = append(got[message[:3]], message)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				return errors.New("(-want +got):\n" + diff)
			}
			return nil
		})
		b.counts(b.metrics.framingCut, 0)
	})
}

// A connection that is cut costs the message that it was cut in.
func TestTCP_Cut(t *testing.T) {
	f := func(text string, reset bool, lost float64, want ...string) {
		t.Helper()
		b := newBench(t)
		b.options.TCP = loopback
		b.start()
		conn := b.dial("tcp", b.receiver.tcp.Addr())
		b.send(conn, text)
		b.arrives(want...)
		if reset {
			b.do(conn.(*net.TCPConn).SetLinger(0))
		}
		b.do(conn.Close())
		b.counts(b.metrics.framingCut, lost)
		b.counts(b.metrics.tcp.connections, 0)
		b.arrives(want...)
		b.stop()
	}
	f("<1>a\n<2>b", false, 1, "<1>a")
	f("<1>a\n<2>b", true, 1, "<1>a")
	f("4 <1>a5 <2>b", true, 1, "<1>a")
	f("4 <1>a5", false, 1, "<1>a")
	f("4 <1>a", true, 0, "<1>a")
}

// What is not a frame ends the connection, since nobody knows where the next begins.
func TestTCP_Framing(t *testing.T) {
	b := newBench(t)
	b.options.TCP = loopback
	b.start()
	conn := b.dial("tcp", b.receiver.tcp.Addr())
	b.send(conn, "<1>a\n999999999 x")
	b.isClosed(conn)
	b.arrives("<1>a")
	b.counts(b.metrics.framingCount, 1)
	b.counts(b.metrics.framingCut, 0)
}

// isClosed waits for the receiver to close a connection.
func (b *bench) isClosed(conn net.Conn) {
	b.Helper()
	b.do(conn.SetReadDeadline(time.Now().Add(exportertest.Patience)))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		b.Fatalf("the connection is open: %v", err)
	}
}

func TestTCP_Slow(t *testing.T) {
	b := newBench(t)
	b.options.TCP, b.options.IdleTimeout = loopback, 500*time.Millisecond
	b.start()
	idle, slow := b.dial("tcp", b.receiver.tcp.Addr()), b.dial("tcp", b.receiver.tcp.Addr())
	b.send(slow, "<1>a\n<2>")
	b.isClosed(idle)
	b.isClosed(slow)
	b.counts(b.metrics.framingCut, 1)
	b.arrives("<1>a")
}

func TestTCP_TooMany(t *testing.T) {
	b := newBench(t)
	b.options.TCP, b.options.MaxConnections = loopback, 1
	b.start()
	first := b.dial("tcp", b.receiver.tcp.Addr())
	b.counts(b.metrics.tcp.connections, 1)
	b.isClosed(b.dial("tcp", b.receiver.tcp.Addr()))
	b.counts(b.metrics.refusedLimit, 1)
	b.do(first.Close())
	b.counts(b.metrics.tcp.connections, 0)
	exportertest.Eventually(b, "a free place", func() error {
		if n := b.receiver.Status().Connections; n > 0 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	b.send(b.dial("tcp", b.receiver.tcp.Addr()), "<1>a\n")
	b.arrives("<1>a")
}

func TestAllowed(t *testing.T) {
	f := func(sender string, want bool, allow ...string) {
		t.Helper()
		r := &Receiver{}
		for _, text := range allow {
			r.options.Allow = append(r.options.Allow, netip.MustParsePrefix(text))
		}
		if got := r.allowed(netip.MustParseAddr(sender)); got != want {
			t.Errorf("%s with %q: allowed is %t", sender, allow, got)
		}
	}
	f("127.0.0.1", true)
	f("::1", true)
	f("10.1.2.3", true)
	f("192.168.1.1", true)
	f("fd00::1", true)
	f("fe80::1%eth0", true)
	f("192.0.2.1", false)
	f("2001:db8::1", false)
	f("192.0.2.1", true, "192.0.2.0/24")
	f("127.0.0.1", false, "192.0.2.0/24")
	f("2001:db8::1", true, "192.0.2.0/24", "2001:db8::/32")
	f("fe80::1%eth0", true, "fe80::/10")
	f("198.51.100.1", true, "0.0.0.0/0")
	if (&Receiver{}).allowed(netip.Addr{}) {
		t.Error("a sender without an address is allowed")
	}
}

func TestAllow(t *testing.T) {
	b := newBench(t)
	b.options.UDP, b.options.TCP = loopback, loopback
	b.options.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	b.start()
	b.send(b.dial("udp", b.receiver.udp.conn.LocalAddr()), "<1>a")
	b.counts(b.metrics.refusedSender, 1)
	b.isClosed(b.dial("tcp", b.receiver.tcp.Addr()))
	b.counts(b.metrics.refusedSender, 2)
	b.arrives()
}

// What was sent before the receiver stops is taken.
func TestStop(t *testing.T) {
	b := newBench(t)
	b.options.UDP, b.options.TCP = loopback, loopback
	b.start()
	tcp, udp := b.dial("tcp", b.receiver.tcp.Addr()), b.dial("udp", b.receiver.udp.conn.LocalAddr())
	b.send(tcp, "<1>tcp\n")
	b.arrives("<1>tcp")
	var want []string
	for i := range 2000 {
		message := fmt.Sprintf("<1>tcp %d", i)
		b.send(tcp, message+"\n")
		want = append(want, message)
	}
	for i := range 50 {
		b.send(udp, fmt.Sprintf("<1>udp %d", i))
		want = append(want, fmt.Sprintf("<1>udp %d", i))
	}
	b.send(tcp, "<1>half")
	b.stop()
	got := b.spooled()[1:]
	slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(a[:6], b[:6]) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.counts(b.metrics.framingCut, 1)
}

// authority signs certificates.
type authority struct {
	testing.TB
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(tb testing.TB) *authority {
	a := &authority{TB: tb, dir: tb.TempDir()}
	a.key, a.cert = a.sign(nil, nil)
	a.write("ca.crt", "CERTIFICATE", a.cert.Raw)
	return a
}

// sign a certificate for loopback, or one for the authority itself.
func (a *authority) sign(parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return key, cert
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.Fatal(err)
	}
}

// issue writes name.crt and name.key, and gives the pair.
func (a *authority) issue(name string) tls.Certificate {
	a.Helper()
	key, cert := a.sign(a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", cert.Raw)
	a.write(name+".key", "PRIVATE KEY", der)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// client trusts the authority.
func (a *authority) client(certs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: certs}
}

func (b *bench) dialTLS(config *tls.Config) (*tls.Conn, error) {
	conn := tls.Client(b.dial("tcp", b.receiver.tls.Addr()), config)
	return conn, conn.HandshakeContext(b.Context())
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue("server")
	b := newBench(t)
	b.options.TLS, b.options.TLSFiles = loopback, TLSFiles{Certificate: a.path("server.crt"), Key: a.path("server.key")}
	b.start()
	conn, err := b.dialTLS(a.client())
	b.do(err)
	b.send(conn, "<1>a\n4 <2>b<3>")
	b.arrives("<1>a", "<2>b")
	b.counts(b.metrics.tls.connections, 1)
	b.do(conn.NetConn().Close()) // in mid-frame, and without a close of TLS
	b.counts(b.metrics.framingCut, 1)
	b.counts(b.metrics.tls.messages, 2)
	b.counts(b.metrics.tls.bytes, 5+6+3)

	old := a.client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := b.dialTLS(old); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	b.counts(b.metrics.refusedTLS, 1)
	b.send(b.dial("tcp", b.receiver.tls.Addr()), "<1>plain\n")
	b.counts(b.metrics.refusedTLS, 2)
	b.arrives("<1>a", "<2>b")
}

func TestTLS_Client(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	a.issue("server")
	b := newBench(t)
	b.options.TLS = loopback
	b.options.TLSFiles = TLSFiles{Certificate: a.path("server.crt"), Key: a.path("server.key"), ClientCA: a.path("ca.crt")}
	b.start()
	conn, err := b.dialTLS(a.client(a.issue("client")))
	b.do(err)
	b.send(conn, "<1>a\n")
	b.arrives("<1>a")
	for i, certs := range [][]tls.Certificate{nil, {other.issue("client")}} {
		if conn, err := b.dialTLS(a.client(certs...)); err == nil {
			b.isClosed(conn) // TLS 1.3 tells the client only then
		}
		b.counts(b.metrics.refusedTLS, float64(i+1))
	}
	b.arrives("<1>a")
}

// Changed files are taken at the next connection, and broken ones are not.
func TestTLS_Rotation(t *testing.T) {
	a := newAuthority(t)
	a.issue("server")
	b := newBench(t)
	b.options.TLS, b.options.TLSFiles = loopback, TLSFiles{Certificate: a.path("server.crt"), Key: a.path("server.key")}
	b.start()
	serial := func() *big.Int {
		conn, err := b.dialTLS(a.client())
		b.do(err)
		return conn.ConnectionState().PeerCertificates[0].SerialNumber
	}
	first := serial()
	second := a.issue("server").Leaf.SerialNumber
	if got := serial(); got.Cmp(second) != 0 || got.Cmp(first) == 0 {
		t.Errorf("serial is %s, then %s, not %s", first, got, second)
	}
	b.do(os.WriteFile(a.path("server.crt"), []byte("no certificate"), 0o600))
	if got := serial(); got.Cmp(second) != 0 {
		t.Errorf("serial is %s, not %s", got, second)
	}
	if log := b.log.String(); !strings.Contains(log, "those before go on") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
	b.do(os.Remove(a.path("server.crt")))
	if got := serial(); got.Cmp(second) != 0 {
		t.Errorf("serial is %s, not %s", got, second)
	}
	third := a.issue("server").Leaf.SerialNumber
	if got := serial(); got.Cmp(third) != 0 {
		t.Errorf("serial is %s, not %s", got, third)
	}
}

func TestListen_Failure(t *testing.T) {
	a := newAuthority(t)
	a.issue("server")
	a.write("empty.crt", "NOTHING", nil)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(change func(*Options), want string) {
		t.Helper()
		b := newBench(t)
		b.open()
		o := b.options
		o.Spool, o.Metrics, o.Log = b.spool, b.metrics, slog.New(slog.DiscardHandler)
		o.TLSFiles = TLSFiles{Certificate: a.path("server.crt"), Key: a.path("server.key")}
		o.UDP = loopback // is closed again
		change(&o)
		if _, err := Listen(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	f(func(o *Options) { o.UDP = "192.0.2.1:1" }, "listen for syslog over UDP: ")
	f(func(o *Options) { o.TCP = taken.Addr().String() }, "listen for syslog over TCP: ")
	f(func(o *Options) { o.TLS = taken.Addr().String() }, "listen for syslog over TLS: ")
	f(func(o *Options) { o.TLS, o.TLSFiles.Key = loopback, "/none" }, `key "/none": open /none`)
	f(func(o *Options) { o.TLS, o.TLSFiles.ClientCA = loopback, "/none" }, `authorities of TLS clients "/none": open /none`)
	f(func(o *Options) { o.TLS, o.TLSFiles.ClientCA = loopback, a.path("empty.crt") }, "it holds no certificate")

	if err := Probe(t.Context(), "tcp", taken.Addr().String()); err == nil {
		t.Error("an address that is taken can be listened at")
	}
	for _, network := range []string{"tcp", "udp"} {
		if err := Probe(t.Context(), network, loopback); err != nil {
			t.Error(err)
		}
	}
	if err := (TLSFiles{}).Check(); err == nil {
		t.Error("no files can be used")
	}
}
