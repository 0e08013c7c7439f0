package simulation

import (
	"strings"
	"time"
)

// klog writes a container's log as k8s.io/klog/v2 does.
type klog struct {
	schedule
	definition string
	metric     string // of its lines by level and category
	clock      clock
	line       []byte
	kept       texts
}

func newKlog(definition, metric string) klog {
	return klog{schedule: schedule{step: time.Microsecond}, definition: definition, metric: metric, clock: clock{layout: "0102 15:04:05."}}
}

// info, warn and fail say something at a time. The origin is file and line; a
// text is quoted with pairs behind it, or what Infof prints.
func (k *klog) info(at time.Time, origin, text string, args ...any) {
	k.say(said{at: at, level: "INFO", origin: origin}, text, args...)
}

func (k *klog) warn(at time.Time, origin, text string, args ...any) {
	k.say(said{at: at, level: "WARN", origin: origin}, text, args...)
}

func (k *klog) fail(at time.Time, origin, text string, args ...any) {
	k.say(said{at: at, level: "ERROR", origin: origin}, text, args...)
}

// write what is due.
func (k *klog) write(second time.Time, out Output) {
	for _, s := range k.due(second) {
		k.put(s, out)
	}
}

// flush writes all that is said.
func (k *klog) flush(out Output) {
	for _, s := range k.all() {
		k.put(s, out)
	}
}

func (k *klog) put(s said, out Output) {
	k.line = k.clock.append(append(k.line[:0], s.level[0]), s.at)
	k.line = appendf(k.line, " %7d %s] %s", 1, s.origin, k.text(s))
	out.Line(k.definition, k.line)
	category, _, _ := strings.Cut(s.origin, ".go:")
	out.Count(k.definition, k.kept.sprintf("level=%q", s.level), 1)
	out.Count(k.metric, k.kept.sprintf("level=%q, category=%q", s.level, category), 1)
}
