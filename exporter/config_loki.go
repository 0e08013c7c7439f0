package exporter

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/sink/loki"
)

// LokiConfig says where the lines go. Without a URL the agent feeds metrics only.
type LokiConfig struct {
	URL        string        `yaml:"url"`
	Tenant     string        `yaml:"tenant"`
	Timeout    time.Duration `yaml:"timeout"`
	MaxBackoff time.Duration `yaml:"max_backoff"`
	// MaxAge of lines that are pushed; 0 for any. Older ones become dead
	// letters, since Loki would refuse them (reject_old_samples_max_age).
	MaxAge time.Duration `yaml:"max_age"`
	// BasicAuth or BearerTokenFile; the files are read for each request.
	BasicAuth       BasicAuth `yaml:"basic_auth"`
	BearerTokenFile string    `yaml:"bearer_token_file"`
	// Headers that each request gets. They may hold secrets: none is shown.
	Headers map[string]string `yaml:"headers"`
	TLS     TLSConfig         `yaml:"tls"`
}

// BasicAuth of HTTP.
type BasicAuth struct {
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
}

// TLSConfig of a client: PEM files.
type TLSConfig struct {
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
}

func defaultLoki() LokiConfig {
	return LokiConfig{Timeout: 10 * time.Second, MaxBackoff: 30 * time.Second, MaxAge: 7 * 24 * time.Hour}
}

// files that are read when the sink is made.
func (c LokiConfig) files() []string {
	return slices.DeleteFunc([]string{c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile}, func(path string) bool { return path == "" })
}

// Address is where Loki is, without what may be secret in the URL; empty when
// no Loki is configured.
func (c LokiConfig) Address() string {
	u, err := url.Parse(c.URL)
	if err != nil || c.URL == "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// options of a sink that pushes there.
func (c LokiConfig) options() loki.Options {
	return loki.Options{
		URL: c.URL, Tenant: c.Tenant, Timeout: c.Timeout, MaxBackoff: c.MaxBackoff, MaxAge: c.MaxAge, Probe: true,
		Auth:    loki.Auth{Username: c.BasicAuth.Username, PasswordFile: c.BasicAuth.PasswordFile, BearerTokenFile: c.BearerTokenFile},
		TLS:     loki.TLS{CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, ServerName: c.TLS.ServerName},
		Headers: c.Headers,
	}
}

// insecure tells whether credentials would cross a network for all to read.
func (c LokiConfig) insecure() bool {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" || c.BearerTokenFile == "" && c.BasicAuth == (BasicAuth{}) {
		return false
	}
	host := u.Hostname()
	return host != "localhost" && host != "::1" && !strings.HasPrefix(host, "127.")
}

func (c *configCheck) loki() {
	l := &c.config.Loki
	if l.MaxAge < 0 {
		c.fault("loki.max_age", "must not be negative; 0 is for lines of any age")
		return
	}
	if l.URL == "" {
		return
	}
	// What does not look like a URL may hold a password all the same, so no
	// message quotes it.
	u, err := url.Parse(l.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		c.fault("loki.url", "is not a URL, such as http://loki:3100")
		return
	case u.User != nil:
		c.fault("loki.url", "must not hold a user or a password; there is loki.basic_auth")
		return
	}
	// The sink is made once more when the agent starts, but a reload must know
	// before the old one is stopped.
	sink, err := loki.New(l.options())
	if err != nil {
		key, what, found := strings.Cut(err.Error(), ": ")
		if !found || !strings.HasPrefix(key, "loki.") {
			key, what = "loki", err.Error()
		}
		c.fault(key, "%s", what)
		return
	}
	if err := sink.Close(); err != nil {
		c.fault("loki", "%s", err)
	}
}
