package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The image is the binary and nothing else, built without Docker or a network,
// and it runs.
func TestImage(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	build := exec.CommandContext(t.Context(), "go", "run", "-trimpath", ".", "-tag=v0-test", "-ldflags=-s -w -X main.version=v0-test", "-tarball="+archive)
	build.Dir = root + "/deploy/image"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the image: %v\n%s", err, out)
	}

	files := untar(t, read(t, archive))
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"].content, &manifest); err != nil {
		t.Fatal(err)
	}
	if want := []string{"ghcr.io/corkline/corkline:v0-test"}; !slices.Equal(manifest[0].RepoTags, want) {
		t.Errorf("tags %v, want %v", manifest[0].RepoTags, want)
	}
	var config struct {
		OS     string
		Config struct {
			User       string
			Entrypoint []string
		}
	}
	if err := json.Unmarshal(files[manifest[0].Config].content, &config); err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/ko-app/corkline"}) {
		t.Errorf("configuration %+v", config)
	}

	system := t.TempDir()
	var paths []string
	for _, layer := range manifest[0].Layers {
		unzipped, err := gzip.NewReader(bytes.NewReader(files[layer].content))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(unzipped)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range untar(t, text) {
			if f.kind != tar.TypeReg {
				continue
			}
			paths = append(paths, name)
			path := filepath.Join(system, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.content, f.mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(paths) != 1 || strings.TrimPrefix(paths[0], "/") != "ko-app/corkline" {
		t.Fatalf("the image holds %v, want the binary alone", paths)
	}
	if info, err := os.Stat(archive); err != nil || info.Size() > 25<<20 {
		t.Errorf("the archive has %d bytes, %v; want at most 25 MB", info.Size(), err)
	}
	binary, err := elf.Open(filepath.Join(system, paths[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the binary is not static")
		}
	}

	info, err := buildinfo.ReadFile(filepath.Join(system, paths[0]))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "golang.org/x/crypto/x509roots/fallback" }) {
		t.Error("the binary has no authorities of its own, and the image none either")
	}
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "-tags", Value: "timetzdata"}) {
		t.Error("the binary has no time zones of its own, and the image none either")
	}

	// As the image's user, in a file system that holds nothing else.
	version := exec.CommandContext(t.Context(), "/ko-app/corkline", "--version")
	version.Dir, version.Env = "/", []string{}
	version.SysProcAttr = &syscall.SysProcAttr{Chroot: system, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	if err := os.Chmod(system, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // root in a user namespace may change the root
		version.SysProcAttr.Credential = nil
		version.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		version.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		version.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if out, err := version.CombinedOutput(); err != nil || !strings.Contains(string(out), "v0-test") {
		t.Errorf("run the image: %v\n%s", err, out)
	}
}

type file struct {
	content []byte
	mode    os.FileMode
	kind    byte
}

func untar(t *testing.T, text []byte) map[string]file {
	t.Helper()
	files := map[string]file{}
	for archive := tar.NewReader(bytes.NewReader(text)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = file{content, header.FileInfo().Mode().Perm(), header.Typeflag}
	}
}
