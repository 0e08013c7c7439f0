package syslog

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// frames gives the messages of a stream that comes in pieces.
func frames(limit int, pieces ...string) (messages []string, f *framer, sound bool) {
	f = &framer{limit: limit}
	for _, piece := range pieces {
		if !f.feed([]byte(piece), func(message []byte, cut bool) {
			text := string(message)
			if cut {
				text += "…"
			}
			messages = append(messages, text)
		}) {
			return messages, f, false
		}
	}
	return messages, f, true
}

func TestFramer(t *testing.T) {
	const limit = 10 // above the digits of a count
	f := func(stream string, unfinished bool, want ...string) {
		t.Helper()
		var byByte []string
		for i := range len(stream) {
			byByte = append(byByte, stream[i:i+1])
		}
		for _, pieces := range [][]string{{stream}, byByte} {
			got, f, sound := frames(limit, pieces...)
			if diff := cmp.Diff(want, got); diff != "" || !sound {
				t.Errorf("%q in %d pieces, sound %t (-want +got):\n%s", stream, len(pieces), sound, diff)
			}
			if f.unfinished() != unfinished {
				t.Errorf("%q in %d pieces: unfinished is %t", stream, len(pieces), !unfinished)
			}
		}
	}
	f("", false)
	f("<1>a\n<1>b\n", false, "<1>a", "<1>b")
	f("4 <1>a4 <1>b", false, "<1>a", "<1>b")
	f("<1>a\n4 <1>b<1>c\n4 <1>d", false, "<1>a", "<1>b", "<1>c", "<1>d")
	f("4 <1>a\n4 <1>b\n", false, "<1>a", "", "<1>b", "") // counted and ended
	f("5 a\nb\r\n", false, "a\nb\r\n")
	f("<1>a\r\n\n", false, "<1>a\r", "")
	f("<1>a", true)
	f("4 <1>", true)
	f("4 ", true)
	f("4", true)
	f("1234567\n", false, "1234567") // digits without a blank are text
	f("2026-1\n12:3\n", false, "2026-1", "12:3")
	f("0 abc\n04 abc\n", false, "0 abc", "04 abc") // no counts
	f("1234567890 \n", false, "1234567890…")       // more digits than a count has
	f("12345678\n", false, "12345678")
	f("12345678901\nb\n", false, "1234567890…", "b")
	f("12 1234567890121 b", false, "1234567890…", "b")
	f("10 1234567890", false, "1234567890")

	if got, _, sound := frames(limit, "1 a16777217 b"); sound || len(got) != 1 {
		t.Errorf("a count that cannot be true is believed: %q", got)
	}
	if _, _, sound := frames(limit, "16777216 b"); !sound {
		t.Error("the largest count is not believed")
	}
}

// A message takes no more memory than its limit, however long it is.
func TestFramer_Memory(t *testing.T) {
	f := &framer{limit: 1000}
	f.feed([]byte("9000000 "), nil)
	for range 100 {
		f.feed(bytes.Repeat([]byte("x"), 10_000), nil)
	}
	if cap(f.partial) > 2000 {
		t.Errorf("%d bytes are kept", cap(f.partial))
	}
}

// Messages in random frames and pieces come out as they went in.
func TestFramer_Property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var stream strings.Builder
		var want []string
		for range rapid.IntRange(0, 20).Draw(rt, "messages") {
			if rapid.Bool().Draw(rt, "counted") {
				message := string(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(rt, "octets"))
				fmt.Fprintf(&stream, "%d %s", len(message), message)
				want = append(want, message)
				continue
			}
			message := rapid.StringMatching(`(<[0-9]{1,3}>|\{|[A-Z]|0)[^\n]{0,40}`).Draw(rt, "line")
			stream.WriteString(message + "\n")
			want = append(want, message)
		}
		var pieces []string
		for rest := stream.String(); rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "piece")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got, f, sound := frames(1000, pieces...)
		if diff := cmp.Diff(want, got); diff != "" || !sound || f.unfinished() {
			rt.Errorf("sound %t, unfinished %t (-want +got):\n%s", sound, f.unfinished(), diff)
		}
	})
}

// FuzzFramer holds that how a stream is cut into pieces changes nothing, and
// that what is kept is bounded.
func FuzzFramer(f *testing.F) {
	f.Add("<1>a\n4 <1>b", 3)
	f.Add("12 <1>a\n\n99999999 x", 1)
	f.Add("1234567890 a\n", 7)
	f.Fuzz(func(t *testing.T, stream string, size int) {
		const limit = 16
		want, whole, wantSound := frames(limit, stream)
		var pieces []string
		for rest := stream; rest != ""; {
			n := min(max(size, 1), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got, cut, sound := frames(limit, pieces...)
		if diff := cmp.Diff(want, got); diff != "" || sound != wantSound {
			t.Errorf("%q in pieces of %d (-want +got):\n%s", stream, size, diff)
		}
		if sound && whole.unfinished() != cut.unfinished() {
			t.Errorf("%q in pieces of %d: unfinished %t, %t in one", stream, size, cut.unfinished(), whole.unfinished())
		}
		if len(cut.partial) > limit {
			t.Errorf("%d bytes are kept", len(cut.partial))
		}
		for _, message := range got {
			if len(strings.TrimSuffix(message, "…")) > limit {
				t.Errorf("%q is longer than the limit", message)
			}
		}
	})
}

func TestAppendLine(t *testing.T) {
	f := func(message, want string) {
		t.Helper()
		got := appendLine([]byte("before\n"), []byte(message), 20)
		if diff := cmp.Diff("before\n"+want+"\n", string(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", message, diff)
		}
	}
	f(`{"a":"b\\c\n"}`, `{"a":"b\\c\n"}`) // ordinary, although it holds backslashes
	f("a\x00\xff\r b", "a\x00\xff\r b")
	f("a\nb", "\x01"+`a\nb`)
	f("a\n\\n", "\x01"+`a\n\\n`)
	f("\x01a", "\x01\x01a")
	f(strings.Repeat("x", 21), strings.Repeat("x", 20))
	f(strings.Repeat("\n", 21), "\x01"+strings.Repeat(`\n`, 9)+`\`)
}

// FuzzUnescape holds that a line is one line, and gives the message that it is of.
func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{"a", "a\nb", `a\nb`, "\x01", "\x01\\", "a\n\\", "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		Unescape([]byte(message)) // of any line, too
		if message == "" {
			return
		}
		line, ok := bytes.CutSuffix(appendLine(nil, []byte(message), 1<<20), []byte("\n"))
		if !ok || bytes.IndexByte(line, '\n') >= 0 {
			t.Fatalf("%q becomes %q", message, line)
		}
		if got := string(Unescape(line)); got != message {
			t.Errorf("%q becomes %q", message, got)
		}
	})
}

func TestTrim(t *testing.T) {
	f := func(message, want string) {
		t.Helper()
		if got := string(trim([]byte(message))); got != want {
			t.Errorf("%q becomes %q, want %q", message, got, want)
		}
	}
	f("", "")
	f("\r\n\x00", "")
	f("a \n", "a ")
	f("a\nb\x00\r\n", "a\nb")
}

// Newline frames against bufio.Scanner, which only finds them.
func BenchmarkFramer(b *testing.B) {
	line := "<134>1 " + strings.Repeat("x", 2990) + "\n"
	counted := fmt.Sprintf("%d %s", len(line)-1, line[:len(line)-1])
	f := func(name, frame string, read func(stream []byte) (messages int)) {
		stream := []byte(strings.Repeat(frame, 100))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if n := read(stream); n != 100 {
					b.Fatalf("%d messages", n)
				}
			}
		})
	}
	framer := &framer{limit: 4097}
	var lines []byte
	ours := func(stream []byte) int {
		t := tally{limit: framer.limit}
		for len(stream) > 0 {
			n := min(readBytes, len(stream))
			framer.feed(stream[:n], func(message []byte, cut bool) { lines = t.take(lines, message, cut) })
			stream, lines = stream[n:], lines[:0]
		}
		return t.messages
	}
	f("newlines", line, ours)
	f("octet counts", counted, ours)
	f("bufio.Scanner", line, func(stream []byte) (n int) {
		scanner := bufio.NewScanner(bytes.NewReader(stream))
		for scanner.Scan() {
			n++
		}
		return n
	})
}
