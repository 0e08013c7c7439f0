package expressions

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/corkline/corkline/dashboards"
	"github.com/grafana/loki/v3/pkg/logql/log"
	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/prometheus/model/labels"
)

// stages gives those of a panel's log lines, with the variables filled in.
func stages(t *testing.T, uid, panel string, variables ...string) log.Pipeline {
	t.Helper()
	fill := strings.NewReplacer(append(variables,
		"${src:regex}", "", "${dst:regex}", "", "${text:raw}", "",
		"$cluster", ".*", "$node", ".*", "$action", ".*", "$policy", ".*", "$level", ".*", "$category", ".*", "$__range", "1h")...)
	for _, d := range dashboards.All() {
		var b board
		if err := json.Unmarshal(d.JSON, &b); err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Panels {
			if d.UID != uid || p.Title != panel {
				continue
			}
			expr, err := syntax.ParseExpr(fill.Replace(p.Targets[0].Expr))
			if err != nil {
				t.Fatal(err)
			}
			var found log.Pipeline
			expr.Walk(func(e syntax.Expr) bool {
				if r, ok := e.(*syntax.LogRangeExpr); ok {
					if found, err = r.Left.Pipeline(); err != nil {
						t.Fatal(err)
					}
				}
				return true
			})
			return found
		}
	}
	t.Fatalf("board %q has no panel %q", uid, panel)
	return nil
}

// made of a line with structured metadata are its labels after the stages.
func made(t *testing.T, p log.Pipeline, line string, metadata ...string) labels.Labels {
	t.Helper()
	_, result, ok := p.ForStream(labels.EmptyLabels()).ProcessString(0, line, labels.FromStrings(metadata...))
	if !ok {
		t.Fatalf("%q %q is filtered out", line, metadata)
	}
	if fault := result.Labels().Get("__error__"); fault != "" {
		t.Fatalf("%q %q: %s: %s", line, metadata, fault, result.Labels().Get("__error_details__"))
	}
	return result.Labels()
}

func TestConversations(t *testing.T) {
	f := func(ends, direction, appliedTo, src, dst, port, from, to, service string) {
		t.Helper()
		p := stages(t, "corkline-networkpolicy", "Top conversations, denied", "$ends", ends)
		got := made(t, p, "", "action", "Drop", "protocol", "TCP", "policy", "p", "direction", direction, "applied_to", appliedTo, "src_ip", src, "dst_ip", dst, "dst_port", port)
		if got.Get("from") != from || got.Get("to") != to || got.Get("service") != service {
			t.Errorf("%s → %s: got %q → %q %q", src, dst, got.Get("from"), got.Get("to"), got.Get("service"))
		}
	}
	f("networks", "Ingress", "shop/web-0", "192.0.2.1", "198.51.100.20", "80", "192.0.2.0/24", "shop/web-0", "TCP/80")
	f("networks", "Egress", "shop/web-0", "192.0.2.1", "198.51.100.20", "32768", "shop/web-0", "198.51.100.0/24", "TCP/32768+")
	f("addresses", "Egress", "shop/web-0", "192.0.2.1", "198.51.100.20", "32767", "shop/web-0", "198.51.100.20", "TCP/32767")
	f("networks", "", "", "192.0.2.10", "198.51.100.200", "", "192.0.2.0/24", "198.51.100.0/24", "TCP")
	f("networks", "", "", "1.2.3.4", "2001:db8:1:2:3:4:5:6", "53", "1.2.3.0/24", "2001:db8:1:2::/64", "TCP/53")
	f("networks", "", "", "2001:db8::1:2:3:4", "::1", "53", "2001:db8::/64", "::/64", "TCP/53")
	f("addresses", "Ingress", "", "2001:db8::1", "192.0.2.1", "53", "2001:db8::1", "192.0.2.1", "TCP/53")
}

func TestTopMessages(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		p := stages(t, "corkline-antrea-agent-logs", "Top messages")
		if got := made(t, p, line, "file", "a.go", "level", "INFO").Get("message"); got != want {
			t.Errorf("%s\ngot  %q\nwant %q", line, got, want)
		}
	}
	const head = "I0602 10:11:12.345678       1 dir/lab_controller.go:120] "
	f(head+`"Lab is ready" node="node-1" items=3`, "Lab is ready")
	f(head+`"Quiet"`, "Quiet")
	f(head+`"Rule \"allow web\" realized" rule="r-1"`, `Rule \"allow web\" realized`)
	f(head+`Polled 12 of 90`, "Polled # of #")
	f(head+"Observed a panic: \"x\" (y)\ngoroutine 41 [running]:\nmain()", `Observed a panic: "x" (y)`)
	f(head+`"Loaded" config=<`+"\n\ta: b\n >", "Loaded")
	f(head, "")
}
