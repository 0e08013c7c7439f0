package exporter

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/corkline/corkline/parsers"
)

// folder of definition files, in the order of their names.
type folder struct {
	files []fileText
	err   error
}

type fileText struct {
	path string
	text []byte
	err  error
}

// LoadDefinition reads a definition file, and those beside it that it extends.
// Its error is strict.Faults when the file could be read.
func LoadDefinition(path string) (*parsers.Definition, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read definition: %w", err)
	}
	var beside []parsers.Written
	if parsers.ReadDefinition(path, text).Form.Extends != "" {
		for _, file := range readFolder(filepath.Dir(path)).files {
			if file.err == nil && filepath.Base(file.path) != filepath.Base(path) {
				beside = append(beside, parsers.ReadDefinition(file.path, file.text))
			}
		}
	}
	library, name, faults := parsers.ComposeFile(path, text, beside...)
	if len(faults) == 0 {
		faults = metricFaults(library, map[string]bool{name: true})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return library.Set[name], nil
}

// readFolder reads the *.yaml and *.yml files of a folder, but for hidden ones.
func readFolder(dir string) folder {
	if dir == "" {
		return folder{}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{err: err}
	}
	var f folder
	for _, entry := range entries {
		name := entry.Name()
		if ext := filepath.Ext(name); ext != ".yaml" && ext != ".yml" || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		f.files = append(f.files, fileText{path, text, err})
	}
	return f
}

// digest tells whether the texts that a configuration is read from have changed.
type digest [sha256.Size]byte

// inputs are what a configuration is read from besides its own file.
type inputs struct {
	dir   string   // of definitions
	files []string // that other keys name
}

// digest of a configuration's text, or its absence, its folder of definitions,
// and the other files.
func (in inputs) digest(text []byte, err error, f folder) digest {
	h := sha256.New() // never fails
	add := func(path string, text []byte, err error) {
		fmt.Fprintf(h, "%q %t %x\n", path, err == nil, sha256.Sum256(text))
	}
	add("", text, err)
	add("", nil, f.err)
	for _, file := range f.files {
		add(file.path, file.text, file.err)
	}
	for _, path := range in.files {
		text, err := os.ReadFile(path)
		add(path, text, err)
	}
	return digest(h.Sum(nil))
}

// digestNow reads the texts anew; one that cannot be read is a change like any
// other. Without a file the configuration is the defaults.
func (in inputs) digestNow(file string) digest {
	var text []byte
	var err error
	if file != "" {
		text, err = os.ReadFile(file)
	}
	return in.digest(text, err, readFolder(in.dir))
}
