package conntrack

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// TestRamps writes what it recorded to a folder:
//
//	go test -run Ramps -parallel 8 -record ../../exporter/collector/conntrack/analysis/testdata -last 240s ./conntrack
var (
	recordTo = flag.String("record", "", "folder to record ramps to")              //nolint:gochecknoglobals // a flag
	last     = flag.Duration("last", 3*time.Second, "how long a ramp is recorded") //nolint:gochecknoglobals // a flag
)

// played is a ramp of real connections.
type played struct {
	// rate is how many are opened each second, by the part of the time that is
	// over and the seconds.
	rate    func(part, at float64) float64
	timeout int // of a connection, in seconds
	// clients are how many connections there are before they come back, in turns
	// of different lengths; 0 if they do not.
	clients int
}

func ramps() map[string]played {
	return map[string]played{
		// Three clients that begin one after the other, and do not close.
		"linear": {func(part, _ float64) float64 {
			return 5 + 60*math.Floor(min(3, max(0, part-0.3)/0.02))
		}, 3600, 0},
		// Each connection leads to others.
		"exponential": {func(part, _ float64) float64 { return 4 + 2*math.Exp(max(0, part-0.25)*9) }, 3600, 0},
		// A job that runs six times; time-outs end its connections.
		"sawtooth": {func(part, at float64) float64 {
			if _, tooth := math.Modf(part * 6); tooth > 0.6 {
				return 2
			}
			return 60 + 15*math.Sin(at)
		}, 9, 0},
		// Clients that come back, most of them before their connections time out.
		"flat": {func(_, at float64) float64 { return 200 + 60*math.Sin(at/3) + 40*math.Sin(at*1.7) }, 30, 3000},
		// The same kinds, with other figures.
		"linear-2": {func(part, _ float64) float64 {
			return 12 + 35*math.Floor(min(4, max(0, part-0.2)/0.03))
		}, 3600, 0},
		"exponential-2": {func(part, _ float64) float64 { return 9 + 3*math.Exp(max(0, part-0.35)*10) }, 3600, 0},
		"sawtooth-2": {func(part, at float64) float64 {
			if _, tooth := math.Modf(part * 9); tooth > 0.45 {
				return 2
			}
			return 90 + 30*math.Sin(at/2)
		}, 6, 0},
		"flat-2": {func(_, at float64) float64 { return 150 + 50*math.Sin(at/5) + 50*math.Sin(at*1.3) }, 25, 2000},
	}
}

// The kernel's count of what comes and goes, for the forecasts to be tested with.
func TestRamps(t *testing.T) {
	for name := range ramps() {
		if *recordTo == "" && strings.HasSuffix(name, "-2") {
			continue // as the first of its kind
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := holder(t)
			out := command(t, "nsenter", "-t", fmt.Sprint(in.Process.Pid), "-n", "env", play+"=ramp", rampEnv+"="+name, os.Args[0], "-test.run=^TestPlay$", "-last="+last.String())
			counts, _, _ := strings.Cut(out, "PASS")
			if n := strings.Count(counts, "\n"); n < int(last.Seconds())-1 {
				t.Errorf("%d counts in %s: %s", n, *last, out)
			}
			first, most := 0, 0
			for i, line := range strings.Fields(counts) {
				n, err := strconv.Atoi(line)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = n
				}
				most = max(most, n)
			}
			if most <= first {
				t.Errorf("nothing comes: %s", counts)
			}
			if *recordTo != "" {
				if err := os.WriteFile(filepath.Join(*recordTo, name+".txt"), []byte(counts), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// rampEnv names the ramp to be played.
const rampEnv = "CORKLINE_TEST_RAMP"

// playRamp opens connections, and prints the kernel's count each second.
func playRamp(t *testing.T, name string) {
	ramp := ramps()[name]
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "nft", "add table inet tracking; add chain inet tracking out { type filter hook output priority 0; }; add rule inet tracking out ct state new counter")
	writeSysctl(t, "nf_conntrack_udp_timeout", fmt.Sprint(ramp.timeout))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	begin := time.Now()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	opened, due, counted := 0, 0.0, 0
	for now := range ticker.C {
		at := now.Sub(begin).Seconds()
		part := at / last.Seconds()
		if part >= 1 {
			return
		}
		for due += ramp.rate(part, at) / 20; float64(opened) < due; opened++ {
			which := opened
			if n := ramp.clients; n > 0 {
				which = opened * opened % (n + opened/n%7*(n/60))
			}
			port := 1024 + which%60000
			datagram := []byte{byte(port >> 8), byte(port), 0, 9, 0, 8, 0, 0}
			to := [4]byte{127, 0, 1, byte(1 + which/60000)}
			if err := unix.Sendto(fd, datagram, 0, &unix.SockaddrInet4{Addr: to}); err != nil {
				t.Fatal(err)
			}
		}
		if int(at) > counted {
			counted = int(at)
			n, _, err := (&conntrack.Options{}).Size(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(n)
		}
	}
}
