package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/exportertest"
)

// Agent is one that a test starts and ends, again and again.
type Agent struct {
	// Config is its configuration file.
	Config string
	// Binary is what is run; the built one, if nothing else is set.
	Binary string
	// Env is added to the environment of the test.
	Env []string
	// Prefix stands before the command, such as ip, netns, exec and a name. It
	// must turn into the command, not wait for it.
	Prefix []string
	// PeakRSS is what an agent's memory was at most, in bytes, when it was
	// looked at: by Measure, which Kill, Stop and Once call.
	PeakRSS int64

	tb      testing.TB
	said    exportertest.Log
	process *process // nil when none runs
}

// process is one run of an agent.
type process struct {
	command *exec.Cmd
	begins  int    // of the log
	url     string // once it is known
	ended   chan struct{}
	err     error // of Wait, once it has ended
}

// ends is how long an agent may take to end.
const ends = time.Minute

// Agent gives one that does not run yet.
func (r *Rig) Agent(tb testing.TB, config string) *Agent {
	tb.Helper()
	a := &Agent{Config: config, Binary: r.Binary, tb: tb}
	tb.Cleanup(func() {
		a.Kill()
		if tb.Failed() {
			const most = 16 << 10
			said := a.Said()
			tb.Logf("the agent said:\n%s", said[max(0, len(said)-most):])
		}
	})
	return a
}

// Start runs the agent, and does not wait until it is up.
func (a *Agent) Start(flags ...string) {
	a.tb.Helper()
	if a.process != nil {
		a.tb.Fatal("the agent runs already")
	}
	args := append(append([]string{}, a.Prefix...), a.Binary, "agent", "--config", a.Config)
	args = append(args, flags...)
	// It outlives the test's context, which ends before the clean-up.
	command := exec.CommandContext(context.WithoutCancel(a.tb.Context()), args[0], args[1:]...) // #nosec G204 -- a test
	command.Env = append(os.Environ(), a.Env...)
	command.Stdout, command.Stderr = &a.said, &a.said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{command: command, begins: len(a.Said()), ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig is tied to the thread that forks.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			p.err = command.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		a.tb.Fatalf("start the agent: %s", err)
	}
	a.process = p
}

// PID of the agent that runs.
func (a *Agent) PID() int { return a.process.command.Process.Pid }

// Kill ends the agent as the kernel would when memory is short, if it runs.
func (a *Agent) Kill() {
	if a.process == nil {
		return
	}
	a.Measure()
	_ = a.process.command.Process.Kill() // it may have ended
	<-a.process.ended
	a.process = nil
}

// Stop asks the agent to end once it is up, and holds that it ends well.
func (a *Agent) Stop() {
	a.tb.Helper()
	Eventually(a.tb, "the agent to be up", func(context.Context) error { // nobody would take a signal before
		_, err := a.URL()
		return err
	})
	a.Measure()
	a.Signal(syscall.SIGTERM)
	a.Ends(0, ends)
}

// Once runs the agent until it has delivered all, and holds that it ends well.
func (a *Agent) Once(flags ...string) {
	a.tb.Helper()
	a.Start(append([]string{"--once"}, flags...)...)
	a.Ends(0, 10*time.Minute)
}

// Signal sends signals to the agent that runs.
func (a *Agent) Signal(signals ...syscall.Signal) {
	a.tb.Helper()
	for _, s := range signals {
		if err := a.process.command.Process.Signal(s); err != nil {
			a.tb.Fatalf("signal the agent: %s", err)
		}
	}
}

// Ends holds that the agent ends with an exit code, within a time.
func (a *Agent) Ends(code int, within time.Duration) {
	a.tb.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-a.process.ended:
			err := a.process.err
			got := a.process.command.ProcessState.ExitCode()
			a.process = nil
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) || got != code {
				a.tb.Fatalf("the agent ended with exit code %d, want %d: %v", got, code, err)
			}
			return
		case <-look.C:
			a.Measure()
		case <-limit.C:
			a.tb.Fatalf("the agent has not ended within %s", within)
		case <-a.tb.Context().Done():
			a.tb.Fatal("the agent has not ended")
		}
	}
}

// Measure looks at the most memory that the agent has had, for PeakRSS.
func (a *Agent) Measure() {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.PID()))
	if err != nil {
		return // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB")); err == nil {
				a.PeakRSS = max(a.PeakRSS, int64(kib)<<10)
			}
		}
	}
}

// Said is what the agent has said in all its runs.
func (a *Agent) Said() string { return a.said.String() }

// Says waits until the agent has said something.
func (a *Agent) Says(what *regexp.Regexp) {
	a.tb.Helper()
	Eventually(a.tb, "the agent's log", func(context.Context) error {
		if !what.MatchString(a.Said()) {
			return fmt.Errorf("no %s", what)
		}
		return nil
	})
}

// URL of the agent that runs, without a slash at its end. It fails until the
// agent is up.
func (a *Agent) URL() (string, error) {
	p := a.process
	if p == nil {
		return "", errors.New("no agent runs")
	}
	if p.url == "" {
		_, rest, up := strings.Cut(a.Said()[p.begins:], `msg="agent started" status=`)
		url, _, whole := strings.Cut(rest, "/ ")
		if !up || !whole {
			return "", errors.New("the agent is not up")
		}
		p.url = url
	}
	return p.url, nil
}

// Metrics of the agent that runs. They fail until it is up.
func (a *Agent) Metrics(ctx context.Context) (Metrics, error) {
	url, err := a.URL()
	if err != nil {
		return nil, err
	}
	return Scrape(ctx, url+"/metrics")
}

// Shows waits until a series has a value; one that is not there has 0.
func (a *Agent) Shows(series string, value float64) {
	a.tb.Helper()
	a.series(series, func(got float64) error {
		if got != value {
			return fmt.Errorf("is %v, not %v", got, value)
		}
		return nil
	})
}

// AtLeast waits until a series has a value or a greater one.
func (a *Agent) AtLeast(series string, value float64) {
	a.tb.Helper()
	a.series(series, func(got float64) error {
		if got < value {
			return fmt.Errorf("is %v, not at least %v", got, value)
		}
		return nil
	})
}

func (a *Agent) series(series string, try func(value float64) error) {
	a.tb.Helper()
	Eventually(a.tb, series, func(ctx context.Context) error {
		all, err := a.Metrics(ctx)
		if err != nil {
			return err
		}
		return try(all[series])
	})
}

// Balances waits until the agent has read n lines of a source and none of them
// waits, and holds that each is in one account. It gives the metrics.
func (a *Agent) Balances(source string, n int) (all Metrics) {
	a.tb.Helper()
	Eventually(a.tb, "the accounts of "+source, func(ctx context.Context) (err error) {
		if all, err = a.Metrics(ctx); err != nil {
			return err
		}
		get := func(name string) float64 { return all["corkline_pipeline_lines_"+name+`{source="`+source+`"}`] }
		sum := get("shipped_total") + get("dead_lettered_total") + get("dropped_total") + get("lost_total")
		if read, waiting := get("read_total"), get("waiting"); read != float64(n) || waiting != 0 || sum != read {
			return fmt.Errorf("read %v of %d, of which %v wait and %v are elsewhere", read, n, waiting, sum)
		}
		return nil
	})
	return all
}
