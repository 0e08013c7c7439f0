package analysis

import (
	"math/bits"
	"time"
)

const (
	memoryBlocks = 1 << 14 // of 64 bytes: 1 MiB
	memoryBits   = 6       // of an item, all in one block
)

// memory remembers hashes for some time: a Bloom filter for what is newer, and
// one for what is older.
type memory struct {
	newer, older *[memoryBlocks][8]uint64 // older is nil at first
	since        time.Time                // when newer began
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

func block(hash uint64) (at, rest uint64) {
	return hash >> 50, mix(hash, 0x8ebc6af09c88c6e3)
}

// add reports whether the hash is new.
func (m *memory) add(hash uint64) (isNew bool) {
	at, rest := block(hash)
	words := &m.newer[at]
	for range memoryBits {
		bit := uint64(1) << (rest & 63)
		word := &words[rest>>6&7]
		if *word&bit == 0 {
			*word |= bit
			isNew = true
		}
		rest >>= 9
	}
	return isNew && (m.older == nil || !in(&m.older[at], hash))
}

func (m *memory) has(hash uint64) bool {
	at, _ := block(hash)
	return in(&m.newer[at], hash) || m.older != nil && in(&m.older[at], hash)
}

func in(words *[8]uint64, hash uint64) bool {
	_, rest := block(hash)
	for range memoryBits {
		if words[rest>>6&7]>>(rest&63)&1 == 0 {
			return false
		}
		rest >>= 9
	}
	return true
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
			ones := 0
			for _, word := range filter[i] {
				ones += bits.OnesCount64(word)
			}
			fill := float64(ones) / 512
			sum += fill * fill * fill * fill * fill * fill
		}
		no *= 1 - sum/looked
	}
	return 1 - no
}
