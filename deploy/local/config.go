package local

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed *.yaml.tmpl
var templates embed.FS

// lokiConfig is what loki.yaml.tmpl is filled with.
type lokiConfig struct {
	Host           string
	Port, GRPCPort int
	Data           string // folder
	S3             S3
	Insecure       bool // the endpoint is plain HTTP
}

// prometheusConfig is what prometheus.yaml.tmpl is filled with.
type prometheusConfig struct {
	Interval string
	Targets  []string
	Labels   map[string]string
	Jobs     []Job
	Rules    []string // files
}

// render fills the template of that name. Every string goes through json,
// whose strings are YAML's as well.
func render(name string, data any) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"json": quote}).ParseFS(templates, name)
	if err != nil {
		return nil, fmt.Errorf("parse template %q: %w", name, err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("render template %q: %w", name, err)
	}
	return text.Bytes(), nil
}

func quote(text string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return "", fmt.Errorf("quote a string: %w", err)
	}
	return string(bytes.TrimSpace(b.Bytes())), nil
}

// writeConfig renders a template into a file that only the owner may read,
// since it can hold keys.
func writeConfig(file, name string, data any) error {
	text, err := render(name, data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("create the folder of %q: %w", file, err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
