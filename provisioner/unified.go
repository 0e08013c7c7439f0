package provisioner

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const contextLines = 3 // around a change

// unified is the difference of two texts as diff -u writes it, or "" when they
// are equal.
func unified(oldName, oldText, newName, newText string) string {
	if oldText == newText {
		return ""
	}
	edits := compareLines(lines(oldText), lines(newText))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	for begin := 0; begin < len(edits); {
		if edits[begin].mark == ' ' {
			begin++
			continue
		}
		// A hunk ends where more than its context and the next one's is equal.
		end, equal := begin, 0
		for i := begin; i < len(edits) && equal <= 2*contextLines; i++ {
			if edits[i].mark == ' ' {
				equal++
			} else {
				end, equal = i+1, 0
			}
		}
		from, to := max(0, begin-contextLines), min(len(edits), end+contextLines)
		writeHunk(&out, edits, from, to)
		begin = to
	}
	return out.String()
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// edit is a line that stays (' '), goes ('-') or comes ('+').
type edit struct {
	mark       byte
	text       string
	olds, news int // lines before it, on each side
}

func writeHunk(out *strings.Builder, edits []edit, from, to int) {
	var olds, news int
	for _, e := range edits[from:to] {
		if e.mark != '+' {
			olds++
		}
		if e.mark != '-' {
			news++
		}
	}
	first := edits[from]
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(first.olds, olds), span(first.news, news))
	for _, e := range edits[from:to] {
		out.WriteByte(e.mark)
		out.WriteString(e.text)
		out.WriteByte('\n')
	}
}

// span counts from 1, but an empty one names the line before it.
func span(before, count int) string {
	if count > 0 {
		before++
	}
	return fmt.Sprintf("%d,%d", before, count)
}

// compareLines finds a shortest edit script with Myers' greedy algorithm ("An
// O(ND) Difference Algorithm and Its Variations", 1986).
func compareLines(a, b []string) []edit {
	prefix, suffix := 0, 0
	for prefix < len(a) && prefix < len(b) && a[prefix] == b[prefix] {
		prefix++
	}
	for suffix < len(a)-prefix && suffix < len(b)-prefix && a[len(a)-1-suffix] == b[len(b)-1-suffix] {
		suffix++
	}
	edits := make([]edit, 0, len(a)+len(b))
	keep := func(n int) {
		for range n {
			o, n := position(edits)
			edits = append(edits, edit{' ', a[o], o, n})
		}
	}
	keep(prefix)
	for _, mark := range script(a[prefix:len(a)-suffix], b[prefix:len(b)-suffix]) {
		o, n := position(edits)
		switch mark {
		case '+':
			edits = append(edits, edit{'+', b[n], o, n})
		default:
			edits = append(edits, edit{mark, a[o], o, n})
		}
	}
	keep(suffix)
	return edits
}

// position is how many lines of each side the edits have used.
func position(edits []edit) (olds, news int) {
	if len(edits) == 0 {
		return 0, 0
	}
	last := edits[len(edits)-1]
	olds, news = last.olds, last.news
	if last.mark != '+' {
		olds++
	}
	if last.mark != '-' {
		news++
	}
	return olds, news
}

// maxEdits bounds the memory of a comparison, which grows with its square (32
// MB at 2000). Texts that differ by more are shown as wholly different.
const maxEdits = 2000

// script gives the marks in order.
func script(a, b []string) []byte {
	size := min(len(a)+len(b), maxEdits)
	furthest := make([]int, 2*size+2) // x by diagonal, shifted by size
	var trace [][]int                 // by step: the diagonals -d..d+1 as they were before it
	for d := 0; d <= size; d++ {
		trace = append(trace, slices.Clone(furthest[size-d:size+d+2]))
		for k := -d; k <= d; k += 2 {
			x := 0
			if d > 0 {
				_, x = step(trace[d], d, k)
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			furthest[size+k] = x
			if x >= len(a) && x-k >= len(b) {
				return backtrack(trace, len(a), len(b))
			}
		}
	}
	return append(bytes.Repeat([]byte{'-'}, len(a)), bytes.Repeat([]byte{'+'}, len(b))...)
}

// step gives the diagonal from which diagonal k is reached at step d, and the
// x that it begins with: from above by an insertion, from below by a deletion.
func step(before []int, d, k int) (from, x int) {
	if k == -d || (k != d && before[d+k-1] < before[d+k+1]) {
		return k + 1, before[d+k+1]
	}
	return k - 1, before[d+k-1] + 1
}

// backtrack walks from the end to the start.
func backtrack(trace [][]int, x, y int) []byte {
	var marks []byte
	for d := len(trace) - 1; d > 0; d-- {
		k := x - y
		from, begin := step(trace[d], d, k)
		for ; x > begin; x-- {
			marks = append(marks, ' ')
		}
		if from == k+1 {
			marks = append(marks, '+')
		} else {
			marks = append(marks, '-')
			x--
		}
		y = x - from
	}
	marks = append(marks, bytes.Repeat([]byte{' '}, x)...)
	slices.Reverse(marks)
	return marks
}
