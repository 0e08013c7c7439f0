package vswitch

import (
	"os/exec"
	"runtime"
	"syscall"
)

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
