// Package samples holds lines of every log format that Corkline reads: a
// constructed sample per format.
package samples

import "embed"

//go:embed *.log
var logs embed.FS

// Log returns the sample log of a format by its stem, such as
// "antrea-networkpolicy".
func Log(stem string) ([]byte, error) {
	return logs.ReadFile(stem + ".log")
}
