package conntrack

import (
	"net/netip"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// parseAddress reads what netip.ParseAddr reads, but for zones, and allocates nothing.
func parseAddress(text []byte) (netip.Addr, bool) {
	for _, b := range text {
		switch b {
		case '.':
			four, ok := parseIPv4(text)
			return netip.AddrFrom4(four), ok
		case ':':
			sixteen, ok := parseIPv6(text)
			return netip.AddrFrom16(sixteen), ok
		}
	}
	return netip.Addr{}, false
}

func parseIPv4(text []byte) (address [4]byte, ok bool) {
	part, digits, value := 0, 0, 0
	for _, b := range text {
		switch {
		case '0' <= b && b <= '9':
			if digits > 0 && value == 0 { // a leading zero
				return address, false
			}
			value = value*10 + int(b-'0')
			if digits++; value > 255 {
				return address, false
			}
		case b == '.' && digits > 0 && part < 3:
			address[part] = byte(value)
			part, digits, value = part+1, 0, 0
		default:
			return address, false
		}
	}
	address[3] = byte(value)
	return address, part == 3 && digits > 0
}

func parseIPv6(text []byte) (address [16]byte, ok bool) {
	at, gap := 0, -1 // bytes written, and where :: is
	if len(text) >= 2 && text[0] == ':' && text[1] == ':' {
		gap, text = 0, text[2:]
	}
	for len(text) > 0 {
		value, digits := 0, 0
		for digits < len(text) && digits < 5 {
			digit, isHex := dump.HexDigit(text[digits])
			if !isHex {
				break
			}
			value, digits = value<<4|int(digit), digits+1
		}
		if digits < len(text) && text[digits] == '.' { // the last four bytes as in IPv4
			four, ok := parseIPv4(text)
			if !ok || at > 12 {
				return address, false
			}
			at += copy(address[at:], four[:])
			break
		}
		if digits == 0 || digits > 4 || at == 16 {
			return address, false
		}
		address[at], address[at+1] = byte(value>>8), byte(value)
		at += 2
		if text = text[digits:]; len(text) == 0 {
			break
		}
		if text[0] != ':' || len(text) == 1 {
			return address, false
		}
		if text = text[1:]; text[0] == ':' {
			if gap >= 0 {
				return address, false
			}
			gap, text = at, text[1:]
		}
	}
	if gap < 0 {
		return address, at == 16
	}
	if at == 16 {
		return address, false
	}
	n := copy(address[16-(at-gap):], address[gap:at])
	clear(address[gap : 16-n])
	return address, true
}
