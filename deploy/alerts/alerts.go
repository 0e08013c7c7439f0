// Package alerts holds the alert rules of Corkline.
package alerts

import (
	"embed"
	"fmt"
)

//go:embed *.yaml
var files embed.FS

// Rules gives the files of rules for Prometheus, by their names.
func Rules() (map[string][]byte, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	rules := map[string][]byte{}
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("read the rules: %w", err)
		}
		rules[e.Name()] = text
	}
	return rules, nil
}
