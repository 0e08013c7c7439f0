package vswitch

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process that runs.
type process struct {
	name    string
	command *exec.Cmd
	done    chan struct{} // closed when it has ended
}

// startProcess starts a program that ends with this process, however it ends.
func startProcess(name string, command *exec.Cmd) (*process, error) {
	p := &process{name: name, command: command, done: make(chan struct{})}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Linux ties Pdeathsig to the thread that forks: it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // it is told to end, or ended says so
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait for a socket that takes connections.
func (p *process) wait(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended, see %s.log", p.name, filepath.Join(filepath.Dir(path), p.name))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", p.name, ctx.Err())
		case <-tick.C:
		}
	}
}

// stop asks it to end, and kills it when it does not within five seconds.
func (p *process) stop() error {
	if p.ended() {
		return nil
	}
	_ = p.command.Process.Signal(os.Interrupt) // gone already, or told
	timer := time.AfterFunc(5*time.Second, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	<-p.done
	return nil
}
