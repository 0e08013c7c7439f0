package analysis

import (
	"math/bits"
	"time"
)

const memoryBlocks = 1 << 14 // of 64 bytes: 1 MiB

// memory remembers hashes for some time: a Bloom filter for what is newer, and
// one for what is older.
type memory struct {
	newer, older *[memoryBlocks][8]uint64 // older is nil at first
	since        time.Time                // when newer began
	touched      uint64
}

func newMemory() *memory { return &memory{newer: new([memoryBlocks][8]uint64)} }

// rotate forgets what is older than the time to be remembered.
func (m *memory) rotate(at time.Time, remember time.Duration) {
	if m.since.IsZero() {
		m.since = at
	}
	if at.Sub(m.since) >= remember {
		m.newer, m.older, m.since = m.older, m.newer, at
		if m.newer == nil {
			m.newer = new([memoryBlocks][8]uint64)
		}
		clear(m.newer[:])
	}
}

// touch what a batch is to be added to, so that the processor fetches many parts
// of it at once.
func (m *memory) touch(all []queued) {
	for i := range all {
		q := &all[i]
		if q.toRemember {
			m.touched |= m.newer[q.source>>50][0]
		}
		if q.toRememberClient {
			m.touched |= m.newer[q.client>>50][0]
		}
	}
}

// bitsOf a hash: the block, two of its words, and the bits in both of them. To
// look at two words takes less time than at one for each bit.
func bitsOf(hash uint64) (at, first, second, one, other uint64) {
	rest := mix(hash, 0x8ebc6af09c88c6e3)
	one = 1<<(rest&63) | 1<<(rest>>6&63) | 1<<(rest>>12&63)
	other = 1<<(rest>>18&63) | 1<<(rest>>24&63) | 1<<(rest>>30&63)
	first = rest >> 36 & 7
	return hash >> 50, first, first ^ (1 + rest>>39%7), one, other
}

// add reports whether the hash is new.
func (m *memory) add(hash uint64) (isNew bool) {
	at, first, second, one, other := bitsOf(hash)
	words := &m.newer[at]
	if words[first]&one == one && words[second&7]&other == other {
		return false
	}
	words[first] |= one
	words[second&7] |= other
	return m.older == nil || !in(&m.older[at], hash)
}

func (m *memory) has(hash uint64) bool {
	at := hash >> 50
	return in(&m.newer[at], hash) || m.older != nil && in(&m.older[at], hash)
}

func in(words *[8]uint64, hash uint64) bool {
	_, first, second, one, other := bitsOf(hash)
	return words[first]&one == one && words[second&7]&other == other
}

// falseShare is how many of the hashes that never came are taken for known, by
// the blocks that are looked at: which one a hash belongs to is by chance.
func (m *memory) falseShare() float64 {
	const looked = memoryBlocks / 16
	no := 1.0
	for _, filter := range []*[memoryBlocks][8]uint64{m.newer, m.older} {
		if filter == nil {
			continue
		}
		sum := 0.0
		for i := range looked {
			var all, squares float64
			for _, word := range filter[i] {
				fill := float64(bits.OnesCount64(word)) / 64
				three := fill * fill * fill // bits of a word
				all, squares = all+three, squares+three*three
			}
			sum += (all*all - squares) / (8 * 7) // of two different words
		}
		no *= 1 - sum/looked
	}
	return 1 - no
}
