package analysis

import (
	"encoding/binary"
	"math/bits"
)

// hasher hashes keys of the table: each address once, and what consists of
// addresses from their hashes.
type hasher struct{ a, b uint64 }

func newHasher(seed uint64) hasher {
	return hasher{mix(seed, 0x9e3779b97f4a7c15) | 1, mix(seed, 0xd1b54a32d192ed03) | 1}
}

// mix folds the product of what it is given; both arguments are disturbed, so
// that zeros do no harm.
func mix(x, y uint64) uint64 {
	high, low := bits.Mul64(x^0xa0761d6478bd642f, y^0xe7037ed1a0b428db)
	return high ^ low
}

func (h hasher) address(a *[16]byte) uint64 {
	x := mix(binary.LittleEndian.Uint64(a[:8])^h.a, binary.LittleEndian.Uint64(a[8:])^h.b)
	return mix(x, h.a)
}

func (h hasher) service(destination uint64, port uint16, protocol uint8) uint64 {
	return mix(destination^h.b, uint64(port)<<8|uint64(protocol))
}

func (h hasher) pair(source, other uint64) uint64 {
	return mix(source, other^h.a)
}

func (h hasher) port(port uint16) uint64 {
	return mix(mix(uint64(port)^h.b, h.a), h.b)
}
