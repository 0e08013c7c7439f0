package exporter

import "math"

// sequence finds the numbers that are missing in a sequence whose records may
// come late or twice, as they do over UDP.
//
// A missing number is a record that was lost between who numbered it and here,
// that was left out on the way on purpose, or whose line does not parse. One
// that comes late was counted as missing when its successor came, which is not
// taken back. Not seen are losses before the first record and after the last,
// those around a restart of the sequence, and of more than maxJump records at
// once. A restart that goes back by no more than maxLate is not told from late
// records, so losses are not seen until the sequence has passed its old end.
// Labels must tell the sequences apart: two with the same label set look like
// one that jumps.
type sequence struct {
	begun bool
	last  uint64
}

const (
	maxJump = 1 << 20 // a longer step ahead is a restart of the sequence
	maxLate = 1024    // a longer step back, too
)

// next gives how many numbers are missing between the last one and n.
func (s *sequence) next(n uint64) (missing uint64) {
	switch {
	case s.begun && n <= s.last && s.last-n <= maxLate:
		return 0
	case s.begun && n > s.last && n-s.last <= maxJump:
		missing = n - s.last - 1
	}
	s.begun, s.last = true, n
	return missing
}

// sequenceNumber reads a whole number of 64 bits.
func sequenceNumber(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		digit := uint64(c - '0') // a byte: what is below 0 wraps around
		if digit > 9 || n > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, len(text) > 0
}

// second counts the records of the newest second that they tell of. A record
// that comes when a later second has begun is left out, so one whose time lies
// ahead by mistake silences its label set until that time.
type second struct {
	at      int64 // Unix seconds
	records int
}

// add a record, and tell whether it is the atLeast-th of its second.
func (s *second) add(at int64, atLeast int) bool {
	switch {
	case s.records == 0 || at > s.at:
		*s = second{at: at}
	case at < s.at:
		return false
	}
	s.records++
	return s.records == atLeast
}
