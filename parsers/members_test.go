package parsers

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Texts are found where bytes.Contains finds one of them, and are all said.
func TestTexts_Random(t *testing.T) {
	part := rapid.StringOf(rapid.SampledFrom([]rune(`ab":\2`)))
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
			return part.Draw(t, "before") + rapid.SampledFrom([]string{`":`, `":`, `a`}).Draw(t, "end") + part.Draw(t, "behind")
		}), 0, 9, rapid.ID).Draw(t, "words")
		line := strings.Join(rapid.SliceOf(rapid.OneOf(part, rapid.SampledFrom(append(words, `":`)))).Draw(t, "line"), "")
		want := false
		all := newTexts(words)
		if rapid.Bool().Draw(t, "lacked") {
			all = newLackedTexts(words)
		}
		for _, word := range words {
			want = want || bytes.Contains([]byte(line), []byte(word))
		}
		if got := all.in([]byte(line)); got != want {
			t.Fatalf("%q in %q: %v", words, line, got)
		}
		if n := strings.Count(all.String(), " "); len(words) > 0 && n != len(words)-1 {
			t.Fatalf("%q are said to be %s", words, all)
		}
	})
}
