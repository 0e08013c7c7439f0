// Package datasources holds the Grafana datasources that Corkline's dashboards
// refer to.
package datasources

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"text/template"
)

// The identifiers by which dashboards refer to the datasources.
const (
	PrometheusUID = "corkline-prometheus"
	LokiUID       = "corkline-loki"
)

//go:embed provisioning.yaml.tmpl
var provisioning string

// URLs at which Grafana's server reaches the stores. An empty one leaves its
// datasource out.
type URLs struct {
	Prometheus string
	Loki       string
}

// Provisioning is the YAML file for Grafana's provisioning/datasources folder.
// The same URLs give the same bytes. It fails when both URLs are empty, or one
// is not an http or https URL or carries a password.
func Provisioning(urls URLs) ([]byte, error) {
	if urls == (URLs{}) {
		return nil, errors.New("render the datasources: neither Prometheus nor Loki has a URL")
	}
	for _, store := range []struct{ name, url string }{{"Prometheus", urls.Prometheus}, {"Loki", urls.Loki}} {
		if err := check(store.url); err != nil {
			return nil, fmt.Errorf("render the datasource of %s: %w", store.name, err)
		}
	}
	t, err := template.New("provisioning").Funcs(template.FuncMap{"json": quote}).Parse(provisioning)
	if err != nil {
		return nil, fmt.Errorf("parse the datasources' template: %w", err)
	}
	var text bytes.Buffer
	err = t.Execute(&text, struct {
		URLs
		PrometheusUID, LokiUID string
	}{urls, PrometheusUID, LokiUID})
	if err != nil {
		return nil, fmt.Errorf("render the datasources: %w", err)
	}
	return text.Bytes(), nil
}

func check(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
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
	return nil
}

// quote makes a YAML string: JSON's strings are a subset of YAML's. Grafana
// expands $NAME in provisioning files, and reads $$ as one dollar sign.
func quote(text string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return "", fmt.Errorf("quote a string: %w", err)
	}
	return string(bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte("$"), []byte("$$"))), nil
}
