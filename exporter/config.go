package exporter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
)

// Config is the agent's configuration as it is written in YAML. Every key has
// a default, so that an empty file is legal.
type Config struct {
	Node            string           `yaml:"node"`
	Cluster         string           `yaml:"cluster"`
	StateDir        string           `yaml:"state_dir"`
	Listen          string           `yaml:"listen"`
	BoardsURL       string           `yaml:"boards_url"`
	PollInterval    time.Duration    `yaml:"poll_interval"`
	ShutdownTimeout time.Duration    `yaml:"shutdown_timeout"`
	MaxLineBytes    int              `yaml:"max_line_bytes"`
	MaxSeries       int              `yaml:"max_series"`
	MaxLabelValues  int              `yaml:"max_label_values"`
	Loki            LokiConfig       `yaml:"loki"`
	Archive         ArchiveConfig    `yaml:"archive"`
	Sources         []SourceConfig   `yaml:"sources"`
	Collectors      CollectorsConfig `yaml:"collectors"`
	// Definitions are log formats of the user's own, in the form of the shipped
	// ones; DefinitionsDir is a folder of files that hold one each. Both may
	// extend and replace shipped ones.
	Definitions    []parsers.Form `yaml:"definitions"`
	DefinitionsDir string         `yaml:"definitions_dir"`

	library *parsers.Library
	inputs  inputs
	digest  digest // of what the configuration was read from
}

// SourceConfig is one set of files and the definition that reads them.
type SourceConfig struct {
	// Name is the value of the label source; default is the definition's name.
	Name       string `yaml:"name"`
	Definition string `yaml:"definition"`
	// Definitions, instead of Definition, of files whose lines have one of
	// several formats: they are tried in this order.
	Definitions []string `yaml:"definitions"`
	Files       []string `yaml:"files"`
	// Syslog, instead of Files, of messages that are sent to the agent.
	Syslog *SyslogConfig `yaml:"syslog"`
	// Redact is true unless given: what the definitions call secret does not
	// leave the node.
	Redact *bool `yaml:"redact"`
	// Zone is that of times which name none, such as Europe/Berlin; default is
	// the definition's.
	Zone string `yaml:"zone"`

	zone *time.Location // nil for the definition's
	// implied by no sources being configured: its files need not be there.
	implied bool
	events  bool // of a collector
}

// spooled tells whether the agent itself writes the files of the source.
func (s *SourceConfig) spooled() bool { return s.Syslog != nil || s.events }

// FromCollector tells whether the source is what a collector emits, which no
// configuration names.
func (s *SourceConfig) FromCollector() bool { return s.events }

// DefinitionNames gives the names of the definitions in their order.
func (s *SourceConfig) DefinitionNames() []string {
	if s.Definition != "" {
		return []string{s.Definition}
	}
	return s.Definitions
}

// DefaultConfigFile is read by the agent when it is there and no other is named.
const DefaultConfigFile = "/etc/corkline/corkline.yaml"

// DefaultDefinitionsDir need not be there.
const DefaultDefinitionsDir = "/etc/corkline/definitions"

func defaultConfig() Config {
	return Config{
		StateDir:        "/var/lib/corkline",
		Listen:          "127.0.0.1:9440",
		PollInterval:    time.Second,
		ShutdownTimeout: 10 * time.Second,
		MaxLineBytes:    256 << 10,
		MaxSeries:       2000,
		MaxLabelValues:  32,
		Loki:            defaultLoki(),
		Archive:         defaultArchive(),
		Collectors:      defaultCollectors(),
		DefinitionsDir:  DefaultDefinitionsDir,
	}
}

// LoadConfig reads and checks a configuration file, or without one the
// defaults. What is wrong with its content comes back as strict.Faults, all of
// it at once.
func LoadConfig(path string) (*Config, error) {
	c, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ParseConfig checks the text of a configuration file; the name of the file
// is for messages, and for what it names relative to its folder.
func ParseConfig(file string, text []byte) (*Config, error) {
	c, err := parseConfig(file, text)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// readConfig gives a configuration even with an error: its inputs and digest
// tell when it has changed.
func readConfig(path string) (*Config, error) {
	if path == "" {
		return parseConfig("defaults", nil)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		in := inputs{dir: DefaultDefinitionsDir}
		return &Config{inputs: in, digest: in.digestNow(path)}, fmt.Errorf("read configuration: %w", err)
	}
	return parseConfig(path, text)
}

func parseConfig(file string, text []byte) (*Config, error) {
	c := defaultConfig()
	doc, faults := strict.Decode(file, text, &c)
	check := &configCheck{config: &c, doc: doc, faults: faults, own: map[string]bool{}}
	c.inputs = inputs{c.DefinitionsDir, append(c.Loki.files(), c.Archive.files()...)}
	if c.DefinitionsDir != "" && !filepath.IsAbs(c.DefinitionsDir) {
		c.inputs.dir = filepath.Join(filepath.Dir(file), c.DefinitionsDir)
	}
	folder := readFolder(c.inputs.dir)
	c.digest = c.inputs.digest(text, nil, folder)
	check.scalars()
	check.archive()
	if err := check.definitions(folder); err != nil {
		return &c, err
	}
	check.sources()
	check.collectors()
	check.listeners()
	check.metrics()
	check.faults.Sort()
	return &c, check.faults.Err()
}

// Library gives the shipped and the configured log formats.
func (c *Config) Library() *parsers.Library { return c.library }

type configCheck struct {
	config *Config
	doc    *strict.Document
	faults strict.Faults
	own    map[string]bool // names of the user's own definitions, also of those with faults
}

func (c *configCheck) fault(key, format string, args ...any) {
	c.faults = append(c.faults, c.doc.Fault(key, format, args...))
}

func (c *configCheck) scalars() {
	config := c.config
	if config.Node == "" {
		config.Node = os.Getenv("NODE_NAME")
	}
	if config.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			c.fault("node", "is not set, nor is $NODE_NAME, and the host has no name: %s", err)
		}
		config.Node = name
	}
	if config.StateDir == "" {
		c.fault("state_dir", "is empty; name the folder that keeps file positions over restarts")
	}
	if _, port, err := net.SplitHostPort(config.Listen); err != nil || port == "" {
		c.fault("listen", "%q is not host:port, such as 127.0.0.1:9440 or :9440", config.Listen)
	}
	if u, err := url.Parse(config.BoardsURL); config.BoardsURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		c.fault("boards_url", "%q is not a URL such as https://grafana.example.com, without a user, a query and a fragment", config.BoardsURL)
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"poll_interval", config.PollInterval},
		{"shutdown_timeout", config.ShutdownTimeout},
		{"loki.timeout", config.Loki.Timeout},
		{"loki.max_backoff", config.Loki.MaxBackoff},
	} {
		if d.value <= 0 {
			c.fault(d.key, "must be above 0")
		}
	}
	if config.MaxLineBytes < 1<<10 || config.MaxLineBytes > 1<<20 {
		c.fault("max_line_bytes", "must be between 1024 and 1048576")
	}
	if config.MaxSeries < 1 {
		c.fault("max_series", "must be at least 1")
	}
	if config.MaxLabelValues < 1 {
		c.fault("max_label_values", "must be at least 1")
	}
	c.loki()
}

// definitions fails only when shipped definitions are broken.
func (c *configCheck) definitions(folder folder) error {
	var own []parsers.Written
	for i, form := range c.config.Definitions {
		own = append(own, parsers.Written{Form: form, Doc: c.doc, Prefix: fmt.Sprintf("definitions[%d]", i)})
	}
	switch {
	case c.config.DefinitionsDir == "":
		c.fault("definitions_dir", "is empty; name a folder, or leave the key out")
	case errors.Is(folder.err, fs.ErrNotExist) && c.config.DefinitionsDir == DefaultDefinitionsDir:
	case errors.Is(folder.err, fs.ErrNotExist):
		c.fault("definitions_dir", "%s; make the folder, or leave the key out", folder.err)
	case folder.err != nil:
		c.fault("definitions_dir", "%s", folder.err)
	}
	for _, file := range folder.files {
		if file.err != nil {
			c.fault("definitions_dir", "%s", file.err)
			continue
		}
		own = append(own, parsers.ReadDefinition(file.path, file.text))
	}
	for _, w := range own {
		c.own[w.Name()] = true
	}
	library, faults, err := parsers.Compose(own)
	c.config.library, c.faults = library, append(c.faults, faults...)
	return err
}

var sourceForm = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9_.]*$`)

func (c *configCheck) sources() {
	config, set := c.config, c.config.library.Set
	if config.Sources == nil { // not given, or with nothing behind the key
		for _, name := range set.Names() {
			if d := set[name]; len(d.Files) > 0 {
				config.Sources = append(config.Sources, SourceConfig{Definition: name, implied: true})
			}
		}
	}
	names := map[string]bool{}
	for i := range config.Sources {
		s := &config.Sources[i]
		at := fmt.Sprintf("sources[%d]", i)
		c.syslogDefinitions(s)
		definitions := c.sourceDefinitions(at, s)
		if len(definitions) == 0 {
			continue
		}
		if s.Name == "" {
			s.Name = s.DefinitionNames()[0]
		}
		if !sourceForm.MatchString(s.Name) {
			c.fault(at+".name", "%q: use letters, digits, - _ and .", s.Name)
		}
		if names[s.Name] {
			c.fault(at+".name", "there is a source %q already; give this one a name of its own", s.Name)
		}
		names[s.Name] = true
		if s.Zone != "" {
			zone, err := time.LoadLocation(s.Zone)
			if err != nil {
				c.fault(at+".zone", "%q is not a time zone; use UTC or an IANA name such as Europe/Berlin", s.Zone)
			}
			s.zone = zone
		}
		if s.Syslog != nil {
			c.syslog(at, s)
			continue
		}
		for _, d := range definitions {
			if len(s.Files) == 0 {
				s.Files = d.Files
			}
		}
		if len(s.Files) == 0 {
			c.fault(at+".files", "is missing, and the definition %q names none", definitions[0].Name)
		}
		for k, pattern := range s.Files {
			if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
				c.fault(fmt.Sprintf("%s.files[%d]", at, k), "%q is not a path or glob", pattern)
			}
		}
	}
}

// sourceDefinitions gives the definitions of a source; none when there are faults.
func (c *configCheck) sourceDefinitions(at string, s *SourceConfig) (definitions []*parsers.Definition) {
	if s.Definition != "" && len(s.Definitions) > 0 {
		c.fault(at+".definitions", "give either definition or definitions")
		return nil
	}
	set, names := c.config.library.Set, s.DefinitionNames()
	if len(names) == 0 {
		c.fault(at+".definition", "is missing; there are: %v", set.Names())
		return nil
	}
	for i, name := range names {
		key := at + ".definition"
		if s.Definition == "" {
			key = fmt.Sprintf("%s.definitions[%d]", at, i)
		}
		d := set[name]
		switch {
		case d == nil && c.own[name]:
			return nil // its faults say more
		case d == nil:
			c.fault(key, "there is no definition %q; there are: %v", name, set.Names())
			return nil
		case !d.FramesAs(set[names[0]]):
			c.fault(key, "%q and %q put lines together in different ways, so they cannot read the same files", name, names[0])
			return nil
		}
		definitions = append(definitions, d)
	}
	return definitions
}

// metrics finds what the agent could not register. Definitions without a source
// feed no metrics.
func (c *configCheck) metrics() {
	used := map[string]bool{}
	for _, s := range c.config.Sources {
		for _, name := range s.DefinitionNames() {
			used[name] = true
		}
	}
	c.faults = append(c.faults, metricFaults(c.config.library, used)...)
}

// metricFaults are names of metrics that two of the used definitions, or the
// agent itself, have for different ones.
func metricFaults(library *parsers.Library, used map[string]bool) (faults strict.Faults) {
	families := dryAgent().families
	for _, name := range library.InOrder() {
		if !used[name] {
			continue
		}
		d := library.Set[name]
		for i := range d.Metrics {
			m := &d.Metrics[i]
			var wrong *metricError
			if _, err := families.open(d, m); errors.As(err, &wrong) {
				what := wrong.message()
				if wrong.other != "" {
					what += fmt.Sprintf("; make the metrics %s the same, or name them differently", m.Name)
				}
				faults = append(faults, library.Fault(name, fmt.Sprintf("metrics[%d].%s", i, wrong.key), "%s", what))
			}
		}
	}
	faults.Sort()
	return faults
}
