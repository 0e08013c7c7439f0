package tail

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// What is looked for while no agent ran is found though each look meets a folder
// that is rotated once more: of the files that were listed, the one is elsewhere
// when it is opened.
func TestRecover_WhileRotating(t *testing.T) {
	f := func(files string, first, last int) {
		t.Helper()
		b := newBench(t, files)
		b.append("np.log.1", "a\n")
		b.append("np.log", "b\n")
		if files == "np.log" {
			b.rename("np.log.1", "np.log") // "a" is the live one, and "b" comes later
		}
		b.scan()
		b.stop()
		if files == "np.log" {
			b.rename("np.log", "np.log.1")
			b.append("np.log", "b\n")
		}
		b.compress("np.log.1")
		b.start()
		looks := 0
		b.tailer.between = func() {
			if looks++; looks < first || looks > last {
				return
			}
			for i := 8; i > 1; i-- {
				for _, ext := range []string{"", ".gz"} {
					if err := os.Rename(b.path(fmt.Sprintf("np.log.%d%s", i-1, ext)), b.path(fmt.Sprintf("np.log.%d%s", i, ext))); err != nil && !os.IsNotExist(err) {
						t.Fatal(err)
					}
				}
			}
			b.append("np.log.1", fmt.Sprintf("between %d\n", looks))
			b.compress("np.log.1")
		}
		b.scan()
		b.tailer.between = nil
		var got []string
		for range 4 {
			b.scan()
			b.do(b.tailer.Fill(b.buffer, Ship))
			got = append(got, texts(b.buffer.Chunks)...)
			b.commit()
		}
		for _, want := range []string{"a", "b"} {
			if !slices.Contains(got, want) {
				t.Errorf("%s, rotated at looks %d to %d: %q is lost; read are %q", files, first, last, want, got)
			}
		}
	}
	for first := 1; first <= 12; first++ {
		for _, times := range []int{1, 2, 3} {
			f("np.log", first, first+times-1)
			f("np.log*", first, first+times-1)
		}
	}
}
