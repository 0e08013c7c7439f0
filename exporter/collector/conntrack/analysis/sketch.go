package analysis

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// counter of a key in a sketch.
type counter[K comparable] struct {
	key   K
	hash  uint64
	count uint32 // at least; the sketch's offset is what may be missing
	half  uint32 // half-open ones of them, where the owner counts them
	noted uint32 // what the owner wants to know again when the key comes
	watch int32  // 1 + the index of the key's watch, 0 for none, -1 if there was no room
}

// sketch counts the most frequent keys of a stream in bounded memory. When all
// counters are taken, the median count is subtracted from all, and those that
// have nothing left are freed: the algorithm of Misra and Gries, many
// decrements at once. Each subtraction of m takes m from at least half of the
// counters, so that all of them together are at most 2/len of the stream.
//
// Beside space-saving, which it bounds alike, it needs no order among the
// counters: a known key costs one look-up, and a new one on average a few
// counters' walk, whatever the stream.
//
// A small table takes little memory: there are leastCounters at first, and more
// as keys come.
type sketch[K comparable] struct {
	index    []uint32 // 16 bits of the hash, and 1 + the index of the counter
	counters []counter[K]
	most     int // counters
	offset   uint64
	scratch  []uint32
}

const leastCounters = 256

func newSketch[K comparable](most int) *sketch[K] {
	s := &sketch[K]{most: most}
	s.resize(min(most, leastCounters))
	return s
}

// resize makes room for that many counters.
func (s *sketch[K]) resize(counters int) {
	s.counters = append(make([]counter[K], 0, counters), s.counters...)
	s.index = make([]uint32, indexSize(counters))
	s.fillIndex()
}

// indexSize for that many counters: a power of two, at least half of which stays
// free.
func indexSize(counters int) int { return 1 << bits.Len(uint(2*counters-1)) }

func (s *sketch[K]) reset() {
	clear(s.index)
	s.counters, s.offset = s.counters[:0], 0
}

// at finds the key's counter, or takes one for it.
func (s *sketch[K]) at(key *K, hash uint64) *counter[K] {
	for {
		mask := uint64(len(s.index) - 1)
		tag := uint32(hash>>32) &^ 0xffff
		i := hash & mask
		for slot := s.index[i]; slot != 0; slot = s.index[i] {
			if slot&^0xffff == tag {
				if c := &s.counters[slot&0xffff-1]; c.key == *key {
					return c
				}
			}
			i = (i + 1) & mask
		}
		if len(s.counters) < cap(s.counters) {
			s.counters = append(s.counters, counter[K]{key: *key, hash: hash})
			s.index[i] = tag | uint32(len(s.counters))
			return &s.counters[len(s.counters)-1]
		}
		if len(s.counters) < s.most {
			s.resize(min(2*len(s.counters), s.most))
		} else {
			s.purge()
		}
	}
}

// find is the key's counter, or nil.
func (s *sketch[K]) find(key *K, hash uint64) *counter[K] {
	mask := uint64(len(s.index) - 1)
	tag := uint32(hash>>32) &^ 0xffff
	for i := hash & mask; s.index[i] != 0; i = (i + 1) & mask {
		if slot := s.index[i]; slot&^0xffff == tag {
			if c := &s.counters[slot&0xffff-1]; c.key == *key {
				return c
			}
		}
	}
	return nil
}

// entries of the key at least.
func (s *sketch[K]) entries(key *K, hash uint64) float64 {
	if c := s.find(key, hash); c != nil {
		return float64(c.count)
	}
	return 0
}

// bytes that it takes at most.
func (s *sketch[K]) bytes() int {
	return int(unsafe.Sizeof(*s)) + indexSize(s.most)*4 + s.most*4 + s.most*int(unsafe.Sizeof(counter[K]{}))
}

// purge frees counters: at least one, and half of them if none is watched.
func (s *sketch[K]) purge() {
	m := max(s.median(), 1)
	s.offset += uint64(m)
	kept := s.counters[:0]
	for _, c := range s.counters {
		if c.count > m || c.watch > 0 {
			c.half -= min(c.half, m)
			c.count -= min(c.count, m)
			kept = append(kept, c)
		}
	}
	s.counters = kept
	clear(s.index)
	s.fillIndex()
}

// fillIndex puts the counters into the index, which is empty.
func (s *sketch[K]) fillIndex() {
	mask := uint64(len(s.index) - 1)
	for n := range s.counters {
		hash := s.counters[n].hash
		i := hash & mask
		for s.index[i] != 0 {
			i = (i + 1) & mask
		}
		s.index[i] = uint32(hash>>32)&^0xffff | uint32(n+1)
	}
}

// median of the counts; of a stream without big keys it is small, and found
// without sorting.
func (s *sketch[K]) median() uint32 {
	var few [64]uint16
	for i := range s.counters {
		if n := s.counters[i].count; n < uint32(len(few)) {
			few[n]++
		}
	}
	below, half := 0, len(s.counters)/2
	for n, times := range few {
		if below += int(times); below > half {
			return uint32(n)
		}
	}
	if s.scratch == nil {
		s.scratch = make([]uint32, s.most)
	}
	counts := s.scratch[:len(s.counters)]
	for i := range s.counters {
		counts[i] = s.counters[i].count
	}
	slices.Sort(counts)
	return counts[half]
}

// top lists the k biggest, with the error of each; which makes a Top of a key.
func (s *sketch[K]) top(k int, which func(K) Top) []Top {
	return s.topOf(k, which, func(K) bool { return true })
}

// topOf lists the k biggest of those that belong.
func (s *sketch[K]) topOf(k int, which func(K) Top, belongs func(K) bool) []Top {
	var list []Top
	for i := range s.counters {
		c := &s.counters[i]
		n := uint64(c.count)
		if n == 0 || len(list) == k && n < list[k-1].AtLeast || !belongs(c.key) {
			continue
		}
		t := which(c.key)
		t.AtLeast, t.AtMost = n, n+s.offset
		at, _ := slices.BinarySearchFunc(list, t, compareTops)
		if at < k {
			list = slices.Insert(list[:min(len(list), k-1)], at, t)
		}
	}
	return list
}

// compareTops puts the bigger first, and what is as big in the order of addresses.
func compareTops(a, b Top) int {
	return cmp.Or(cmp.Compare(b.AtLeast, a.AtLeast), a.Source.Compare(b.Source), a.Destination.Compare(b.Destination))
}

// distinctKept is how many hashes a distinct keeps.
const distinctKept = 64

// distinct counts different hashes by keeping the smallest ones, which also are
// a sample of them in which each has the same chance, however often it came.
type distinct struct {
	n    int32
	most int32 // where the biggest is
	kept [distinctKept]uint64
}

func (d *distinct) add(hash uint64) {
	if d.n == distinctKept && hash >= d.kept[d.most] {
		return
	}
	for _, kept := range d.kept[:d.n] {
		if kept == hash {
			return
		}
	}
	if d.n < distinctKept {
		d.kept[d.n] = hash
		d.n++
	} else {
		d.kept[d.most] = hash
	}
	if d.n == distinctKept {
		d.most = 0
		for i, kept := range d.kept {
			if kept > d.kept[d.most] {
				d.most = int32(i)
			}
		}
	}
}

// estimate of how many there were; exact while all are kept.
func (d *distinct) estimate() uint64 {
	if d.n < distinctKept {
		return uint64(d.n)
	}
	return uint64((distinctKept - 1) / (float64(d.kept[d.most]) / math.MaxUint64))
}

func (d *distinct) sample() []uint64 { return d.kept[:d.n] }

// heavyKept is how many sources a heavy keeps.
const heavyKept = 16

// heavy keeps the sources that have most half-open entries to a victim, as a
// sketch does: a count may be too small by 1/heavyKept of all.
type heavy struct {
	n      int32
	offset uint32
	hashes [heavyKept]uint64
	counts [heavyKept]uint32
	keys   [heavyKept][16]byte
}

func (h *heavy) add(key *[16]byte, hash uint64) {
	for i, kept := range h.hashes[:h.n] {
		if kept == hash {
			h.counts[i]++
			return
		}
	}
	if h.n == heavyKept {
		least := slices.Min(h.counts[:])
		h.offset += least
		h.n = 0
		for i := range heavyKept {
			if h.counts[i] > least {
				h.hashes[h.n], h.counts[h.n], h.keys[h.n] = h.hashes[i], h.counts[i]-least, h.keys[i]
				h.n++
			}
		}
		if h.n == heavyKept {
			return
		}
	}
	h.hashes[h.n], h.counts[h.n], h.keys[h.n] = hash, 1, *key
	h.n++
}
