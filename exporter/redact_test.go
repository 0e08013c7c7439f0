package exporter

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/corkline/corkline/samples"
)

// What a definition calls secret does not leave the node, be it in lines that
// parse, in others or in such that are cut, unless the source says so. All
// secrets of the samples begin alike.
func TestAgent_Redact(t *testing.T) {
	const secret = "invent"
	loki := newReceiver(t)
	b := newBench(t, loki)
	open := b.source("open", "avi-application", "0.log")
	b.keys = "sources:\n" + b.source("closed", "avi-application", "0.log") + strings.Replace(open, "}", ", redact: false}", 1) +
		b.source("csv", "avi-csv", "0.csv")
	text, err := samples.Log("avi-application")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := samples.Log("avi-csv")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := os.ReadFile("../samples/avi-application.bad")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)+string(bad)), "\n")
	b.append("0.log", lines...)
	b.append("0.csv", strings.TrimSuffix(string(rows), "\n"))
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, e := range loki.folded() {
		for _, source := range []string{"closed", "open", "csv"} {
			if strings.Contains(e.Stream, `source="`+source+`"`) {
				got[source] = append(got[source], e.Line)
			}
		}
		if !strings.Contains(e.Stream, `source="open"`) && strings.Contains(e.Stream+e.Line+e.Metadata, secret) {
			t.Errorf("a secret was sent: %v", e)
		}
	}
	if len(got["closed"]) != len(lines) || len(got["csv"]) == 0 {
		t.Errorf("%d and %d lines were sent, not %d", len(got["closed"]), len(got["csv"]), len(lines))
	}
	for i := range lines {
		lines[i] = lines[i][:min(len(lines[i]), 1024)]
	}
	if diff := cmp.Diff(lines, got["open"], cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("lines that are not redacted (-written +sent):\n%s", diff)
	}
	if !strings.Contains(strings.Join(got["open"], ""), secret) || !strings.Contains(strings.Join(got["closed"], ""), "[redacted]") {
		t.Error("there was nothing to redact")
	}
	if bad := b.agent.ledger.account("closed").lastBad.text; strings.Contains(string(bad), secret) {
		t.Errorf("the status page shows %s", bad)
	}
}
