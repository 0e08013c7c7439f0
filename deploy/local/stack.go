// Package local runs Corkline's surroundings on one machine, on loopback and
// without containers: an object store, Loki that keeps its chunks, index and
// rules in it, Prometheus, and Grafana where it is installed. The quickstart
// and the integration tests share it.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/corkline/corkline/datasources"
)

const (
	loopback = "127.0.0.1"
	region   = "us-east-1"

	defaultScrapeInterval = time.Second
)

// Options of a stack.
type Options struct {
	// Dir is the run directory: data, configuration and logs of all parts. It
	// is created when it does not exist. Required.
	Dir string
	// Cache is the folder of built binaries; empty means CacheDir.
	Cache string
	// Progress is told what takes time; nil is silent.
	Progress *Progress
	// S3 is an object store that runs elsewhere; nil starts a MinIO.
	S3 *S3
	// LokiAddr is the loopback address that Loki listens on, chosen beforehand
	// with FreeAddr by who has to know it before Loki runs; empty chooses one.
	LokiAddr string
	// Scrape are the addresses (host:port) of agents, whose /metrics Prometheus
	// scrapes. Without any, Prometheus is left out.
	Scrape []string
	// Labels of the agents, as a scrape in Kubernetes sets them.
	Labels map[string]string
	// Jobs are what Prometheus scrapes beside the agents.
	Jobs []Job
	// Rules are files of rules that Prometheus evaluates, by their names.
	Rules map[string][]byte
	// ScrapeInterval is 1 s when it is zero.
	ScrapeInterval time.Duration
	// OnExit is told of a part that ended by itself after it was up; see
	// Process.OnExit.
	OnExit func(error)
}

// Job is what is scraped with a name of its own.
type Job struct {
	Name, Path, Target string
	Labels             map[string]string
}

// Stack is a set of running parts. Each can be stopped, killed and started
// again singly, and keeps its address and its data then.
type Stack struct {
	Dir        string
	S3         S3
	MinIO      *Process // nil when the object store runs elsewhere
	Loki       *Process
	Prometheus *Process // nil when there was nothing to scrape
	Grafana    *Process // nil until StartGrafana started one

	progress *Progress
	onExit   func(error)
	started  []*Process
}

// Start has the binaries, starts the object store, creates the buckets chunks,
// ruler and admin in it, and starts Loki and Prometheus. It returns when all
// answer; when it fails nothing is left running. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Progress == nil {
		o.Progress = NewProgress(io.Discard)
	}
	if o.ScrapeInterval == 0 {
		o.ScrapeInterval = defaultScrapeInterval
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil || o.Dir == "" {
		return nil, fmt.Errorf("resolve the run directory %q: %w", o.Dir, errors.Join(err, os.ErrInvalid))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the run directory: %w", err)
	}
	s := &Stack{Dir: dir, progress: o.Progress, onExit: o.OnExit}
	if err := s.configure(ctx, o); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// configure finds the binaries, chooses addresses and writes what the parts
// read, so that nothing slow is left once the first of them runs.
func (s *Stack) configure(ctx context.Context, o Options) error {
	binary, err := binaries(ctx, o)
	if err != nil {
		return err
	}
	if o.S3 != nil {
		s.S3 = *o.S3
		if s.S3.Region == "" {
			s.S3.Region = region
		}
	} else if err := s.configureMinIO(binary(minioPart)); err != nil {
		return err
	}
	if err := s.configureLoki(binary(lokiPart), o.LokiAddr); err != nil {
		return err
	}
	if len(o.Scrape) == 0 {
		return nil
	}
	return s.configurePrometheus(binary(prometheusPart), o)
}

// binaries returns where the binaries of the needed parts are, the quickest to
// have first.
func binaries(ctx context.Context, o Options) (func(Part) string, error) {
	cache := o.Cache
	if cache == "" {
		var err error
		if cache, err = CacheDir(); err != nil {
			return nil, err
		}
	}
	var needed []Part
	if len(o.Scrape) > 0 {
		needed = append(needed, prometheusPart)
	}
	if o.S3 == nil {
		needed = append(needed, minioPart)
	}
	needed = append(needed, lokiPart)
	paths := make(map[string]string, len(needed))
	for _, part := range needed {
		path, err := part.Binary(ctx, cache, o.Progress)
		if err != nil {
			return nil, err
		}
		paths[part.Name] = path
	}
	return func(p Part) string { return paths[p.Name] }, nil
}

func (s *Stack) configureMinIO(binary string) error {
	addr, err := FreeAddr()
	if err != nil {
		return err
	}
	s.S3 = S3{Endpoint: "http://" + addr, Region: region, AccessKey: rand.Text(), SecretKey: rand.Text()}
	s.MinIO = s.process("minio", binary, addr)
	s.MinIO.Args = []string{
		"server", "--quiet", "--address", addr,
		"--config-dir", filepath.Join(s.Dir, "minio-config"), filepath.Join(s.Dir, "minio"),
	}
	// Not the caller's environment: any MINIO_… in it would change the server.
	s.MinIO.Env = []string{
		"HOME=" + s.Dir, "PATH=" + os.Getenv("PATH"),
		"MINIO_ROOT_USER=" + s.S3.AccessKey, "MINIO_ROOT_PASSWORD=" + s.S3.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off",
	}
	s.MinIO.Ready = Answers(s.MinIO.URL + "/minio/health/ready")
	return nil
}

func (s *Stack) configureLoki(binary, addr string) error {
	if addr == "" {
		var err error
		if addr, err = FreeAddr(); err != nil {
			return err
		}
	}
	host, port, err := splitAddr(addr)
	if err != nil {
		return fmt.Errorf("parse the address of loki: %w", err)
	}
	grpcAddr, err := FreeAddr()
	if err != nil {
		return err
	}
	_, grpcPort, err := splitAddr(grpcAddr)
	if err != nil {
		return fmt.Errorf("parse the gRPC address of loki: %w", err)
	}
	u, err := s.S3.url()
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "loki.yaml")
	err = writeConfig(file, "loki.yaml.tmpl", lokiConfig{
		Host: host, Port: port, GRPCPort: grpcPort,
		Data: filepath.Join(s.Dir, "loki"), S3: s.S3, Insecure: u.Scheme == "http",
	})
	if err != nil {
		return err
	}
	s.Loki = s.process("loki", binary, addr)
	s.Loki.Args = []string{"-config.file=" + file}
	// As in deploy/upstream/loki.yaml; the environment's own comes behind, and holds.
	s.Loki.Env = append([]string{"GOGC=200"}, os.Environ()...)
	// /ready speaks of the ingester; the query goes through the frontend and
	// the querier, which find each other a little later.
	query := s.Loki.URL + "/loki/api/v1/query_range?limit=1&query=" + url.QueryEscape(`{source="none"}`)
	ingester, querier := Answers(s.Loki.URL+"/ready"), Answers(query)
	s.Loki.Ready = func(ctx context.Context) error {
		if err := ingester(ctx); err != nil {
			return err
		}
		return querier(ctx)
	}
	return nil
}

func (s *Stack) configurePrometheus(binary string, o Options) error {
	addr, err := FreeAddr()
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "prometheus.yaml")
	config := prometheusConfig{
		Interval: strconv.FormatInt(o.ScrapeInterval.Milliseconds(), 10) + "ms",
		Targets:  o.Scrape, Labels: o.Labels, Jobs: o.Jobs,
	}
	for _, name := range slices.Sorted(maps.Keys(o.Rules)) {
		path := filepath.Join(s.Dir, "rules-"+name)
		if err := os.WriteFile(path, o.Rules[name], 0o600); err != nil {
			return fmt.Errorf("write the rules: %w", err)
		}
		config.Rules = append(config.Rules, path)
	}
	if err := writeConfig(file, "prometheus.yaml.tmpl", config); err != nil {
		return err
	}
	s.Prometheus = s.process("prometheus", binary, addr)
	s.Prometheus.Args = []string{
		"--config.file=" + file,
		"--storage.tsdb.path=" + filepath.Join(s.Dir, "prometheus"),
		"--web.listen-address=" + addr,
	}
	s.Prometheus.Ready = Answers(s.Prometheus.URL + "/-/ready")
	return nil
}

// process with what all parts have in common.
func (s *Stack) process(name, binary, addr string) *Process {
	return &Process{
		Name:    name,
		URL:     "http://" + addr,
		Path:    binary,
		LogFile: filepath.Join(s.Dir, name+".log"),
		OnExit:  s.onExit,
	}
}

func (s *Stack) start(ctx context.Context) error {
	if s.MinIO != nil {
		if err := s.startPart(ctx, s.MinIO); err != nil {
			return err
		}
	}
	done := s.progress.Track("creating the buckets", s.S3.String)
	err := s.S3.createBuckets(ctx, "chunks", "ruler", "admin")
	done()
	if err != nil {
		return err
	}
	if err := s.startPart(ctx, s.Loki); err != nil {
		return err
	}
	if s.Prometheus == nil {
		return nil
	}
	return s.startPart(ctx, s.Prometheus)
}

func (s *Stack) startPart(ctx context.Context, p *Process) error {
	done := s.progress.Track("starting "+p.Name, func() string { return p.URL })
	defer done()
	if err := p.Start(ctx); err != nil {
		return err
	}
	s.started = append(s.started, p)
	return nil
}

// StartGrafana starts the Grafana that is installed, with the stack's Loki and
// Prometheus as its datasources and without a login, and tells whether there
// was one. It writes the provisioning files in any case, into ProvisioningDir.
func (s *Stack) StartGrafana(ctx context.Context) (found bool, err error) {
	stores := datasources.Stores{Loki: datasources.Store{URL: s.Loki.URL}}
	if s.Prometheus != nil {
		stores.Prometheus.URL = s.Prometheus.URL
	}
	text, err := datasources.Provisioning(stores)
	if err != nil {
		return false, err
	}
	folder := filepath.Join(s.ProvisioningDir(), "datasources")
	// A Grafana in a container reads them as another user.
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return false, fmt.Errorf("create Grafana's provisioning folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "corkline.yaml"), text, 0o644); err != nil {
		return false, fmt.Errorf("write Grafana's datasources: %w", err)
	}

	binary, arguments := findGrafana()
	if binary == "" {
		return false, nil
	}
	addr, err := FreeAddr()
	if err != nil {
		return true, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return true, fmt.Errorf("parse the address of grafana: %w", err)
	}
	p := s.process("grafana", binary, addr)
	p.Args = arguments
	p.Env = append(os.Environ(),
		"GF_SERVER_HTTP_ADDR="+host, "GF_SERVER_HTTP_PORT="+port,
		"GF_PATHS_DATA="+filepath.Join(s.Dir, "grafana", "data"),
		"GF_PATHS_LOGS="+filepath.Join(s.Dir, "grafana", "logs"),
		"GF_PATHS_PLUGINS="+filepath.Join(s.Dir, "grafana", "plugins"),
		"GF_PATHS_PROVISIONING="+s.ProvisioningDir(),
		"GF_SECURITY_ADMIN_PASSWORD="+rand.Text(),
		"GF_AUTH_ANONYMOUS_ENABLED=true", "GF_AUTH_ANONYMOUS_ORG_ROLE=Editor",
		"GF_ANALYTICS_REPORTING_ENABLED=false", "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
		"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false", "GF_PLUGINS_PREINSTALL_DISABLED=true",
	)
	p.Ready = Answers(p.URL + "/api/health")
	if err := s.startPart(ctx, p); err != nil {
		return true, err
	}
	s.Grafana = p
	return true, nil
}

// ProvisioningDir is the folder for Grafana's GF_PATHS_PROVISIONING.
func (s *Stack) ProvisioningDir() string {
	return filepath.Join(s.Dir, "grafana", "provisioning")
}

// findGrafana returns the server's binary and its arguments: one binary with
// subcommands since Grafana 9.4, grafana-server before. The home path holds
// the defaults and the web pages; packages keep it apart from PATH.
func findGrafana() (binary string, arguments []string) {
	if path, err := exec.LookPath("grafana"); err == nil {
		binary, arguments = path, []string{"server"}
	} else if path, err := exec.LookPath("grafana-server"); err == nil {
		binary = path
	} else {
		return "", nil
	}
	homes := []string{"/usr/share/grafana"}
	if target, err := filepath.EvalSymlinks(binary); err == nil {
		homes = append([]string{filepath.Dir(filepath.Dir(target))}, homes...)
	}
	for _, home := range homes {
		if _, err := os.Stat(filepath.Join(home, "conf", "defaults.ini")); err == nil {
			return binary, append(arguments, "--homepath="+home)
		}
	}
	return binary, arguments
}

// Stop stops all parts in the reverse order of their start, and waits for
// them: SIGTERM, and SIGKILL after 10 s. It returns which had to be killed.
func (s *Stack) Stop() error {
	var errs []error
	for i := len(s.started) - 1; i >= 0; i-- {
		errs = append(errs, s.started[i].Stop())
	}
	return errors.Join(errs...)
}

// Answers returns a check for Process.Ready: a GET of the URL that takes no
// more than 2 s gets status 200.
func Answers(url string) func(context.Context) error {
	// The next answer may be another process's: no connection is kept.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("create the request for %q: %w", url, err)
		}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("ask whether it is ready: %w", err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("ask whether it is ready: GET %s: %s", url, response.Status)
		}
		return nil
	}
}

// FreeAddr returns a loopback address (host:port) that nothing listens on. Its
// port lies below the range from which kernels take the ports of outgoing
// connections, so that it is still free when a stopped part starts again.
func FreeAddr() (string, error) {
	const first, last, attempts = 20000, 32767, 100
	for range attempts {
		n, err := rand.Int(rand.Reader, big.NewInt(last-first+1))
		if err != nil {
			return "", fmt.Errorf("choose a port: %w", err)
		}
		addr := net.JoinHostPort(loopback, strconv.FormatInt(first+n.Int64(), 10))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return "", fmt.Errorf("free the port that was tried: %w", err)
		}
		return addr, nil
	}
	return "", fmt.Errorf("choose a port on %s: none free in %d attempts", loopback, attempts)
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, err
	}
	return host, port, nil
}
