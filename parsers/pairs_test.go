package parsers

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fataler is a test, a fuzz target or a rapid check.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// readBoth has a text read where it lies in the line and where it lies in the
// scratch. It holds that both give the same fields (of so many) and pairs, and
// that all lie within the text, or in the scratch behind what was there. The
// pairs are given as key=value.
func readBoth(t fataler, text string, fields int, scan func(r *Record, s Span)) (values, pairs []string) {
	t.Helper()
	const before, after = `x="`, `" y=1`
	line := Record{Line: []byte(before + text + after), Scratch: &Scratch{}}
	beside := Record{Scratch: &Scratch{}}
	inLine := Span{int32(len(before)), int32(len(before) + len(text))}
	beside.Scratch.add(before)
	inScratch := beside.Scratch.add(text)
	beside.Scratch.add(after)

	read := func(r *Record, s Span) (values, pairs []string) {
		r.Spans = make([]Span, fields)
		mark := int32(r.Scratch.begin())
		scan(r, s)
		hold := func(part Span) string {
			within := s.Start <= part.Start && part.Start <= part.End && part.End <= s.End
			if s.Start < 0 {
				within = s.Start >= part.Start && part.Start >= part.End && part.End >= s.End
			}
			behind := part.Start < 0 && mark <= ^part.Start && ^part.Start <= ^part.End && int(^part.End) <= len(r.Scratch.bytes)
			if !within && !behind {
				t.Fatalf("%q: the span %v is neither in the text %v nor in the scratch from %d on", text, part, s, mark)
			}
			return string(r.Text(part))
		}
		for _, span := range r.Spans {
			if span != (Span{}) && span.Start == span.End {
				t.Fatalf("%q: a field has the span %v", text, span)
			}
			if span == (Span{}) {
				values = append(values, "")
			} else {
				values = append(values, hold(span))
			}
		}
		for _, pair := range r.Pairs {
			if pair.Value.Start == pair.Value.End {
				t.Fatalf("%q: a pair has the value %v", text, pair.Value)
			}
			key := ""
			if pair.Key != (Span{}) {
				key = hold(pair.Key)
			}
			pairs = append(pairs, key+"="+hold(pair.Value))
		}
		return values, pairs
	}
	values, pairs = read(&line, inLine)
	values2, pairs2 := read(&beside, inScratch)
	if diff := cmp.Diff([][]string{values, pairs}, [][]string{values2, pairs2}); diff != "" {
		t.Fatalf("%q (-in line +in scratch):\n%s", text, diff)
	}
	return values, pairs
}

func mustPairsPlan(t fataler, style string, fields map[string]int, others bool) *pairsPlan {
	t.Helper()
	p, err := newPairsPlan(style, fields, others)
	if err != nil {
		t.Fatalf("%s", err)
	}
	return p
}

// testPairs gives a function that holds the pairs, as key=value, of a text.
func testPairs(t *testing.T, style string) func(text string, want ...string) {
	p := mustPairsPlan(t, style, nil, true)
	return func(text string, want ...string) {
		t.Helper()
		_, got := readBoth(t, text, 0, p.scan)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestNewPairsPlan(t *testing.T) {
	_, err := newPairsPlan("logfmt", nil, true)
	if want := `"logfmt" is not a style of pairs; there are: klog words colon`; err == nil || err.Error() != want {
		t.Errorf("want %q, got %v", want, err)
	}
}

func TestPairs_Klog(t *testing.T) {
	f := testPairs(t, "klog")
	f(``)
	f(` pod="shop/web-0" port=443 err="not found"`, "pod=shop/web-0", "port=443", "err=not found")
	f(` a.b-c/d_E9=1`, "a.b-c/d_E9=1")

	// Go's quotes
	f(`q="with \" and \n" z=1`, "q=with \" and \n", "z=1")
	f(`q="\\" z=1`, `q=\`, "z=1")
	f(`q="\a\b\f\n\r\t\v" z=1`, "q=\a\b\f\n\r\t\v", "z=1")
	f(`q="\x41\u00e9\U0001f600\101"`, "q=Aé😀A")
	f(`q="\xc3\xa9 \xff"`, "q=é \xff")
	f("q=`raw \\n \"` z=1", `q=raw \n "`, "z=1")
	f("q=`a\r\nb\r` z=1", "q=a\nb", "z=1")
	f("q=`\r` r=`` z=1", "z=1")
	f(`q="no \q, \', \xg0, \ud800, \U00110000, \400 escapes" z=1`, `q=no \q, \', \xg0, \ud800, \U00110000, \400 escapes`, "z=1")
	f("q=\"two\nlines\" z=1", "q=two\nlines", "z=1")
	f(`q="a=1 b=2" z=1`, "q=a=1 b=2", "z=1")
	f(`q="x"y=1 z=1`, "q=x", "z=1")
	f(`q="" z=1`, "z=1")

	// in brackets
	f(`o={"a":"} \"]","b":[1,{}]} z=1`, `o={"a":"} \"]","b":[1,{}]}`, "z=1")
	f(`o=[{"a":"]"},{"b":2}] z=1`, `o=[{"a":"]"},{"b":2}]`, "z=1")
	f(`o=["a b" "]"] z=1`, `o=["a b" "]"]`, "z=1")
	f(`o=&{Name:it's 5" ) Inner:{A:1 B:2}} z=1`, `o=&{Name:it's 5" ) Inner:{A:1 B:2}}`, "z=1")
	f(`o=map[a:1 b:[2 3]] z=1`, "o=map[a:1 b:[2 3]]", "z=1")
	f(`o=(a (b) c) z=1`, "o=(a (b) c)", "z=1")
	f(`to=[2001:db8::1]:443 v=(devel)-1 z=1`, "to=[2001:db8::1]:443", "v=(devel)-1", "z=1")
	f(`o={} l=[] z=1`, "o={}", "l=[]", "z=1")
	f(`o=mapped n=&x p=& z=1`, "o=mapped", "n=&x", "p=&", "z=1")

	// blocks
	f("t=<\n\tone\n\t\ttwo\n\n", "t=one\n\ttwo")
	f("t=<\n\tone\n\t\ttwo\n >\n", "t=one\n\ttwo")
	f("t=<\n\tone\n >\nz=1", "t=one", "z=1")
	f("t=<\n\tone\n\t\n >\nz=1", "t=one\n", "z=1")
	f("t=<\n\t\n\tx=1 \"\n > z=1", "t=\nx=1 \"", "z=1")
	f("t=<\n\t\n > z=1", "z=1")
	f("t=<\nz=1", "z=1")
	f("t=<\n > z=1", "z=1")
	f("t=<nil> u=<", "t=<nil>")

	// what is no pair
	f(`retry in 5s a=1 =2 b c:d=3 é=4 "e=5 f=6`, "a=1", "f=6")
	f("\ta=1\r\n\n  b=2\t", "a=1", "b=2")
	f(`a= b=1 c=`, "b=1")
	f(`=`)

	// cut lines
	f(`a=1 q="cut \"here b=2`, "a=1", `q=cut "here b=2`)
	f(`q="cut`, "q=cut")
	f(`q="cut\`, `q=cut\`)
	f(`q="cut\u00e`, `q=cut\u00e`)
	f("q=`cut b=2", "q=cut b=2")
	f(`o={"a":"b c`, `o={"a":"b c`)
	f(`o=&{A:1 B:`, `o=&{A:1 B:`)
	f("t=<\n\tone\n\ttw", "t=one\ntw")
	f("t=<\n\tone", "t=one")
	f(`q="`)

	// the last of repeated keys that has a value
	f(`a=1 b=2 a="3\t" a=`, "a=3\t", "b=2")
}

func TestPairs_Words(t *testing.T) {
	f := testPairs(t, "words")
	f(``)
	f(`IN=eth0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=4711 DF PROTO=TCP SPT=40001 DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0 MARK=0x1`,
		"IN=eth0", "MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00", "SRC=192.0.2.1", "DST=198.51.100.2", "LEN=60", "TOS=0x00", "PREC=0x00", "TTL=63", "ID=4711",
		"PROTO=TCP", "SPT=40001", "DPT=443", "WINDOW=64240", "RES=0x00", "URGP=0", "MARK=0x1", "=DF,SYN")
	// the first of repeated keys that has a value
	f(`LEN=48 ID=7 PROTO=UDP SPT=53 DPT=5353 LEN=28`, "LEN=48", "ID=7", "PROTO=UDP", "SPT=53", "DPT=5353")
	f(`ID=7 PROTO=ICMP TYPE=8 CODE=0 ID=1 SEQ=2`, "ID=7", "PROTO=ICMP", "TYPE=8", "CODE=0", "SEQ=2")
	f(`LEN= LEN=28`, "LEN=28")
	// the inner packet
	f(`SRC=192.0.2.1 PROTO=ICMP TYPE=3 CODE=4 [SRC=198.51.100.2 DF LEN=1500 [INNER=1 ] X=1 ] MTU=1400`, "SRC=192.0.2.1", "PROTO=ICMP", "TYPE=3", "CODE=4", "MTU=1400")
	f(`TYPE=3 [SRC=198.51.100.2 DF`, "TYPE=3")
	f(`[   12.345678] DF A=[1] INCOMPLETE [8 bytes] B=2`, "A=[1]", "B=2", "=DF,INCOMPLETE")
	// never quoted
	f(`A="b C=d" E=f`, `A="b`, `C=d"`, "E=f")
	f("\tSYN \n ACK\r\nFIN ", "=SYN,ACK,FIN")
	f(`SYN`, "=SYN")
	f(`=1 é=2 a:b=3 =`)
}

// What stands in the text as it is meant is not copied.
func TestPairs_InPlace(t *testing.T) {
	f := func(style, text string, pairs int) {
		t.Helper()
		r := Record{Line: []byte(text), Scratch: &Scratch{}}
		mustPairsPlan(t, style, nil, true).scan(&r, Span{0, int32(len(text))})
		if len(r.Pairs) != pairs || len(r.Scratch.bytes) > 0 {
			t.Errorf("%q: %d pairs, scratch %q", text, len(r.Pairs), r.Scratch.bytes)
		}
	}
	f("klog", "a=1 b=\"2 3\" c=`4\\` d={\"e\":\"\\\"\"} f=<\n\tline\n >\n g=<nil>", 6)
	f("words", "IN=eth0 SYN A=1", 3)
	f("colon", `key: "a\"", msg: b\n`, 2)
}

func TestPairs_Colon(t *testing.T) {
	f := testPairs(t, "colon")
	f(``)
	f(`key: Ingress/default/x, msg: some text, with: colons`, "key=Ingress/default/x", "msg=some text, with: colons")
	f(`cluster: c1, ns: default, gsName: app.example.com, msg: "ready, go: on"`, "cluster=c1", "ns=default", "gsName=app.example.com", `msg="ready, go: on"`)
	f(`msg: all, key: x`, "msg=all, key: x")
	f("key: a/b, msg: first\nkey: second", "key=a/b", "msg=first\nkey: second")

	// values
	f(`key: a, b, c, resp: map[a:b c:d, e: f], hmKey: {x, y: z}, n: (1, m: 2), msg: t`, "key=a, b, c", "resp=map[a:b c:d, e: f]", "hmKey={x, y: z}", "n=(1, m: 2)", "msg=t")
	f(`key: "a, ns: \", b: c", ns: d`, `key="a, ns: \", b: c"`, "ns=d")
	f(`time: 10:11:12, url:https://192.0.2.1, ns:x, n: 1`, "time=10:11:12, url:https://192.0.2.1, ns:x", "n=1")
	f(`key: it's, ns: 's`, "key=it's", "ns='s")
	f(`key: a], ns: )b, n: 1`, "key=a]", "ns=)b", "n=1")
	f(`key: a], ns: [x, n: 1], m: 2`, "key=a]", "ns=[x, n: 1]", "m=2")
	f(`key: , ns: b, n: `, "ns=b")
	f(`key: a, ns:`, "key=a")
	f(`key: a, msg:`, "key=a")
	f(`key: a,`, "key=a,")
	f(`key: a, `, "key=a, ")
	// What nothing closes has no meaning, and then brackets have none.
	f(`key: a(b, ns: c, n: [1, m: 2]`, "key=a(b", "ns=c", "n=[1", "m=2]")
	f(`key: 5" disk, ns: c`, `key=5" disk`, "ns=c")
	f(`key: [1, m: 2], ns: (c, n: 1`, "key=[1, m: 2]", "ns=(c", "n=1")

	// no pairs at all
	f(`some text, key: a, msg: b`)
	f(`two words: a, msg: b`)
	f(` key: a`)
	f(`key:a`)
	f(`: a`)
	f(`key`)

	// the last of repeated keys that has a value
	f(`ns: a, key: b, ns: c, ns: `, "ns=c", "key=b")
}

// Named keys are fields, all others pairs, when they are asked for.
func TestPairs_Fields(t *testing.T) {
	f := func(style, text string, others bool, values, pairs []string) {
		t.Helper()
		p := mustPairsPlan(t, style, map[string]int{"a": 2, "q": 0, "": 1}, others)
		gotValues, gotPairs := readBoth(t, text, 4, p.scan)
		if diff := cmp.Diff([][]string{values, pairs}, [][]string{gotValues, gotPairs}); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", style, text, diff)
		}
	}
	f("klog", `a=1 b=2 q="\t"`, true, []string{"\t", "", "1", ""}, []string{"b=2"})
	f("klog", `a=1 b=2 q="\t"`, false, []string{"\t", "", "1", ""}, nil)
	f("klog", `a=1 a=2 a=""`, false, []string{"", "", "2", ""}, nil)
	f("words", `a=1 b=2 q= DF a=3 SYN`, true, []string{"", "DF,SYN", "1", ""}, []string{"b=2"})
	f("words", `a=1 b=2 q= DF`, false, []string{"", "DF", "1", ""}, nil)
	f("colon", `a: 1, b: 2, q: "x"`, true, []string{`"x"`, "", "1", ""}, []string{"b=2"})
	f("colon", `a: 1, b: 2, q: "x"`, false, []string{`"x"`, "", "1", ""}, nil)

	// A value of a field that was there is replaced, but with words.
	for style, want := range map[string]string{"klog": "1", "words": "before"} {
		r := Record{Line: []byte("before a=1"), Spans: []Span{{0, 6}}, Scratch: &Scratch{}}
		mustPairsPlan(t, style, map[string]int{"a": 0}, false).scan(&r, Span{6, 10})
		if got := string(r.Value(0)); got != want {
			t.Errorf("%s: want %q, got %q", style, want, got)
		}
	}
	// Flags that nobody asks for are not copied.
	r := Record{Line: []byte("DF SYN ACK"), Scratch: &Scratch{}}
	mustPairsPlan(t, "words", map[string]int{"A": 0}, false).scan(&r, Span{0, 10})
	if len(r.Pairs) > 0 || len(r.Scratch.bytes) > 0 {
		t.Errorf("pairs %v, scratch %q", r.Pairs, r.Scratch.bytes)
	}
}

// A record gets no more than maxPairs; fields are not counted.
func TestPairs_Bounded(t *testing.T) {
	f := func(style, format, separator string) {
		t.Helper()
		var parts, want []string
		for i := range 3 * maxPairs {
			parts = append(parts, fmt.Sprintf(format, i, i))
			if i < maxPairs {
				want = append(want, fmt.Sprintf("k%d=%d", i, i))
			}
		}
		parts = append(parts, fmt.Sprintf(format, 0, 1000), fmt.Sprintf(format, 999, 999))
		if style != "words" {
			want[0] = "k0=1000"
		}
		p := mustPairsPlan(t, style, map[string]int{"k999": 0}, true)
		values, pairs := readBoth(t, strings.Join(parts, separator), 1, p.scan)
		if diff := cmp.Diff([][]string{{"999"}, want}, [][]string{values, pairs}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", style, diff)
		}
	}
	f("klog", "k%d=%d", " ")
	f("words", "k%d=%d", " ")
	f("colon", "k%d: %d", ", ")
}

// printKlog writes a pair as klog's rules have it: strings and errors quoted,
// or as a block when they hold a line end; all else as JSON, or as %+v.
func printKlog(b *strings.Builder, key string, value any) {
	b.WriteByte(' ')
	b.WriteString(key)
	b.WriteByte('=')
	switch value := value.(type) {
	case string:
		if !strings.Contains(value, "\n") {
			b.WriteString(strconv.Quote(value))
			return
		}
		b.WriteString("<\n")
		for line := range strings.Lines(value) {
			b.WriteString("\t" + line)
		}
		if !strings.HasSuffix(value, "\n") {
			b.WriteByte('\n')
		}
		b.WriteString(" >")
	case []byte:
		fmt.Fprintf(b, "%+q", value)
	case goDump:
		fmt.Fprintf(b, "%+v", value)
	default:
		encoded, _ := json.Marshal(value) // what is drawn can be encoded
		b.Write(encoded)
	}
}

type goDump struct {
	Name  string
	Inner *int
	List  []string
	Map   map[string]int
}

func randomKlogValue() *rapid.Generator[any] {
	word := rapid.StringMatching(`[a-z0-9:./"'\\-]{1,8}`)
	return rapid.OneOf(
		rapid.String().AsAny(),
		rapid.StringOf(rapid.RuneFrom([]rune("a\"\\\n\t\r= <>{`é"))).AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Int().AsAny(),
		rapid.Bool().AsAny(),
		rapid.Float64Range(-1e9, 1e9).AsAny(),
		rapid.MapOfN(rapid.StringOf(rapid.RuneFrom([]rune(`a"\{}[] =`))), rapid.SliceOf(rapid.String()), 1, 3).AsAny(),
		rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune(`a"\{}[] =`))), 1, 3).AsAny(),
		rapid.Custom(func(t *rapid.T) goDump {
			return goDump{
				Name: word.Draw(t, "name"),
				List: rapid.SliceOf(word).Draw(t, "list"),
				Map:  rapid.MapOf(word, rapid.Int()).Draw(t, "map"),
			}
		}).AsAny(),
	)
}

func TestPairs_KlogRandom(t *testing.T) {
	key := rapid.StringMatching(`[A-Za-z0-9_./-]{1,6}`)
	p := mustPairsPlan(t, "klog", nil, true)
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []string
		keys := rapid.SliceOfNDistinct(key, 0, 8, rapid.ID).Draw(t, "keys")
		for _, key := range keys {
			value := randomKlogValue().Draw(t, "value")
			start := text.Len()
			printKlog(&text, key, value)
			var shown string
			switch value := value.(type) {
			case string:
				shown = value
				if strings.Contains(value, "\n") {
					shown = strings.TrimSuffix(value, "\n")
				}
			case []byte:
				shown = string(value)
			default:
				shown = text.String()[start+len(key)+2:]
			}
			if shown != "" {
				want = append(want, key+"="+shown)
			}
		}
		_, got := readBoth(t, text.String(), 0, p.scan)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text.String(), diff)
		}
	})
}

// What strconv takes for a quoted string is read as it reads it.
func TestPairs_KlogLikeUnquote(t *testing.T) {
	p := mustPairsPlan(t, "klog", nil, true)
	piece := rapid.SampledFrom([]string{`\`, `\\`, `\"`, `\n`, `\x`, `\x4`, `\x41`, `\xff`, `\u00e9`, `\U0001F600`, `\101`, `\777`, `'`, `\'`, "a", "é", " ", "8", "f", "\r", "`"})
	unquoted := 0
	rapid.Check(t, func(t *rapid.T) {
		quote := rapid.SampledFrom([]string{`"`, "`"}).Draw(t, "quote")
		text := quote + strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), "") + quote
		want, err := strconv.Unquote(text)
		if err != nil || want == "" {
			return
		}
		unquoted++
		_, got := readBoth(t, "k="+text, 0, p.scan)
		if diff := cmp.Diff([]string{"k=" + want}, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text, diff)
		}
	})
	if unquoted < 10 {
		t.Errorf("%d texts were compared", unquoted)
	}
}

func TestPairs_WordsRandom(t *testing.T) {
	p := mustPairsPlan(t, "words", nil, true)
	rapid.Check(t, func(t *rapid.T) {
		var words, want, flags []string
		for _, key := range rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Z]{1,6}`), 0, 12, rapid.ID).Draw(t, "keys") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				words = append(words, key)
				flags = append(flags, key)
			case 1:
				words = append(words, "[SRC=x", key+"=y", "DF", "]")
			default:
				value := rapid.StringMatching(`[a-z0-9:."=]{0,8}`).Draw(t, "value")
				words = append(words, key+"="+value)
				if value != "" {
					want = append(want, key+"="+value)
					words = append(words, key+"=again")
				}
			}
		}
		if flags != nil {
			want = append(want, "="+strings.Join(flags, ","))
		}
		text := strings.Join(words, " ")
		_, got := readBoth(t, text, 0, p.scan)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text, diff)
		}
	})
}

func TestPairs_ColonRandom(t *testing.T) {
	p := mustPairsPlan(t, "colon", nil, true)
	var value *rapid.Generator[string]
	value = rapid.Deferred(func() *rapid.Generator[string] {
		return rapid.OneOf(
			rapid.StringMatching(`[a-z0-9:./', -]{0,8}`).Filter(func(s string) bool { return !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") }),
			rapid.Custom(func(t *rapid.T) string {
				brackets := rapid.SampledFrom([]string{"[]", "{}", "()"}).Draw(t, "brackets")
				return brackets[:1] + value.Draw(t, "first") + ", n: " + value.Draw(t, "second") + brackets[1:]
			}),
			rapid.Map(rapid.String(), strconv.Quote),
		)
	})
	rapid.Check(t, func(t *rapid.T) {
		var parts, want []string
		for _, key := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][A-Za-z0-9]{0,6}`), 0, 8, rapid.ID).Draw(t, "keys") {
			if key == "msg" {
				continue
			}
			value := value.Draw(t, "value")
			parts = append(parts, key+": "+value)
			if value != "" {
				want = append(want, key+"="+value)
			}
		}
		if message := rapid.String().Draw(t, "message"); message != "" {
			parts = append(parts, "msg: "+message)
			want = append(want, "msg="+message)
		}
		text := strings.Join(parts, ", ")
		_, got := readBoth(t, text, 0, p.scan)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text, diff)
		}
	})
}

func FuzzPairs(f *testing.F) {
	for _, text := range []string{
		klogLine, kernelLine, colonLine,
		"a=\"\\x41\\u00e9\\\" b=`\r`", "a=<\n\tb\n\t\n >\nc=&{D:{}} e=map[f:[g]] h=[\"]\"]",
		`A [B [C ] D=1 ] E=2 F`, `key: a(b, ns: "c, n: d", msg: e`,
	} {
		f.Add(text)
	}
	var plans []*pairsPlan
	for _, style := range []string{"klog", "words", "colon"} {
		plans = append(plans, mustPairsPlan(f, style, map[string]int{"a": 0, "": 1, "msg": 1}, true))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range plans {
			if _, pairs := readBoth(t, text, 2, p.scan); len(pairs) > maxPairs {
				t.Fatalf("%q: %d pairs", text, len(pairs))
			}
		}
	})
}

const (
	klogLine   = ` pod="shop/web-0" interface="web-0-3f1a2b" ofPort=17 addresses=["192.0.2.10","2001:db8::10"] err="rule \"drop-ext\" not found"`
	kernelLine = `IN=cali0a1b2c3d4e5 OUT=eth0 MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC=192.0.2.10 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=4711 DF PROTO=TCP SPT=40001 DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0`
	colonLine  = `cluster: c1, ns: default, gsName: app.example.com, labels: map[app:web, tier: front], msg: members are up, weights: 10 and 20`
)

// benchReader reads a text again and again. It needs so many fields.
func benchReader(b *testing.B, text string, fields int, scan func(r *Record, s Span)) {
	r := Record{Line: []byte(text), Spans: make([]Span, fields), Scratch: &Scratch{}}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		again(&r, scan)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(text)), "ns/byte")
}

func again(r *Record, scan func(r *Record, s Span)) {
	clear(r.Spans)
	r.Pairs = r.Pairs[:0]
	r.Scratch.Reset()
	scan(r, Span{0, int32(len(r.Line))})
}

// holdNoAllocs holds that a text is read without allocations, once the record
// has grown.
func holdNoAllocs(t *testing.T, text string, fields int, scan func(r *Record, s Span)) {
	t.Helper()
	r := Record{Line: []byte(text), Spans: make([]Span, fields), Scratch: &Scratch{}}
	if n := testing.AllocsPerRun(100, func() { again(&r, scan) }); n > 0 {
		t.Errorf("%.40q: %v allocations", text, n)
	}
	found := len(r.Pairs)
	for _, span := range r.Spans {
		if span.Start != span.End {
			found++
		}
	}
	if found == 0 {
		t.Errorf("%.40q: nothing was read", text)
	}
}

func TestPairs_Allocs(t *testing.T) {
	f := func(style, field, text string) {
		t.Helper()
		holdNoAllocs(t, text, 1, mustPairsPlan(t, style, map[string]int{field: 0}, true).scan)
		holdNoAllocs(t, text, 1, mustPairsPlan(t, style, map[string]int{field: 0}, false).scan)
	}
	f("klog", "err", klogLine)
	f("klog", "q", `q="\x41\u00e9\U0001f600\101 \q" r="\\"`)
	f("klog", "q", "q=`\r\na` r=<\n\ta\n\tb\n >\n")
	f("words", "", kernelLine)
	f("colon", "msg", colonLine)
}

func BenchmarkPairs(b *testing.B) {
	f := func(name, style, text string, fields map[string]int, others bool) {
		b.Run(name, func(b *testing.B) {
			benchReader(b, text, len(fields), mustPairsPlan(b, style, fields, others).scan)
		})
	}
	f("klog/fields", "klog", klogLine, map[string]int{"pod": 0, "err": 1}, false)
	f("klog/pairs", "klog", klogLine, nil, true)
	words := map[string]int{"IN": 0, "OUT": 1, "SRC": 2, "DST": 3, "PROTO": 4, "SPT": 5, "DPT": 6, "": 7}
	f("words/fields", "words", kernelLine, words, false)
	f("words/pairs", "words", kernelLine, nil, true)
	f("colon/fields", "colon", colonLine, map[string]int{"ns": 0, "gsName": 1, "msg": 2}, false)
	f("colon/pairs", "colon", colonLine, nil, true)
}

// benchWorst reads texts of a part repeated, of 64 KiB and of 1 MiB: time is
// linear when both take as long for a byte.
func benchWorst(b *testing.B, name, start, part string, fields int, scan func(r *Record, s Span)) {
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
			benchReader(b, start+strings.Repeat(part, size/len(part)), fields, scan)
		})
	}
}

func BenchmarkPairs_Worst(b *testing.B) {
	f := func(style, start, part string) {
		p := mustPairsPlan(b, style, nil, true)
		benchWorst(b, fmt.Sprintf("%s/%.10q+%.10q", style, start, part), start, part, 0, p.scan)
	}
	for _, part := range []string{
		`"`, `a="`, `a="\`, `a=" `, `\`, `a`, `a=`, "a=<", "a=<\n", "a=<\n\t", "a=`", "a=`\r",
		`&{`, `a=&{`, `a={"`, `[`, `a=[`, `a=[] `, `a=["] `, `a=( `, `map[`, `a=map[`, `<`, ` `,
	} {
		f("klog", "", part)
	}
	f("klog", `a="`, `\`)
	f("klog", `a="`, `\\"`)
	f("klog", `a="`, `\q`)
	f("klog", "a=<\n", "\t\n")
	for _, part := range []string{`[`, `[] `, `A=[`, `A `, `A`, `=`, `["`, `["] `} {
		f("words", "", part)
	}
	for _, part := range []string{`"`, `[`, `a: [`, `a: [, `, `a: ", `, `a: "", `, `, `, `,`, `, a`, `a: , `, `\`} {
		f("colon", "k: ", part)
	}
	// 32 long keys that all others are compared with
	var keys strings.Builder
	for i := range maxPairs {
		fmt.Fprintf(&keys, "%s%02d=1 ", strings.Repeat("k", 100), i)
	}
	f("klog", keys.String(), strings.Repeat("k", 100)+"xx=1 ")
}
