package ovs

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindRunDir(t *testing.T) {
	dir := t.TempDir()
	if _, err := FindRunDir(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an empty folder: %v", err)
	}
	if _, err := FindRunDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no folder: %v", err)
	}
	for _, name := range []string{"br-ex.mgmt", "br-int.mgmt", "a.mgmt", "br-int.snoop", ".mgmt", "db.sock"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "file.mgmt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := FindRunDir(dir); err != nil || got != dir {
		t.Errorf("%q, %v", got, err)
	}
	names, err := Bridges(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"br-int", "a", "br-ex"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
