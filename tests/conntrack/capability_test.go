package conntrack

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// unprivileged tells that the process is to poll once, and to print what it finds.
const unprivileged = "CORKLINE_TEST_UNPRIVILEGED"

type unprivilegedPoll struct {
	Sums  sums
	Facts []collector.Fact
}

// pollUnprivileged polls without CAP_NET_ADMIN.
func pollUnprivileged(t *testing.T) (sums, []collector.Fact) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", os.Args[0], "-test.run=^TestUnprivileged$")
	cmd.Env = append(os.Environ(), unprivileged+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s\n%s", err, out)
	}
	var p unprivilegedPoll
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&p); err != nil {
		t.Fatalf("%s\n%s", err, out)
	}
	return p.Sums, p.Facts
}

// TestUnprivileged is the process that pollUnprivileged starts.
func TestUnprivileged(t *testing.T) {
	if os.Getenv(unprivileged) == "" {
		return
	}
	c := conntrack.New(conntrack.Options{Interval: time.Minute})
	p := unprivilegedPoll{Sums: poll(t, c), Facts: c.Status()}
	if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
		t.Fatal(err)
	}
}
