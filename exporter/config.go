package exporter

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"net"
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
	Node            string         `yaml:"node"`
	Cluster         string         `yaml:"cluster"`
	StateDir        string         `yaml:"state_dir"`
	Listen          string         `yaml:"listen"`
	PollInterval    time.Duration  `yaml:"poll_interval"`
	ShutdownTimeout time.Duration  `yaml:"shutdown_timeout"`
	MaxLineBytes    int            `yaml:"max_line_bytes"`
	MaxSeries       int            `yaml:"max_series"`
	MaxLabelValues  int            `yaml:"max_label_values"`
	Loki            LokiConfig     `yaml:"loki"`
	Sources         []SourceConfig `yaml:"sources"`
	// Definitions are log formats of the user's own, in the form of the
	// shipped ones; DefinitionFiles are paths and globs of files that hold one each.
	Definitions     []parsers.Form `yaml:"definitions"`
	DefinitionFiles []string       `yaml:"definition_files"`

	set parsers.Set
	// files that were read, and the digest of their texts.
	files  []string
	digest digest
}

// digest tells whether the texts of a configuration have changed.
type digest [sha256.Size]byte

// digestFiles reads the files; one that cannot be read is a change like any other.
func digestFiles(files []string) digest {
	h := sha256.New()
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			addText(h, text)
		}
	}
	return digest(h.Sum(nil))
}

func addText(h hash.Hash, text []byte) {
	sum := sha256.Sum256(text)
	h.Write(sum[:]) // a hash never fails
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

	// implied by no sources being configured: its files need not be there.
	implied bool
}

// names of the definitions.
func (s *SourceConfig) names() []string {
	if s.Definition != "" {
		return []string{s.Definition}
	}
	return s.Definitions
}

// DefaultConfigFile is read by the agent when it is there and no other is named.
const DefaultConfigFile = "/etc/corkline/corkline.yaml"

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
	}
}

// LoadConfig reads and checks a configuration file. What is wrong with its
// content comes back as strict.Faults, all of it at once.
func LoadConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return ParseConfig(path, text)
}

// ParseConfig checks the text of a configuration file; the name of the file
// is for messages, and for what it names relative to its folder.
func ParseConfig(file string, text []byte) (*Config, error) {
	c := defaultConfig()
	doc, faults := strict.Decode(file, text, &c)
	check := &configCheck{config: &c, doc: doc, faults: faults, digest: sha256.New()}
	check.read(file, text)
	check.scalars()
	if err := check.definitions(); err != nil {
		return nil, err
	}
	check.sources()
	check.faults.Sort()
	if err := check.faults.Err(); err != nil {
		return nil, err
	}
	c.digest = digest(check.digest.Sum(nil))
	return &c, nil
}

// DefinitionSet gives the shipped and the configured log formats.
func (c *Config) DefinitionSet() parsers.Set { return c.set }

type configCheck struct {
	config *Config
	doc    *strict.Document
	faults strict.Faults
	digest hash.Hash
}

// read notes a file that the configuration is made of.
func (c *configCheck) read(file string, text []byte) {
	c.config.files = append(c.config.files, file)
	addText(c.digest, text)
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
func (c *configCheck) definitions() error {
	set, err := parsers.Shipped()
	if err != nil {
		return err
	}
	c.config.set = set
	for i, form := range c.config.Definitions {
		at := fmt.Sprintf("definitions[%d]", i)
		d, faults := parsers.Compile(form, c.doc, at)
		c.faults = append(c.faults, faults...)
		if d != nil {
			c.addDefinition(at+".name", d)
		}
	}
	for i, pattern := range c.config.DefinitionFiles {
		at := fmt.Sprintf("definition_files[%d]", i)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(c.doc.File()), pattern)
		}
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			c.fault(at, "no file matches %q", pattern)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				c.fault(at, "%s", err)
				continue
			}
			c.read(path, text)
			d, faults := parsers.ParseDefinition(path, text)
			c.faults = append(c.faults, faults...)
			if d != nil {
				c.addDefinition(at, d)
			}
		}
	}
	return nil
}

func (c *configCheck) addDefinition(key string, d *parsers.Definition) {
	if _, taken := c.config.set[d.Name]; taken {
		c.fault(key, "there is a definition %q already", d.Name)
		return
	}
	c.config.set[d.Name] = d
}

var sourceForm = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9_.]*$`)

func (c *configCheck) sources() {
	config := c.config
	if config.Sources == nil { // not given, or with nothing behind the key
		for _, name := range config.set.Names() {
			if d := config.set[name]; len(d.Files) > 0 {
				config.Sources = append(config.Sources, SourceConfig{Definition: name, implied: true})
			}
		}
	}
	names := map[string]bool{}
	for i := range config.Sources {
		s := &config.Sources[i]
		at := fmt.Sprintf("sources[%d]", i)
		definitions := c.sourceDefinitions(at, s)
		if len(definitions) == 0 {
			continue
		}
		if s.Name == "" {
			s.Name = s.names()[0]
		}
		if !sourceForm.MatchString(s.Name) {
			c.fault(at+".name", "%q: use letters, digits, - _ and .", s.Name)
		}
		if names[s.Name] {
			c.fault(at+".name", "there is a source %q already; give this one a name of its own", s.Name)
		}
		names[s.Name] = true
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
	names := s.names()
	if len(names) == 0 {
		c.fault(at+".definition", "is missing; there are: %v", c.config.set.Names())
		return nil
	}
	for i, name := range names {
		key := at + ".definition"
		if s.Definition == "" {
			key = fmt.Sprintf("%s.definitions[%d]", at, i)
		}
		d := c.config.set[name]
		switch {
		case d == nil:
			c.fault(key, "there is no definition %q; there are: %v", name, c.config.set.Names())
			return nil
		case !d.FramesAs(c.config.set[names[0]]):
			c.fault(key, "%q and %q put lines together in different ways, so they cannot read the same files", name, names[0])
			return nil
		}
		definitions = append(definitions, d)
	}
	return definitions
}
