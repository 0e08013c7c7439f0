package parsers

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// TestIsAddress holds that addresses are those of net/netip.
func TestIsAddress(t *testing.T) {
	part := rapid.SampledFrom([]string{"0", "1", "9", "10", "99", "100", "199", "255", "256", "01", "1000", ".", ".", ".", ":", "::", "a", "fe80", ":ffff:", "192.0.2.1", "x", "-"})
	rapid.Check(t, func(t *rapid.T) {
		text := ""
		for _, p := range rapid.SliceOfN(part, 1, 12).Draw(t, "parts") {
			text += p
		}
		if _, err := netip.ParseAddr(text); isAddress([]byte(text)) != (err == nil) {
			t.Fatalf("%q: net/netip says %v", text, err)
		}
	})
}
