package analysis

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func key(n uint64) (a [16]byte) {
	binary.BigEndian.PutUint64(a[8:], n)
	return a
}

// streams of keys, from such that a sketch likes to such that it does not.
func streams(r *rand.Rand, length int) map[string][]uint64 {
	zipf := rand.NewZipf(r, 1.1, 1, 1<<24)
	all := map[string][]uint64{}
	for i := range length {
		n := uint64(i)
		all["one"] = append(all["one"], 7)
		all["few"] = append(all["few"], n%1000)
		all["zipf"] = append(all["zipf"], zipf.Uint64())
		all["all different"] = append(all["all different"], n)
		all["big ones come late"] = append(all["big ones come late"], max(n, uint64(length)*9/10)/1000*1000+n%1000*uint64(1-i*10/length/9))
		all["in turn, more than counters"] = append(all["in turn, more than counters"], n%5000)
	}
	return all
}

// A count is off by no more than the sketch says, and that by no more than
// 2/counters of the stream; with room for all keys it is exact.
func TestSketchErrors(t *testing.T) {
	h := newHasher(3)
	const length = 100_000
	for name, stream := range streams(rand.New(rand.NewPCG(1, 2)), length) {
		for _, counters := range []int{16, 256, 4096} {
			s := newSketch[[16]byte](counters)
			exact := map[[16]byte]uint64{}
			for _, n := range stream {
				k := key(n)
				s.at(&k, h.address(&k)).count++
				exact[k]++
			}
			if len(exact) <= counters && s.offset != 0 {
				t.Errorf("%s, %d counters: off by %d with %d keys", name, counters, s.offset, len(exact))
			}
			if s.offset > 2*length/uint64(counters) {
				t.Errorf("%s, %d counters: off by %d", name, counters, s.offset)
			}
			for k, n := range exact {
				c := uint64(s.entries(&k, h.address(&k)))
				if c > n || c+s.offset < n {
					t.Fatalf("%s, %d counters: %d to %d of a key that came %d times", name, counters, c, c+s.offset, n)
				}
			}
			// Whoever is bigger than the error by more than the k-th is in the list.
			list := s.top(10, toSource)
			if !slices.IsSortedFunc(list, compareTops) {
				t.Errorf("%s, %d counters: not in order: %v", name, counters, list)
			}
			for k, n := range exact {
				has := slices.ContainsFunc(list, func(top Top) bool { return top.Source == netip.AddrFrom16(k).Unmap() })
				if !has && len(list) == 10 && n > list[9].AtLeast+s.offset {
					t.Errorf("%s, %d counters: a key that came %d times is not in %v", name, counters, n, list)
				}
			}
		}
	}
}

// Keys with equal counts are listed in the order of addresses, in whatever order
// they came.
func TestTopTies(t *testing.T) {
	h := newHasher(0)
	want := []Top{}
	for n := range uint64(10) {
		want = append(want, Top{Source: netip.AddrFrom16(key(n)).Unmap(), AtLeast: 3, AtMost: 3})
	}
	for seed := range uint64(20) {
		var stream []uint64
		for n := range uint64(300) {
			stream = append(stream, n%100)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(stream), func(i, j int) { stream[i], stream[j] = stream[j], stream[i] })
		s := newSketch[[16]byte](128)
		for _, n := range stream {
			k := key(n)
			s.at(&k, h.address(&k)).count++
		}
		if got := s.top(10, toSource); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v", seed, got)
		}
	}
}

// Watched keys stay, whatever comes.
func TestSketchKeepsWhatIsWatched(t *testing.T) {
	h := newHasher(0)
	s := newSketch[[16]byte](16)
	for n := range uint64(8) {
		k := key(n)
		s.at(&k, h.address(&k)).watch = 1
	}
	for n := range uint64(10_000) {
		k := key(100 + n)
		s.at(&k, h.address(&k)).count++
	}
	for n := range uint64(8) {
		k := key(n)
		if s.find(&k, h.address(&k)) == nil {
			t.Errorf("watched key %d is gone", n)
		}
	}
}

func TestDistinct(t *testing.T) {
	worst, sum, tries := 0.0, 0.0, 0
	for seed := range uint64(40) {
		h := newHasher(seed)
		var d distinct
		for n := range uint64(100_000) {
			k := key(n)
			for range 2 {
				d.add(h.address(&k))
			}
			switch n + 1 {
			case 1, 10, 63:
				if got := d.estimate(); got != n+1 {
					t.Errorf("%d are counted as %d", n+1, got)
				}
			case 100, 1000, 10_000, 100_000:
				off := float64(d.estimate())/float64(n+1) - 1
				worst, sum, tries = max(worst, math.Abs(off)), sum+off*off, tries+1
			}
		}
	}
	deviation := math.Sqrt(sum / float64(tries))
	t.Logf("standard error %.1f %%, worst of %d: %.1f %%", 100*deviation, tries, 100*worst)
	if deviation > 0.15 || worst > 0.7 {
		t.Error("off by too much")
	}
}

// Ports by chance repeat themselves, those of a scan do not.
func TestEachOnce(t *testing.T) {
	f := func(name string, want bool, ports func(r *rand.Rand, p *portCounts)) {
		t.Helper()
		for seed := range uint64(200) {
			var p portCounts
			ports(rand.New(rand.NewPCG(seed, 0)), &p)
			if p.eachOnce() != want {
				once, twice, more := p.times()
				t.Errorf("%s, seed %d: %t, with %.0f ports once, %.0f twice and %.0f more often", name, seed, !want, once, twice, more)
				return
			}
		}
	}
	byChance := func(n, ports int) func(*rand.Rand, *portCounts) {
		return func(r *rand.Rand, p *portCounts) {
			for range n {
				p.add(uint16(r.IntN(ports)))
			}
		}
	}
	inTurn := func(n, again int) func(*rand.Rand, *portCounts) {
		return func(r *rand.Rand, p *portCounts) {
			first := r.IntN(1 << 16)
			for i := range n {
				p.add(uint16(first + i))
				if i < again {
					p.add(uint16(first + i))
				}
			}
		}
	}
	f("2000 by chance", false, byChance(2000, 1<<16))
	f("5000 by chance", false, byChance(5000, 1<<16))
	f("200000 by chance", false, byChance(200_000, 1<<16))
	f("2000 by chance of 1024", false, byChance(2000, 1024))
	f("2000 in turn", true, inTurn(2000, 0))
	f("65536 in turn", true, inTurn(1<<16, 0))
	f("2000 in turn, half twice", true, inTurn(2000, 1000))
	f("1000 in turn, all twice", true, inTurn(1000, 1000))
}

func TestMemory(t *testing.T) {
	m, h := newMemory(), newHasher(1)
	const n = 400_000
	for i := range uint64(n) {
		k := key(i)
		m.add(h.address(&k))
	}
	wrong := 0
	for i := range uint64(n) {
		k := key(i)
		if !m.has(h.address(&k)) {
			t.Fatalf("%d is forgotten", i)
		}
		k = key(n + i)
		if m.has(h.address(&k)) {
			wrong++
		}
	}
	share, told := float64(wrong)/n, m.falseShare()
	t.Logf("of %d, %.3f %% are taken for known, told are %.3f %%", n, 100*share, 100*told)
	if share > 0.005 || math.Abs(told-share) > share {
		t.Errorf("too many, or told wrongly")
	}
}
