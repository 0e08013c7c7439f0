// Package datasources holds the Grafana datasources that Corkline's dashboards
// refer to.
package datasources

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The identifiers by which dashboards refer to the datasources.
const (
	PrometheusUID   = "corkline-prometheus"
	LokiUID         = "corkline-loki"
	AlertmanagerUID = "corkline-alertmanager"
)

// Store is a server with what it takes to query it. Printing it shows no
// secret.
type Store struct {
	// URL at which Grafana's server reaches the store, http or https.
	URL string
	// Tenant goes into the header X-Scope-OrgID; empty sends none.
	Tenant string
	// User and Password of basic authentication; an empty user sends none.
	User     string
	Password string
	// CA is the PEM of the authorities that sign the store's certificate;
	// empty means the system's.
	CA string
	// Cert and Key are the PEM of a client certificate: both or none.
	Cert string
	Key  string
	// SkipVerify accepts every certificate of the store.
	SkipVerify bool
}

// Stores are what Grafana queries. One without a URL is left out.
type Stores struct {
	Prometheus   Store
	Loki         Store
	Alertmanager Store
}

// Datasource is one in the form that Grafana's provisioning files and its HTTP
// API share.
type Datasource struct {
	Name           string            `json:"name" yaml:"name"`
	UID            string            `json:"uid" yaml:"uid"`
	Type           string            `json:"type" yaml:"type"`
	Access         string            `json:"access" yaml:"access"`
	URL            string            `json:"url" yaml:"url"`
	IsDefault      bool              `json:"isDefault" yaml:"isDefault"`
	BasicAuth      bool              `json:"basicAuth" yaml:"basicAuth,omitempty"`
	BasicAuthUser  string            `json:"basicAuthUser" yaml:"basicAuthUser,omitempty"`
	JSONData       map[string]any    `json:"jsonData" yaml:"jsonData,omitempty"`
	SecureJSONData map[string]string `json:"secureJsonData,omitempty" yaml:"secureJsonData,omitempty"`
}

// All gives the datasources of the stores that have a URL: Prometheus, Loki,
// Alertmanager. It fails when there is none, or when one's URL, TLS material
// or credentials are not usable; no error shows a secret.
func All(stores Stores) ([]Datasource, error) {
	var all []Datasource
	for _, template := range []struct {
		store    Store
		uid      string
		kind     string
		name     string
		jsonData map[string]any
	}{
		{stores.Prometheus, PrometheusUID, "prometheus", "Corkline Prometheus", map[string]any{"httpMethod": "POST"}},
		{stores.Loki, LokiUID, "loki", "Corkline Loki", nil},
		{stores.Alertmanager, AlertmanagerUID, "alertmanager", "Corkline Alertmanager", map[string]any{"implementation": "prometheus"}},
	} {
		if template.store == (Store{}) {
			continue
		}
		if err := template.store.check(); err != nil {
			return nil, fmt.Errorf("render the datasource %s: %w", template.name, err)
		}
		d := Datasource{
			Name: template.name, UID: template.uid, Type: template.kind,
			Access: "proxy", URL: template.store.URL, IsDefault: template.uid == PrometheusUID,
			JSONData: template.jsonData,
		}
		if stores.Alertmanager.URL != "" && template.uid != AlertmanagerUID {
			d.set("alertmanagerUid", AlertmanagerUID)
		}
		d.authenticate(template.store)
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, errors.New("render the datasources: none of Prometheus, Loki and Alertmanager has a URL")
	}
	return all, nil
}

// authenticate sets what Grafana sends along; what is secret goes into the
// part that Grafana encrypts and never hands out again.
func (d *Datasource) authenticate(s Store) {
	if s.User != "" {
		d.BasicAuth, d.BasicAuthUser = true, s.User
		d.secure("basicAuthPassword", s.Password)
	}
	if s.Tenant != "" {
		d.set("httpHeaderName1", "X-Scope-OrgID")
		d.secure("httpHeaderValue1", s.Tenant)
	}
	if s.CA != "" {
		d.set("tlsAuthWithCACert", true)
		d.secure("tlsCACert", s.CA)
	}
	if s.Cert != "" {
		d.set("tlsAuth", true)
		d.secure("tlsClientCert", s.Cert)
		d.secure("tlsClientKey", s.Key)
	}
	if s.SkipVerify {
		d.set("tlsSkipVerify", true)
	}
}

func (d *Datasource) set(key string, value any) {
	if d.JSONData == nil {
		d.JSONData = map[string]any{}
	}
	d.JSONData[key] = value
}

func (d *Datasource) secure(key, value string) {
	if d.SecureJSONData == nil {
		d.SecureJSONData = map[string]string{}
	}
	d.SecureJSONData[key] = value
}

// Provisioning is the YAML file for Grafana's provisioning/datasources folder.
// The same stores give the same bytes. It fails as All does.
func Provisioning(stores Stores) ([]byte, error) {
	all, err := All(stores)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].escape()
	}
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	err = e.Encode(struct {
		APIVersion  int          `yaml:"apiVersion"`
		Datasources []Datasource `yaml:"datasources"`
	}{1, all})
	if err != nil {
		return nil, fmt.Errorf("encode the datasources: %w", err)
	}
	return text.Bytes(), nil
}

// escape keeps Grafana from expanding $NAME in what others chose: in
// provisioning files it reads $$ as one dollar sign.
func (d *Datasource) escape() {
	for _, text := range []*string{&d.URL, &d.BasicAuthUser} {
		*text = strings.ReplaceAll(*text, "$", "$$")
	}
	for key, value := range d.SecureJSONData {
		d.SecureJSONData[key] = strings.ReplaceAll(value, "$", "$$")
	}
}

// Transport sends requests as Grafana does: with the store's TLS, credentials
// and tenant. It fails as All does.
func (s Store) Transport() (http.RoundTripper, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	t, err := s.tls()
	if err != nil {
		return nil, err
	}
	return &transport{store: s, next: &http.Transport{
		TLSClientConfig: t, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
	}}, nil
}

type transport struct {
	store Store
	next  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if t.store.User != "" {
		r.SetBasicAuth(t.store.User, t.store.Password)
	}
	if t.store.Tenant != "" {
		r.Header.Set("X-Scope-OrgID", t.store.Tenant)
	}
	return t.next.RoundTrip(r)
}

// CloseIdleConnections closes those that no request uses.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// String is the URL.
func (s Store) String() string { return s.URL }

// GoString is the URL.
func (s Store) GoString() string { return s.URL }

func (s Store) check() error {
	if s.URL == "" {
		return errors.New("it has settings but no URL")
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the URL, which may hold a password
		}
		return fmt.Errorf("parse its URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("want http(s)://host, not %q", u.Redacted())
	}
	if u.User != nil {
		return fmt.Errorf("the URL %q must not carry a user or password", u.Redacted())
	}
	if s.User == "" && s.Password != "" {
		return errors.New("it has a password but no user")
	}
	if strings.ContainsAny(s.Tenant, "\r\n\x00") {
		return errors.New("its tenant has a line break, and cannot go into a header")
	}
	_, err = s.tls()
	return err
}

func (s Store) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.SkipVerify}
	if s.CA != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
			return nil, errors.New("its CA holds no PEM certificate")
		}
	}
	if s.Cert != "" || s.Key != "" {
		pair, err := tls.X509KeyPair([]byte(s.Cert), []byte(s.Key))
		if err != nil {
			return nil, fmt.Errorf("load its client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
