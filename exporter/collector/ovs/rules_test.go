package ovs

import (
	"strconv"
	"testing"
	"time"
)

func TestRuleBook(t *testing.T) {
	b := NewRuleBook()
	start := time.Unix(1e9, 0)
	show := func(policy, rule string, after time.Duration) {
		b.Show([]byte("IngressRule"), []byte("190"), []byte("Allow"), []byte(policy), []byte(rule), start.Add(after))
	}
	f := func(action, wantPolicy, wantRule string) {
		t.Helper()
		if policy, rule := b.Name("IngressRule", "190", action); policy != wantPolicy || rule != wantRule {
			t.Errorf("%s: %q %q, not %q %q", action, policy, rule, wantPolicy, wantRule)
		}
	}
	f("Allow", "", "")
	show("a", "1", 0)
	f("Allow", "a", "1")
	f("Drop", "", "") // another rule's
	show("b", "2", time.Minute)
	f("Allow", "", "") // either
	show("a", "1", 2*time.Minute)
	f("Allow", "", "")
	for after := 3 * time.Minute; after < 64*time.Minute; after += time.Minute {
		show("a", "1", after)
	}
	f("Allow", "a", "1") // the other was not seen for an hour
	show("", "", time.Hour)
	f("Allow", "a", "1")
	var none *RuleBook
	if policy, _ := none.Name("IngressRule", "190", "Allow"); policy != "" {
		t.Errorf("%q from nowhere", policy)
	}
	for i := range 2 * maxNames {
		b.Show([]byte("EgressRule"), strconv.AppendInt(nil, int64(i), 10), []byte("Allow"), []byte("p"), nil, start)
	}
	if len(b.names) > maxNames {
		t.Errorf("%d names", len(b.names))
	}
}
