package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/samples"
)

// lab is a node with a log, the agent on it, and a proxy before Loki that can
// misbehave.
type lab struct {
	*testing.T
	row     *row
	dir     string
	cluster string
	from    time.Time
	proxy   *proxy
	address string // of the agent
	agent   *exec.Cmd
	output  *bytes.Buffer

	mu      sync.Mutex // of what a writer uses
	lines   *samples.Generator
	written []string
}

// newLab makes the lab of a row; its figures become those of the row.
func newLab(t *testing.T, number int, fault string) *lab {
	t.Helper()
	address, err := local.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{
		T: t, row: &row{Number: number, Fault: fault}, dir: t.TempDir(), cluster: strings.ToLower(t.Name()),
		from: time.Now().Add(-30 * time.Minute).Truncate(time.Second), proxy: newProxy(t, stack.Loki.URL), address: address,
		output: &bytes.Buffer{},
	}
	l.lines = samples.NewGenerator(samples.Options{Seed: int64(number), Start: l.from, Step: 2 * time.Millisecond})
	l.configure(fmt.Sprintf("sources:\n  - {definition: antrea-networkpolicy, files: [%s]}\n", l.path("np.log")))
	start := time.Now()
	t.Cleanup(func() {
		if l.agent != nil {
			l.kill()
		}
		l.row.Time = time.Since(start)
		l.row.Failed = t.Failed()
		report.add(l.row)
		if t.Failed() {
			t.Logf("the agent said:\n%s", tail(l.output.String()))
		}
	})
	return l
}

func tail(text string) string {
	const most = 8 << 10
	return text[max(0, len(text)-most):]
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// configure writes the configuration, with the keys besides those of every row.
func (l *lab) configure(keys string) {
	l.Helper()
	l.write("corkline.yaml", fmt.Sprintf(`node: node-1
cluster: %s
state_dir: %s
listen: %s
poll_interval: 100ms
shutdown_timeout: 5s
loki: {url: %q, timeout: 2s}
`, l.cluster, l.path("state"), l.address, l.proxy.URL)+keys)
}

func (l *lab) write(name, text string) {
	l.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// next makes lines, and remembers them as written.
func (l *lab) next(n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text []byte
	for range n {
		at := len(text)
		text = l.lines.Next(text)
		l.written = append(l.written, string(text[at:len(text)-1]))
	}
	return text
}

// append writes fresh lines to a file.
func (l *lab) append(name string, n int) {
	l.Helper()
	if err := appendTo(l.path(name), l.next(n)); err != nil {
		l.Fatal(err)
	}
}

func appendTo(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// follow writes n lines to np.log at every tick until the returned function is
// called, which gives the first error. Each is told of the ticks that passed,
// and may rotate the log.
func (l *lab) follow(every time.Duration, n int, each func(tick int) error) (stop func()) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for tick := 1; ; tick++ {
			select {
			case <-quit:
				done <- nil
				return
			case <-ticker.C:
			}
			err := appendTo(l.path("np.log"), l.next(n))
			if err == nil && each != nil {
				err = each(tick)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		if err := <-done; err != nil {
			l.Error(err)
		}
	})
}

// rotate renames np.log to np.log.1, that to np.log.2, and so on.
func (l *lab) rotate(depth int) error {
	for i := depth; i >= 1; i-- {
		from := l.path("np.log." + strconv.Itoa(i-1))
		if i == 1 {
			from = l.path("np.log")
		}
		if err := os.Rename(from, l.path("np.log."+strconv.Itoa(i))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (l *lab) start(flags ...string) {
	l.Helper()
	// It outlives the test's context, which ends before the clean-up.
	l.agent = exec.CommandContext(context.WithoutCancel(l.Context()), stack.binary, append([]string{"agent", "--config", l.path("corkline.yaml")}, flags...)...)
	l.agent.Stdout, l.agent.Stderr = l.output, l.output
	l.agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.agent.Start(); err != nil {
		l.Fatal(err)
	}
}

// measure the memory that the agent had at most.
func (l *lab) measure() {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.agent.Process.Pid))
	if err != nil {
		return // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB")); err == nil {
				l.row.RSS = max(l.row.RSS, int64(kib)<<10)
			}
		}
	}
}

func (l *lab) kill() {
	l.measure()
	_ = l.agent.Process.Kill() // it may have ended
	_ = l.agent.Wait()
	l.agent = nil
}

func (l *lab) stop() {
	l.Helper()
	l.measure()
	if err := l.agent.Process.Signal(syscall.SIGTERM); err != nil {
		l.Fatal(err)
	}
	if err := l.agent.Wait(); err != nil {
		l.Errorf("agent: %s", err)
	}
	l.agent = nil
}

// drain runs an agent until it has delivered everything.
func (l *lab) drain() {
	l.Helper()
	l.start("--once")
	done := make(chan error, 1)
	go func() { done <- l.agent.Wait() }()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				l.Errorf("agent --once: %s", err)
			}
			l.agent = nil
			return
		case <-ticker.C:
			l.measure()
		case <-l.Context().Done():
			l.Fatal("the agent does not come to an end")
		}
	}
}

// eventually waits until try succeeds.
func (l *lab) eventually(what string, try func() error) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), 2*time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			l.Fatalf("%s: %s", what, err)
		case <-ticker.C:
		}
	}
}

// metrics of the agent that have labels, by their name and labels.
func (l *lab) metrics() (map[string]float64, error) {
	all := map[string]float64{}
	return all, l.scrape(func(line string) {
		name, text, found := strings.Cut(line, "} ")
		if value, err := strconv.ParseFloat(text, 64); found && err == nil {
			all[name+"}"] = value
		}
	})
}

// scrape calls each for every line of the agent's metrics.
func (l *lab) scrape(each func(line string)) error {
	request, err := http.NewRequestWithContext(l.Context(), http.MethodGet, "http://"+l.address+"/metrics", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		each(scanner.Text())
	}
	return scanner.Err()
}

// plain gives the metrics that have no labels.
func (l *lab) plain() (map[string]float64, error) {
	all := map[string]float64{}
	return all, l.scrape(func(line string) {
		name, text, found := strings.Cut(line, " ")
		if value, err := strconv.ParseFloat(text, 64); found && err == nil {
			all[name] = value
		}
	})
}

// balance waits until the agent has read n lines and all of them are where
// they belong, and holds that the ledger balances.
func (l *lab) balance(source string, n int) {
	l.Helper()
	l.eventually("the ledger", func() error {
		all, err := l.metrics()
		if err != nil {
			return err
		}
		get := func(name string) float64 { return all["corkline_pipeline_"+name+`{source="`+source+`"}`] }
		read, waiting := get("lines_read_total"), get("lines_waiting")
		sum := get("lines_shipped_total") + get("lines_dead_lettered_total") + get("lines_dropped_total") + get("lines_lost_total") + waiting
		if read != float64(n) || waiting != 0 || sum != read {
			return fmt.Errorf("read %v of %d, waiting %v, shipped, dead-lettered, dropped and waiting %v", read, n, waiting, sum)
		}
		return nil
	})
}

// entry is one line as Loki has it.
type entry struct {
	time   int64
	line   string
	labels map[string]string
}

// query gives all that Loki has of the lab.
func (l *lab) query() []entry {
	l.Helper()
	var all []entry
	const limit = 5000
	for at := int64(0); ; {
		var answer struct {
			Data struct {
				Result []struct {
					Stream map[string]string
					Values [][2]string
				}
			}
		}
		values := url.Values{
			"query": {fmt.Sprintf(`{job="corkline", cluster=%q}`, l.cluster)}, "direction": {"forward"}, "limit": {strconv.Itoa(limit)},
			"start": {strconv.FormatInt(max(at, l.from.Add(-48*time.Hour).UnixNano()), 10)}, "end": {strconv.FormatInt(time.Now().Add(time.Hour).UnixNano(), 10)},
		}
		if err := getJSON(l.Context(), stack.Loki.URL+"/loki/api/v1/query_range?"+values.Encode(), &answer); err != nil {
			l.Fatal(err)
		}
		n, last := 0, at
		for _, stream := range answer.Data.Result {
			for _, value := range stream.Values {
				stamp, err := strconv.ParseInt(value[0], 10, 64)
				if err != nil {
					l.Fatal(err)
				}
				last = max(last, stamp)
				n++
				all = append(all, entry{stamp, value[1], stream.Stream})
			}
		}
		if n < limit {
			return all
		}
		at = last + 1 // no two lines of the generator have the same time
	}
}

func getJSON(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return json.Unmarshal(body, into)
}

// arrived compares what Loki has with what was written: lost lines, and those
// that are there twice, are failures. It fills the row's figures.
func (l *lab) arrived() {
	l.Helper()
	missing := map[string]int{}
	for _, line := range l.written {
		missing[line]++
	}
	l.row.Lines = len(l.written)
	for _, e := range l.query() {
		missing[e.line]--
	}
	var example string
	for line, n := range missing {
		if n != 0 {
			example = fmt.Sprintf("%+d %s", n, line)
		}
		if n > 0 {
			l.row.Lost += n
		} else {
			l.row.Twice -= n
		}
	}
	l.row.SentTwice = l.proxy.repeated()
	if l.row.Lost > 0 || l.row.Twice > 0 {
		l.Errorf("of %d lines %d are lost and %d are in Loki twice, such as %s", l.row.Lines, l.row.Lost, l.row.Twice, example)
	}
}
