//go:build !linux

package vswitch

import "os/exec"

// startProcess starts a program.
func startProcess(name string, command *exec.Cmd) (*process, error) {
	p := &process{name: name, command: command, done: make(chan struct{})}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait() // it is told to end, or ended says so
		close(p.done)
	}()
	return p, nil
}
