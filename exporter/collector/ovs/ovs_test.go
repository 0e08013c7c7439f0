package ovs

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Where there is no switch there is nothing to tell, unless a bridge should be there.
func TestPoll_NoSwitch(t *testing.T) {
	c := New(Options{RunDir: t.TempDir()})
	if err := c.Poll(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	c = New(Options{RunDir: t.TempDir(), Bridges: []string{"br-a", "br-b"}})
	defer c.Close()
	if err := c.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `# HELP corkline_ovs_up Whether the bridge could be read over OpenFlow in the last poll (1).
# TYPE corkline_ovs_up gauge
corkline_ovs_up{bridge="br-a"} 0
corkline_ovs_up{bridge="br-b"} 0
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "corkline_ovs_up"); err != nil {
		t.Error(err)
	}
	bad := 0
	for _, fact := range c.Status() {
		if fact.Bad {
			bad++
		}
	}
	if bad != 3 { // and the database
		t.Errorf("status: %+v", c.Status())
	}
}

// The example has each family once, and agrees with what is described.
func TestExample(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(Example()); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	described := make(chan *prometheus.Desc, 1000)
	New(Options{}).Describe(described)
	if len(families) != len(described) || len(families) < 40 {
		t.Errorf("%d families, %d described", len(families), len(described))
	}
}
