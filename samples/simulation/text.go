package simulation

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendf appends what package fmt would, without garbage. It knows what the
// lines are made of: the verbs %s, %q, %d, %x, %c and %f with a width, zeros and
// a precision, and the types below; what it does not know becomes a %! as there.
func appendf(to []byte, format string, args ...any) []byte {
	for {
		text, rest, more := strings.Cut(format, "%")
		to = append(to, text...)
		if !more {
			return to
		}
		if strings.HasPrefix(rest, "%") {
			to, format = append(to, '%'), rest[1:]
			continue
		}
		var v verb
		v, format = parseVerb(rest)
		if v.is == 0 || len(args) == 0 {
			to = append(to, "%!"...)
			continue
		}
		start := len(to)
		to = v.append(to, args[0])
		args = args[1:]
		to = v.pad(to, start)
	}
}

// verb of a format.
type verb struct {
	is               byte
	left, zeros      bool
	width, precision int // precision -1: none
}

func parseVerb(text string) (v verb, rest string) {
	v.precision = -1
	i := 0
	for ; i < len(text) && (text[i] == '-' || text[i] == '0'); i++ {
		v.left, v.zeros = v.left || text[i] == '-', v.zeros || text[i] == '0'
	}
	number := func() (n int) {
		for ; i < len(text) && text[i] >= '0' && text[i] <= '9' && n < 100; i++ {
			n = 10*n + int(text[i]-'0')
		}
		return n
	}
	v.width = number()
	if i < len(text) && text[i] == '.' {
		i++
		v.precision = number()
	}
	if i < len(text) && strings.IndexByte("sqdxcf", text[i]) >= 0 {
		v.is = text[i]
		i++
	}
	return v, text[i:]
}

func (v verb) append(to []byte, arg any) []byte {
	switch arg := arg.(type) {
	case string:
		return appendText(to, v.is, arg)
	case []byte:
		return appendText(to, v.is, arg)
	case level:
		return appendText(to, v.is, arg.String())
	case byte:
		if v.is == 'c' {
			return append(to, arg)
		}
		return v.integer(to, int64(arg))
	case int:
		return v.integer(to, int64(arg))
	case int64:
		return v.integer(to, arg)
	case uint16:
		return v.integer(to, int64(arg))
	case uint32:
		return v.integer(to, int64(arg))
	case uint64:
		if v.is == 'x' {
			return strconv.AppendUint(to, arg, 16)
		}
		return strconv.AppendUint(to, arg, 10)
	case float64:
		return strconv.AppendFloat(to, arg, 'f', v.precision, 64)
	case Pod:
		return v.quoted(append(append(append(v.quote(to), Namespace...), '/'), arg.Name...))
	case netip.Addr:
		return v.quoted(arg.AppendTo(v.quote(to)))
	case time.Duration:
		return v.quoted(append(v.quote(to), arg.String()...))
	case time.Time:
		return v.quoted(arg.AppendFormat(v.quote(to), "2006-01-02 15:04:05.999999999 -0700 MST"))
	default:
		return append(to, "%!"...)
	}
}

// quote and quoted are around what has nothing in it to escape.
func (v verb) quote(to []byte) []byte {
	if v.is == 'q' {
		to = append(to, '"')
	}
	return to
}

func (v verb) quoted(to []byte) []byte { return v.quote(to) }

func (v verb) integer(to []byte, n int64) []byte {
	if v.is == 'x' {
		return strconv.AppendInt(to, n, 16)
	}
	return strconv.AppendInt(to, n, 10)
}

func appendText[T ~string | ~[]byte](to []byte, verb byte, text T) []byte {
	if verb == 'q' {
		return appendQuoted(to, text)
	}
	return append(to, text...)
}

// appendQuoted does what strconv.AppendQuote does.
func appendQuoted[T ~string | ~[]byte](to []byte, text T) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.AppendQuote(to, string(text))
		}
	}
	return append(append(append(to, '"'), text...), '"')
}

// pad what is behind start to the width.
func (v verb) pad(to []byte, start int) []byte {
	missing := v.width - utf8.RuneCount(to[start:])
	if missing <= 0 {
		return to
	}
	filler := byte(' ')
	if v.zeros && !v.left {
		filler = '0'
		if to[start] == '-' {
			start++
		}
	}
	size := len(to)
	for range missing {
		to = append(to, filler)
	}
	if !v.left {
		copy(to[start+missing:], to[start:size])
		for i := range missing {
			to[start+i] = filler
		}
	}
	return to
}

// texts keeps texts that are made again and again, such as labels.
type texts struct {
	text []byte
	kept map[string]string
}

// sprintf gives what appendf appends.
func (t *texts) sprintf(format string, args ...any) string {
	t.text = appendf(t.text[:0], format, args...)
	return t.keep()
}

// labels as PromQL has them, of names and values.
func (t *texts) labels(pairs ...string) string {
	t.text = t.text[:0]
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			t.text = append(t.text, ',')
		}
		t.text = append(append(t.text, pairs[i]...), '=')
		t.text = appendQuoted(t.text, pairs[i+1])
	}
	return t.keep()
}

func (t *texts) keep() string {
	if kept, ok := t.kept[string(t.text)]; ok {
		return kept
	}
	if t.kept == nil {
		t.kept = map[string]string{}
	}
	kept := string(t.text)
	t.kept[kept] = kept
	return kept
}
