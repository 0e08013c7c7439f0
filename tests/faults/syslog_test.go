package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/tests/rig"
)

// A burst over UDP, connections over TCP and TLS that are cut in the middle of
// a message, and a kill while Loki hangs. What the kernel drops is counted, and
// all else arrives but the messages that were cut.
func TestRow20Syslog(t *testing.T) {
	burst, cuts, each := either(20_000, 200_000), either(40, 1000), either(100, 200)
	l := newLab(t, 20, fmt.Sprintf("syslog: %d messages over UDP at once, %d connections cut in a message, kill -9 while Loki hangs", burst, cuts))
	at := map[string]string{"udp": rig.Addr(t), "tcp": rig.Addr(t), "tls": rig.Addr(t)}
	pool := l.certificate()
	l.configure(fmt.Sprintf("sources:\n  - {name: lb, definition: antrea-networkpolicy, syslog: {udp: '%s', tcp: '%s', tls: {listen: '%s', cert_file: tls.crt, key_file: tls.key}}}\n",
		at["udp"], at["tcp"], at["tls"]))
	get := func(name string) float64 { return l.metrics()["corkline_syslog_"+name+"}"] }
	has := func(want float64, names ...string) {
		t.Helper()
		rig.Eventually(t, strings.Join(names, " + "), func(context.Context) error {
			got := 0.0
			for _, name := range names {
				got += get(name)
			}
			if got != want {
				return fmt.Errorf("is %v, not %v", got, want)
			}
			return nil
		})
	}
	l.agent.Start()
	has(0, `messages_total{source="lb",transport="udp"`)
	l.proxy.behave(always(hang))

	for i := range cuts {
		transport := []string{"tcp", "tls"}[i%2]
		conn := l.dial("tcp", at[transport])
		if transport == "tls" {
			conn = tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
		}
		var text strings.Builder
		for k, line := range strings.Split(strings.TrimSpace(string(l.next(each))), "\n") {
			if k%2 == 0 {
				fmt.Fprintf(&text, "%d %s", len(line), line)
			} else {
				text.WriteString(line + "\n")
			}
		}
		text.WriteString([]string{"2024/01/01 half a line", "400 half a counted frame"}[i/2%2])
		if _, err := io.WriteString(conn, text.String()); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	has(float64(cuts*each), `messages_total{source="lb",transport="tcp"`, `messages_total{source="lb",transport="tls"`)
	has(float64(cuts), `framing_errors_total{reason="cut",source="lb"`)

	conn := l.dial("udp", at["udp"])
	lines := strings.Split(strings.TrimSpace(string(l.next(burst))), "\n")
	start := time.Now()
	for _, line := range lines {
		if _, err := io.WriteString(conn, line); err != nil {
			t.Fatal(err)
		}
	}
	rate := float64(burst) / time.Since(start).Seconds()
	has(float64(burst), `messages_total{source="lb",transport="udp"`, `udp_dropped_total{source="lb"`)
	dropped := int(get(`udp_dropped_total{source="lb"`))
	l.kill()

	l.proxy.behave(nil)
	l.agent.Start()
	l.agent.Balances("lb", cuts*each+burst-dropped)
	l.agent.Stop()
	l.agent.Once() // to the last file
	if files, err := filepath.Glob(l.path("state/spool/lb/*")); err != nil || len(files) > 0 {
		t.Errorf("spool files stay: %q, %v", files, err)
	}

	there := map[string]bool{}
	l.query(func(e rig.Entry) { there[e.Line] = true })
	kept := l.written[:len(l.written)-burst]
	for _, line := range lines {
		if there[line] {
			kept = append(kept, line)
		}
	}
	if missing := cuts*each + burst - len(kept); missing != dropped {
		t.Errorf("%d datagrams are missing, and %d were counted", missing, dropped)
	}
	l.written = kept
	l.arrived()
	l.row.Note = fmt.Sprintf("%.0f datagrams/s, of which the kernel dropped %d, all counted", rate, dropped)
}

func (l *lab) dial(network, address string) net.Conn {
	l.Helper()
	conn, err := (&net.Dialer{}).DialContext(l.Context(), network, address)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	return conn
}

// certificate writes tls.crt and tls.key for loopback, and gives what trusts them.
func (l *lab) certificate() *x509.CertPool {
	l.Helper()
	file, _, err := rig.Certificate(l.dir)
	if err != nil {
		l.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(rig.Read(l, file)))
	return pool
}
