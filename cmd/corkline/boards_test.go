package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

// The status page of the agent links to boards that there are.
func TestStatusPageKnowsTheBoards(t *testing.T) {
	there := map[string]bool{}
	for _, d := range dashboards.All() {
		there[d.UID] = true
	}
	for what, uid := range exporter.BoardUIDs() {
		if !there[uid] {
			t.Errorf("there is no board %q, to which %s leads", uid, what)
		}
	}
}

func TestQuickstartNode_Told(t *testing.T) {
	n := newQuickstartNode(t.TempDir(), "127.0.0.1:1", local.NewProgress(io.Discard), func(error) {})
	start := n.play.Start
	seen := map[string]bool{}
	for _, e := range n.told(start, start.Add(10*time.Minute-time.Second)) {
		if seen[e.Title] || e.Text == "" || !e.From.Before(e.To) || e.From.Before(start) || e.To.After(start.Add(10*time.Minute)) {
			t.Errorf("told is %+v", e)
		}
		seen[e.Title] = true
	}
	if len(seen) != len(simulation.Stories()) {
		t.Errorf("told are %v, of %v", seen, simulation.Stories())
	}
}

func TestQuickstartNode_Note(t *testing.T) {
	n := newQuickstartNode(t.TempDir(), "127.0.0.1:1", local.NewProgress(io.Discard), func(error) {})
	if err := n.startSwitch(t.Context(), vswitch.Emulated, false); err != nil {
		t.Fatal(err)
	}
	note := n.note()
	for _, want := range []string{"**A simulated node**", "its switch is emulated", "**Now**", "Next, at "} {
		if !strings.Contains(note.Text, want) {
			t.Errorf("no %q in:\n%s", want, note.Text)
		}
	}
	for _, e := range note.Events {
		if e.From.After(time.Now()) || e.To.After(time.Now()) {
			t.Errorf("%+v is to come", e)
		}
	}
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}
