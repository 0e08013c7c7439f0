package exporter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corkline/corkline/exporter/exportertest"
)

// newSyslogBench has a source "words" that receives syslog at all transports.
func newSyslogBench(t *testing.T, loki *receiver) (b *bench, pool *x509.CertPool) {
	b = newBench(t, loki)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	writeFile(t, b.path("tls.crt"), string(text))
	writeFile(t, b.path("tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	b.keys = "sources:\n" + b.syslog("127.0.0.1:0")
	return b, pool
}

// syslog is a source that listens at an address over UDP, TCP and TLS.
func (b *bench) syslog(at string) string {
	return fmt.Sprintf("  - {name: words, definition: words, syslog: {udp: '%s', tcp: '%s', tls: {listen: '%s', cert_file: %s, key_file: %s}}}\n",
		at, at, at, b.path("tls.crt"), b.path("tls.key"))
}

// dial the source's listener of "UDP", "TCP" or "TLS".
func (b *bench) dial(transport string) net.Conn {
	b.t.Helper()
	for _, listener := range b.agent.syslogSource("words").receiver.Status().Listeners {
		if at, ok := strings.CutPrefix(listener, transport+" "); ok {
			network := "tcp"
			if transport == "UDP" {
				network = "udp"
			}
			conn, err := (&net.Dialer{}).DialContext(b.t.Context(), network, at)
			if err != nil {
				b.t.Fatal(err)
			}
			b.t.Cleanup(func() { conn.Close() })
			return conn
		}
	}
	b.t.Fatalf("nothing listens at %s", transport)
	return nil
}

func (b *bench) send(conn io.Writer, texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if _, err := io.WriteString(conn, text); err != nil {
			b.t.Fatal(err)
		}
	}
}

// spool files of the source.
func (b *bench) spool() []string {
	paths, err := filepath.Glob(b.path("state/spool/words/*"))
	if err != nil {
		b.t.Fatal(err)
	}
	return paths
}

// Messages over all transports arrive once each, over a stop, an outage of Loki
// and a start, and leave nothing behind.
func TestAgent_Syslog(t *testing.T) {
	loki := newReceiver(t)
	b, pool := newSyslogBench(t, loki)
	b.start()
	udp, tcp := b.dial("UDP"), b.dial("TCP")
	secure := tls.Client(b.dial("TLS"), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	want := []string{"a 1", "b 1", "c 1", "two\nlines\\n", "e 1", strings.Repeat("f", 1024)}
	b.send(udp, "a 1\n")
	b.send(tcp, "b 1\n11 two\nlines\\n")
	b.send(secure, "c 1\n3 e 1", strings.Repeat("f", 2000)+"\n")
	b.arrived(want...)
	b.balances("words", counts{"read": 6, "parsed": 4, "unparsed": 2, "shipped": 6, "truncated": 1})

	loki.answer(500)
	for i := range 100 {
		text := fmt.Sprintf("g %d", i)
		b.send(udp, text)
		b.send(tcp, text+"0\n")
		want = append(want, text, text+"0")
	}
	b.stop()
	if files := b.spool(); len(files) == 0 {
		t.Error("no spool file waits for Loki")
	}
	loki.answer(0)
	b.start()
	b.send(b.dial("TCP"), "h 1\n")
	b.arrived(append(want, "h 1")...)
	b.balances("words", counts{"read": 201, "parsed": 201, "shipped": 201})
	b.eventually("spool files", func() error {
		if files := b.spool(); len(files) > 1 {
			return fmt.Errorf("there are %q", files)
		}
		return nil
	})
	b.stop()
	if err := b.once(); err != nil { // listens to nobody, and takes what is there
		t.Fatal(err)
	}
	if files := b.spool(); len(files) > 0 {
		t.Errorf("%q stay", files)
	}
	if n := loki.taken(); n != 207 {
		t.Errorf("Loki got %d entries in all, not 207", n)
	}
	b.start() // and nobody misses the files
	b.stop()
	if n := b.agent.ledger.account("words").lostFiles.Load(); n > 0 {
		t.Errorf("%d files count as lost:\n%s", n, b.log)
	}
}

// A reload leaves connections alone unless it changes the source.
func TestAgent_SyslogReload(t *testing.T) {
	b, _ := newSyslogBench(t, newReceiver(t))
	b.start()
	conn := b.dial("TCP")
	b.send(conn, "a 1\n")
	b.arrived("a 1")
	taken := func(is func(*Config) bool) {
		t.Helper()
		b.config() // writes it
		b.reload <- syscall.SIGHUP
		b.eventually("the new configuration", func() error {
			b.agent.mu.Lock()
			defer b.agent.mu.Unlock()
			if !is(b.agent.config) {
				return errors.New("is not taken")
			}
			return nil
		})
	}
	first := b.keys
	b.keys += b.source("more", "words", "w.log")
	taken(func(c *Config) bool { return len(c.Sources) == 2 })
	b.send(conn, "b 1\n")
	b.arrived("a 1", "b 1")

	// One that cannot listen is refused.
	b.keys = "sources: [{name: words, definition: words, syslog: {tcp: '" + b.agent.Addr() + "'}}]\n"
	b.config()
	b.reload <- syscall.SIGHUP
	b.says("address already in use")
	b.send(conn, "c 1\n")
	b.arrived("a 1", "b 1", "c 1")
	b.keys = "sources:\n" + strings.Replace(b.syslog("127.0.0.1:0"), "tls.key", "none.key", 1)
	b.config()
	b.reload <- syscall.SIGHUP
	b.says("none.key")

	b.keys = strings.Replace(first, "syslog: {", "syslog: {max_connections: 7, ", 1)
	taken(func(c *Config) bool { return c.Sources[0].Syslog.MaxConnections == 7 })
	if err := conn.SetReadDeadline(time.Now().Add(exportertest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection to the receiver before is open: %v", err)
	}
	b.eventually("the new receiver", func() error {
		if s := b.agent.syslogSource("words"); s == nil || s.config.MaxConnections != 7 {
			return errors.New("is not there")
		}
		return nil
	})
	b.send(b.dial("UDP"), "d 1")
	b.arrived("a 1", "b 1", "c 1", "d 1")
	b.keys = "sources:\n" + b.source("more", "words", "w.log")
	taken(func(c *Config) bool { return c.Sources[0].Name == "more" })
	b.eventually("the receiver", func() error {
		if b.agent.syslogSource("words") != nil {
			return errors.New("is still there")
		}
		return nil
	})
	if n, err := testutil.GatherAndCount(b.agent.Gatherer(), "corkline_syslog_messages_total"); err != nil || n != 3 {
		t.Errorf("%d series of messages, %v", n, err)
	}
}

func TestAgent_SyslogStatus(t *testing.T) {
	b, _ := newSyslogBench(t, newReceiver(t))
	b.start()
	conn := b.dial("TCP")
	b.send(conn, "a 1\n")
	b.arrived("a 1")
	status := b.agent.status().Sources[0].Syslog
	if status == nil || status.Connections != 1 || status.Spool != "4 B" || status.SpoolLimit != "256.0 MiB" || status.Full ||
		!strings.Contains(status.Listeners, "TCP "+conn.RemoteAddr().String()) {
		t.Errorf("status is %+v", status)
	}
	_, page := b.get("GET", "/")
	if want := "Receives syslog at UDP 127.0.0.1:"; !strings.Contains(page, want) {
		t.Errorf("the page does not say %q:\n%s", want, page)
	}
}

func TestAgent_SyslogCannotListen(t *testing.T) {
	b, _ := newSyslogBench(t, nil)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b.keys = "sources:\n  - {name: words, definition: words, syslog: {tcp: '" + taken.Addr().String() + "'}}\n"
	b.make(false)
	err = b.agent.Run(t.Context())
	if want := `receive syslog for source "words": listen for syslog over TCP: `; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
}

// A flipped byte of a spool file costs the lines that it stands in or between.
func TestAgent_SyslogDamagedSpool(t *testing.T) {
	loki := newReceiver(t)
	b, _ := newSyslogBench(t, loki)
	var want []string
	text := func(file int) []byte { return fmt.Appendf(nil, "a %03d\nb %03d\nc %03d\n", file, file, file) }
	for i := range text(0) {
		damaged := text(i)
		damaged[i] ^= 0x80
		writeFile(t, b.path(fmt.Sprintf("state/spool/words/%019d.log", i)), string(damaged))
		line := i / len("a 000\n")
		for k, whole := range strings.Split(strings.TrimSpace(string(text(i))), "\n") {
			joined := damaged[i]^0x80 == '\n' && k == line+1
			if k != line && !joined {
				want = append(want, whole)
			}
		}
	}
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	got := loki.lines()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%q is lost", line)
		}
	}
	if files := b.spool(); len(files) > 0 {
		t.Errorf("%q stay", files)
	}
}
