package local

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Embedding does not reach into a nested module, so the tools modules are kept
// as <name>.mod and <name>.sum and become modules in the cache folder.
//
//go:embed parts/*.mod parts/*.sum
var modules embed.FS

// build compiles the part from its pinned tools module into the cache folder,
// once for each version of the module, and returns the binary's path.
func (p Part) build(ctx context.Context, cache string, progress *Progress) (string, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("build %s: %w (install Go, or put a %s binary on PATH)", p.Name, err, p.Name)
	}
	binary, err := p.cached(cache)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(binary)
	if err := p.writeModule(dir); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"), progress, p.Name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if executable(binary) { // built by the process that held the lock
		return binary, nil
	}

	// A killed build must not leave half a binary under the name that counts.
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", fmt.Errorf("create a build folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // at worst it stays in the cache

	cmd := exec.CommandContext(ctx, goTool, "build", "-v", "-mod=readonly", "-buildvcs=false",
		"-trimpath", "-ldflags=-s -w "+p.LinkerFlags, "-o", tmp+string(filepath.Separator), "tool")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var output buildOutput
	cmd.Stdout, cmd.Stderr = &output, &output
	ownGroup(cmd)
	done := progress.Track(fmt.Sprintf("building %s %s (minutes the first time)", p.Name, p.version()), output.status)
	err = cmd.Run()
	done()
	if err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("build %s: %w", p.Name, context.Cause(ctx))
		}
		return "", fmt.Errorf("build %s: %w\n%s", p.Name, err, output.messages())
	}
	if err := os.Rename(filepath.Join(tmp, cmp.Or(p.Command, p.Name)), binary); err != nil {
		return "", fmt.Errorf("keep the built %s: %w", p.Name, err)
	}
	return binary, nil
}

// cached is where an earlier build of exactly this module lies. The key covers
// the platform because cache folders get shared with containers.
func (p Part) cached(cache string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s/%s\n%s", runtime.GOOS, runtime.GOARCH, p.LinkerFlags)
	for _, ext := range []string{".mod", ".sum"} {
		text, err := p.module(ext)
		if err != nil {
			return "", fmt.Errorf("read the tools module of %s: %w", p.Name, err)
		}
		fmt.Fprintf(h, "%d\n%s", len(text), text)
	}
	key := hex.EncodeToString(h.Sum(nil))[:16]
	return filepath.Join(cache, "parts", p.Name+"-"+key, p.Name), nil
}

func (p Part) writeModule(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the cache folder of %s: %w", p.Name, err)
	}
	for _, ext := range []string{".mod", ".sum"} {
		text, err := p.module(ext)
		if err != nil {
			return fmt.Errorf("read the tools module of %s: %w", p.Name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "go"+ext), text, 0o644); err != nil {
			return fmt.Errorf("write the tools module of %s: %w", p.Name, err)
		}
	}
	return nil
}

// module reads the file of the tools module that has the extension.
func (p Part) module(ext string) ([]byte, error) {
	if p.Modules != nil {
		return fs.ReadFile(p.Modules, p.Name+ext)
	}
	return modules.ReadFile("parts/" + p.Name + ext)
}

// version that the tools module pins for the part's own module.
func (p Part) version() string {
	text, err := p.module(".mod")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == p.Module && strings.HasPrefix(f[1], "v") {
			return f[1]
		}
	}
	return ""
}

// lock takes an advisory lock on file, so that test processes that start
// together build a part once. The kernel drops it when the process dies.
func lock(ctx context.Context, file string, progress *Progress, name string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the build lock of %s: %w", name, err)
	}
	try := func(context.Context) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	if err := try(ctx); errors.Is(err, syscall.EWOULDBLOCK) {
		done := progress.Track("waiting for another build of "+name, func() string { return "" })
		err = poll(ctx, 200*time.Millisecond, try)
		done()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("wait for another build of %s: %w", name, err), f.Close())
		}
	} else if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the build of %s: %w", name, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// buildOutput turns what go build -v writes into counts, and keeps the rest
// for the error.
type buildOutput struct {
	mu        sync.Mutex
	partial   []byte
	downloads int
	packages  int
	rest      []string
}

// Write implements io.Writer; it never fails.
func (b *buildOutput) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.partial = append(b.partial, text...)
	for {
		line, more, found := bytes.Cut(b.partial, []byte("\n"))
		if !found {
			return len(text), nil
		}
		b.count(string(line))
		b.partial = more
	}
}

func (b *buildOutput) count(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		b.downloads++
	case line != "" && !strings.ContainsAny(line, " \t:#"): // an import path alone
		b.packages++
	default:
		b.rest = append(b.rest, line)
		if len(b.rest) > tailLines {
			b.rest = b.rest[1:]
		}
	}
}

func (b *buildOutput) status() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.packages > 0:
		return fmt.Sprintf("%d modules downloaded, %d packages compiled", b.downloads, b.packages)
	case b.downloads > 0:
		return fmt.Sprintf("%d modules downloaded", b.downloads)
	}
	return ""
}

func (b *buildOutput) messages() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(append(b.rest, string(b.partial)), "\n")
}
