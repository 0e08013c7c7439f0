package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Part is a server of the stack and how its binary is had.
type Part struct {
	// Name of the binary, and of its tools module.
	Name string
	// Modules holds the tools module as Name.mod and Name.sum; nil means those
	// that come with this package.
	Modules fs.FS
	// Command is what the go tool calls the binary when that is not Name.
	Command string
	// LinkerFlags are set beside -s -w.
	LinkerFlags string
	// Module whose version the tools module pins.
	Module string
	// Debian package that has the binary; empty when there is none.
	Debian string
}

// The parts that can be built.
var (
	minioPart      = Part{Name: "minio", Module: "github.com/minio/minio"}
	lokiPart       = Part{Name: "loki", Module: "github.com/grafana/loki/v3"}
	prometheusPart = Part{Name: "prometheus", Module: "github.com/prometheus/prometheus", Debian: "prometheus"}
)

// Binary returns the path of the part's binary: from PATH, from an earlier
// build in the cache folder, from Debian, or built now. The last two take
// from seconds to minutes and say so on progress.
func (p Part) Binary(ctx context.Context, cache string, progress *Progress) (string, error) {
	if path, err := exec.LookPath(p.Name); err == nil {
		return path, nil
	}
	built, err := p.cached(cache)
	if err != nil {
		return "", err
	}
	if executable(built) {
		return built, nil
	}
	if p.Debian != "" && canInstall() {
		path, err := p.install(ctx, progress)
		if err == nil || ctx.Err() != nil {
			return path, err
		}
		progress.Printf("%v; building it instead", err)
	}
	return p.build(ctx, cache, progress)
}

// canInstall tells whether Debian's packages may be used: as root, and not
// under systemd, which would start the package's own service on all addresses.
func canInstall() bool {
	if os.Geteuid() != 0 {
		return false
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return false
	}
	_, err := exec.LookPath("apt-get")
	return err == nil
}

// install has the part from Debian. The package lists are fetched only when
// the first attempt fails, which is what it does in a fresh image.
func (p Part) install(ctx context.Context, progress *Progress) (string, error) {
	var output lastLine
	done := progress.Track("installing Debian's "+p.Debian, output.String)
	defer done()
	arguments := []string{"install", "-y", "--no-install-recommends", p.Debian}
	if err := aptGet(ctx, &output, arguments...); err != nil {
		if err := aptGet(ctx, &output, "update"); err != nil {
			return "", err
		}
		if err := aptGet(ctx, &output, arguments...); err != nil {
			return "", err
		}
	}
	path, err := exec.LookPath(p.Name)
	if err != nil {
		return "", fmt.Errorf("find %s after its installation: %w", p.Name, err)
	}
	return path, nil
}

func aptGet(ctx context.Context, output *lastLine, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=60"}, arguments...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	cmd.Stdout, cmd.Stderr = output, output
	// Its own group keeps a Ctrl-C away from dpkg; apt-get ends between two
	// packages when it is interrupted.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("run apt-get %s: %w: %s", arguments[0], err, output)
	}
	return nil
}

// lastLine keeps the last line that is not empty of what is written to it.
type lastLine struct {
	mu   sync.Mutex
	text string
}

// Write implements io.Writer; it never fails.
func (l *lastLine) Write(text []byte) (int, error) {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		l.mu.Lock()
		l.text = last
		l.mu.Unlock()
	}
	return len(text), nil
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// poll calls f at once and then at intervals until it returns nil; when ctx
// ends first it returns why, with f's last error.
func poll(ctx context.Context, every time.Duration, f func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
