package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startLimit = 60 * time.Second       // from the start of a process until it is ready
	stopLimit  = 10 * time.Second       // from SIGTERM until SIGKILL
	readyEvery = 100 * time.Millisecond // between two looks at whether it is ready
	tailLines  = 20                     // of a log, in an error
	tailBytes  = 64 << 10               // of a log that are searched for them
)

// Process is a server that runs as a child: in a process group of its own, and
// killed by the kernel (Linux) when this process dies. It can be started again
// after it ended. Start, Stop and Kill may be called from several goroutines;
// they wait for each other.
type Process struct {
	// Name in messages.
	Name string
	// URL at which the process answers, without a slash at its end.
	URL string
	// Path of the binary, and its arguments without the name.
	Path string
	Args []string
	// Env is the whole environment; nil inherits that of this process.
	Env []string
	// LogFile gets stdout and stderr, appended.
	LogFile string
	// Ready returns nil once the process can be used. It is called again and
	// again during Start; nil means that a started process is ready.
	Ready func(context.Context) error
	// OnExit is told when the process ended though it was ready and neither
	// Stop nor Kill was called. It must not block, nor call those.
	OnExit func(error)

	mu    sync.Mutex // held by Start, Stop and Kill from end to end
	child *child     // nil when it does not run; guarded by mu
}

// child is one run of a process.
type child struct {
	cmd   *exec.Cmd
	state atomic.Int32
	err   error         // of Wait; to be read once ended is closed
	ended chan struct{} // closed after OnExit
}

// A child that ends while it is starting is reported by Start, one that is
// ready by OnExit, one that is stopping by nobody.
const (
	starting int32 = iota
	ready
	stopping
	gone
)

// Start runs the process and waits until it is ready, 60 s at most. When it
// fails nothing is left running; the error of a process that ended by itself
// has the last lines of its log. Starting a running process does nothing.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != nil {
		if !p.child.hasEnded() {
			return nil
		}
		p.child = nil
	}
	c, err := p.run()
	if err != nil {
		return err
	}
	if err := p.awaitReady(ctx, c); err != nil {
		c.signal(syscall.SIGKILL)
		<-c.ended
		return err
	}
	p.child = c
	return nil
}

func (p *Process) awaitReady(ctx context.Context, c *child) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready within %s", startLimit))
	defer cancel()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	var unready error
	for {
		if p.Ready != nil {
			unready = p.Ready(ctx)
		}
		if unready == nil {
			if c.state.CompareAndSwap(starting, ready) {
				return nil
			}
			<-c.ended
		}
		select {
		case <-c.ended:
			return p.exitError(c)
		default:
		}
		select {
		case <-c.ended:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s (log: %s): %w", p.Name, p.LogFile, errors.Join(context.Cause(ctx), unready))
		case <-tick.C:
		}
	}
}

// Stop sends SIGTERM and waits for the end of the process. One that is still
// there after 10 s is killed, and that is the error. It does nothing when the
// process does not run.
func (p *Process) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return nil
	}
	c := p.child
	p.child = nil
	c.state.CompareAndSwap(ready, stopping)
	c.signal(syscall.SIGTERM)
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-c.ended:
		return nil
	case <-limit.C:
		c.signal(syscall.SIGKILL)
		<-c.ended
		return fmt.Errorf("stop %s: killed after %s (log: %s)", p.Name, stopLimit, p.LogFile)
	}
}

// Kill sends SIGKILL and waits for the end of the process, as a crash or the
// OOM killer would end it. It does nothing when the process does not run.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return
	}
	c := p.child
	p.child = nil
	c.state.CompareAndSwap(ready, stopping)
	c.signal(syscall.SIGKILL)
	<-c.ended
}

// run starts the child and the goroutine that waits for its end.
func (p *Process) run() (*child, error) {
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.Name, err)
	}
	defer log.Close() // the child has its own descriptor
	// The context of the start does not bound the life of what was started.
	cmd := exec.CommandContext(context.Background(), p.Path, p.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.Env, log, log
	ownGroup(cmd)

	c := &child{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux ties Pdeathsig to the thread that forked: it has to live as
		// long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		// What the child leaves in its group goes with it.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if c.state.Swap(gone) == ready && p.OnExit != nil {
			p.OnExit(p.exitError(c))
		}
		close(c.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return c, nil
}

func (c *child) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// signal goes to the whole group. A group that is already gone is as good.
func (c *child) signal(s syscall.Signal) {
	if !c.hasEnded() {
		_ = syscall.Kill(-c.cmd.Process.Pid, s)
	}
}

func (p *Process) exitError(c *child) error {
	how := "exit status 0"
	if c.err != nil {
		how = c.err.Error()
	}
	lines, err := tail(p.LogFile)
	if err != nil {
		return fmt.Errorf("%s ended by itself: %s (%w)", p.Name, how, err)
	}
	return fmt.Errorf("%s ended by itself: %s; the end of %s:\n%s", p.Name, how, p.LogFile, lines)
}

// tail is the last lines of a file.
func tail(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("open a log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("stat a log: %w", err)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-tailBytes), tailBytes))
	if err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n"), nil
}
