package ovs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// RunDirs are the folders in which the sockets of Open vSwitch may be, in the
// order in which they are tried: of a plain host and of Antrea's containers,
// and of Antrea's host.
func RunDirs() []string {
	return []string{"/var/run/openvswitch", "/run/openvswitch", "/var/run/antrea/openvswitch", "/run/antrea/openvswitch"}
}

const (
	databaseSocket = "db.sock"
	bridgeSocket   = ".mgmt"
	antreaBridge   = "br-int" // of OVN and most others as well
)

// FindRunDir gives the folder of the sockets: the given one, or without one the
// first that has a bridge, or else a database. Its error is fs.ErrNotExist when
// there is none.
func FindRunDir(dir string) (string, error) {
	dirs := RunDirs()
	if dir != "" {
		dirs = []string{dir}
	}
	second := ""
	for _, d := range dirs {
		bridges, err := Bridges(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if len(bridges) > 0 {
			return d, nil
		}
		if _, err := os.Stat(filepath.Join(d, databaseSocket)); err == nil && second == "" {
			second = d
		}
	}
	if second != "" {
		return second, nil
	}
	return "", fmt.Errorf("find the sockets of Open vSwitch in %s: %w", strings.Join(dirs, ", "), fs.ErrNotExist)
}

// Bridges are those whose socket is in a folder, br-int first. A socket may be
// left of a switch that is no more.
func Bridges(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for bridges: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), bridgeSocket)
		if ok && name != "" && utf8.ValidString(name) && e.Type()&fs.ModeSocket != 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == antreaBridge:
			return -1
		case b == antreaBridge:
			return 1
		}
		return strings.Compare(a, b)
	})
	return names, nil
}
