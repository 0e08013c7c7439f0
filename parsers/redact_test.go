package parsers

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func testSecrets() *secrets {
	return newSecrets([]string{"Cookie", "set-cookie", "authorization", "x-csrf-token", "saml_session"}, []string{"token", "Access_Token", "sid"})
}

func TestWalk_Redacts(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got := walk(t, []string{"uri", "cookie", "after", "a[]"}, testSecrets(), text)
		if got.err != nil {
			t.Errorf("%s: %v", text, got.err)
		} else if got.line != want {
			t.Errorf("%s became\n%s, want\n%s", text, got.line, want)
		}
		again := walk(t, []string{"uri", "cookie", "after", "a[]"}, testSecrets(), want)
		for path, value := range got.values {
			if again.values[path] != value {
				t.Errorf("%s: %s is %q, but %q when read again", text, path, value, again.values[path])
			}
		}
		if again.line != want || len(again.values) != len(got.values) {
			t.Errorf("%s became %s", want, again.line)
		}
	}
	same := func(text string) {
		t.Helper()
		f(text, text)
	}
	// Members.
	f(`{"h":{"Cookie":"session=0123456789"},"after":1}`, `{"h":{"Cookie":"[redacted]"},"after":1}`)
	f(`{"COOKIE" : "0123456789" , "after":"x"}`, `{"COOKIE" : "[redacted]" , "after":"x"}`)
	f(`{"cookie":"abc","c\u006Fokie":"0123456789\"\n"}`, `{"cookie":"***","c\u006Fokie":"[redacted]"}`)
	f(`{"cookie":12345678901234567890,"after":1}`, `{"cookie":"[redacted]","after":1}`)
	f(`{"cookie":12345,"after":1}`, `{"cookie":"***","after":1}`)
	f(`{"cookie":-1,"after":1}`, `{"cookie":"","after":1}`)
	f(`{"cookie":7,"after":1}`, `{"cookie":0,"after":1}`)
	f(`{"cookie":{"a":"b?token=c","uri":["d"]},"after":1}`, `{"cookie":"[redacted]","after":1}`)
	f(`{"cookie":["a"],"a":["b","c"]}`, `{"cookie":"***","a":["b","c"]}`)
	same(`{"cookie":"","a":[{"cookie":null},{"cookie":true},{"cookie":false}],"cookies":"x","ookie":"x","cookie ":"x"}`)
	f(`"cookie":"0123456789abc","after":1`, `"cookie":"[redacted]","after":1`)
	// Parameters.
	f(`{"uri":"/a?b=c&token=0123456789abc&d=e#f","after":1}`, `{"uri":"/a?b=c&token=[redacted]&d=e#f","after":1}`)
	f(`{"uri":"token=0123456789abc;sid=xyz; ACCESS_token=123 x","after":1}`, `{"uri":"token=[redacted];sid=***; ACCESS_token=*** x","after":1}`)
	f(`{"uri":"/\u003ftoken\u003d0123456789abc\u0026t\u006Fken=\u0026b=\"c\""}`, `{"uri":"/\u003ftoken\u003d[redacted]\u0026t\u006Fken=\u0026b=\"c\""}`)
	f(`{"uri":"/#token=%20abc%26\tx","a":["?sid=a","?sid=,"]}`, `{"uri":"/#token=*********\tx","a":["?sid=*","?sid=*"]}`)
	same(`{"uri":"/?xtoken=a&token2=b&token&=&x=token&to-token=c","after":"a token=b"}`)
	// Headers.
	f(`{"a":["Cookie: a=b; c=d; e=f\r\nHost: x\r\nset-cookie :x\r\n\r\n"]}`, `{"a":["Cookie: [redacted]\r\nHost: x\r\nset-cookie :*\r\n\r\n"]}`)
	f(`{"a":["Host: x\nAuthorization: Bearer 0123","Host: x\\r\\ncookie: 0123456789"]}`, `{"a":["Host: x\nAuthorization: [redacted]","Host: x\\r\\ncookie: [redacted]"]}`)
	f(`{"a":["GET /?token=a HTTP/1.1\u000d\u000aCookie:a?token=b\u000aX: y"]}`, `{"a":["GET /?token=* HTTP/1.1\u000d\u000aCookie:*********\u000aX: y"]}`)
	same(`{"a":["Host: Cookie: x","Cookie","Cookie:","Cookie: \r\nHost: y","not a Cookie: x"]}`)
	// Pairs, in either order.
	f(`{"m":[{"match_element":"REQUEST_COOKIES:id","match_value":"0123456789abc","after":1}],"after":2}`,
		`{"m":[{"match_element":"REQUEST_COOKIES:id","match_value":"[redacted]","after":1}],"after":2}`)
	f(`{"m":[{"match_value":"0123456789abc?token=x","uri":"?token=y","match_element":"REQUEST_HEADERS:Authorization"}],"after":2,"uri":"x"}`,
		`{"m":[{"match_value":"[redacted]","uri":"?token=*","match_element":"REQUEST_HEADERS:Authorization"}],"after":2,"uri":"x"}`)
	f(`{"match_value":{"match_value":"x","match_element":"ARGS:to\u006ben"},"after":"y","match_element":"ARGS:page"}`,
		`{"match_value":{"match_value":"*","match_element":"ARGS:to\u006ben"},"after":"y","match_element":"ARGS:page"}`)
	f(`{"match_value":{"match_value":"x","match_element":"ARGS:page","cookie":"z"},"after":"y","match_element":"ARGS:TOKEN"}`,
		`{"match_value":"[redacted]","after":"y","match_element":"ARGS:TOKEN"}`)
	f(`{"headers":[{"key":"Cookie","value":"0123456789abc"},{"key":"Host","value":"?sid=x"}]}`,
		`{"headers":[{"key":"Cookie","value":"[redacted]"},{"key":"Host","value":"?sid=*"}]}`)
	same(`{"match_element":"REQUEST_HEADERS:Host","match_value":"x","m":[{"match_element":"ARGS:token"},{"match_value":"x"}]}`)
	f(`"match_value":"x","after":1`, `"match_value":"*","after":1`) // the element may have been cut off
	same(`"match_value":"x","match_element":"ARGS"`)
}

func TestScrub(t *testing.T) {
	h := newScrubber(testSecrets())
	f := func(text, want string) {
		t.Helper()
		memory := []byte(text + "\nthe next line")
		got := string(h.scrub(memory[:len(text)]))
		if got != want {
			t.Errorf("%s became\n%s, want\n%s", text, got, want)
		}
		if !strings.HasSuffix(string(memory), "\nthe next line") {
			t.Errorf("%s: the next line became %s", text, memory)
		}
		if again := string(h.scrub([]byte(want))); again != want {
			t.Errorf("%s became %s", want, again)
		}
	}
	same := func(text string) {
		t.Helper()
		f(text, text)
	}
	// Members, cut.
	f(`{"h":{"Cookie":"session=0123456789`, `{"h":{"Cookie":"[redacted]`)
	f(`{"cookie" : "a\"b0123456789","x":"y`, `{"cookie" : "[redacted]","x":"y`)
	f(`{"c\u006Fokie":"0123456789\`, `{"c\u006Fokie":"[redacted]`)
	f(`{"cookie":1234567890123,"x":1`, `{"cookie":"[redacted]","x":1`)
	f(`{"cookie":123`, `{"cookie":***`)
	f(`{"cookie":{"a":"}]\"","b":[1,2]},"x":1`, `{"cookie":"[redacted]","x":1`)
	f(`{"cookie":{"a":"}]\"","b":[1,2],"x":1`, `{"cookie":"[redacted]"`)
	f(`{"match_value":"0123456789","x":"y`, `{"match_value":"[redacted]","x":"y`)
	same(`{"cookie":null,"authorization":true,"cookie":"","x":"y`)
	same(`{"cookie":`)
	same(`{"cookie`)
	// Escaped, doubled, in single quotes.
	f(`{"log":"{\"cookie\":\"a\\\"b0123456789\",\"x\":\"y\"}`, `{"log":"{\"cookie\":\"[redacted]\",\"x\":\"y\"}`)
	f(`{"log":"{\"cookie\":\n [\"a]\",\"b\"],\"x\":\"y\"}`, `{"log":"{\"cookie\":\n "[redacted]",\"x\":\"y\"}`)
	f(`{\"cookie\":{\"a\":\"b","z":"`, `{\"cookie\":**********","z":"`)
	f(`'{"a":"Cookie: x=0123456789","b":\'cookie\':{`, `'{"a":"Cookie: [redacted]","b":\'cookie\':*`)
	f(`"{""Cookie"": ""0123456789"", ""x"": ""y""}"`, `"{""Cookie"": ""[redacted]"", ""x"": ""y""}"`)
	f(`"{""Cookie"": ""a\""b0123456789"", ""x"": ""y""},`, `"{""Cookie"": ""[redacted]"", ""x"": ""y""},`)
	f(`"{""Cookie"": {""a\""}b"": ""c\""}0123456789""}, ""x"": ""y""},`, `"{""Cookie"": "[redacted]", ""x"": ""y""},`)
	f(`"token=""a b0123456789"" c",d`, `"token=[redacted] c",d`)
	f(`"{""uri"": ""?token="", ""x"": ""y""},`, `"{""uri"": ""?token="", ""x"": ""y""},`)
	f(`{'Cookie': '0123456789"', 'x': "y"}`, `{'Cookie': '[redacted]', 'x': "y"}`)
	f(`{'Cookie': ['}', "]'", 'c'], 'x': "y"}`, `{'Cookie': "[redacted]", 'x': "y"}`)
	// Headers.
	f("Host: x\nCookie: a=b; c=\"d\"\nAccept: y", "Host: x\nCookie: [redacted]\nAccept: y")
	f(`Host: x\r\nCookie: a=b; c=\"d\"\r\nAccept: y`, `Host: x\r\nCookie: [redacted]\r\nAccept: y`)
	f(`Host: x\\r\\nCookie: a=b; c=\"d\"\\r\\nAccept: y`, `Host: x\\r\\nCookie: [redacted]\\r\\nAccept: y`)
	f(`Authorization: Digest username="A\name", response="0"`, `Authorization: [redacted]`)
	f(`map[Cookie:[a=b c=d] Host:[x]]`, `map[Cookie:[redacted]`)
	f("a\tcurl -H 'Cookie: a=b01234567'", "a\tcurl -H 'Cookie: [redacted]")
	f(`Cookie:{"id":"0123456789"} x`, `Cookie:[redacted]`)
	f(`sid={"id":"0123456789"} x`, `sid=[redacted] x`)
	f("Cookie: a, \"b\": 1, \"cookie\":\n 0123456789012, \"x\": 2\n\"y\"", "Cookie: [redacted]\n\"y\"")
	f("Cookie: a \"cookie\": {\"b\":\n\"c\"}\nHost: token=cookie: d e\nx", "Cookie: [redacted]\nHost: token=[redacted]\nx")
	f("Cookie: token=\"a\nb\" c\nHost: x", "Cookie: [redacted]\nHost: x")
	f(`May 26 17:40:01 host shop[0]: {"a":"Cookie: 0123456789","b":"x: y"},"cookie":1`, `May 26 17:40:01 host shop[0]: {"a":"Cookie: [redacted]","b":"x: y"},"cookie":*`)
	same("xCookie: a")
	// Parameters.
	f(`GET /?token=0123456789&x=1 HTTP/1.1`, `GET /?token=[redacted]&x=1 HTTP/1.1`)
	f(`{"uri":"/\u003fa\u0026token\u003d0123456789\u0026x=1","y":"`, `{"uri":"/\u003fa\u0026token\u003d[redacted]\u0026x=1","y":"`)
	f(`{"uri":"/?token=0123456789","x":"?token=","y":"`, `{"uri":"/?token=[redacted]","x":"?token=","y":"`)
	f(`level=info token="a b c d e f" x=1`, `level=info token=[redacted] x=1`)
	f(`{"msg":"token=\"a b c d e f\" x`, `{"msg":"token=[redacted] x`)
	same(`my-token=a; token; x=token&tokens=b`)

	if got := string(newScrubber(nil).scrub([]byte("Cookie: a"))); got != "Cookie: a" {
		t.Errorf("nil hides: %s", got)
	}
	line := []byte(`2026-05-26 192.0.2.1 GET /?a=b HTTP/1.1 Cookie: 0123456789`)
	if n := testing.AllocsPerRun(10, func() { h.scrub(line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// marker begins the secrets of a text that is drawn.
const marker = "MARK"

// twin is a text with secrets, and what it should become.
type twin struct{ secret, hidden strings.Builder }

func (w *twin) both(text string) {
	w.secret.WriteString(text)
	w.hidden.WriteString(text)
}

func (w *twin) instead(secret, hidden string) {
	w.secret.WriteString(secret)
	w.hidden.WriteString(hidden)
}

// drawTwin draws an object as AVI writes them, with secrets anywhere.
type drawTwin struct {
	*rapid.T
	twin
}

func (d *drawTwin) pick(from ...string) string { return rapid.SampledFrom(from).Draw(d.T, "pick") }

func (d *drawTwin) many(from ...string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(from), 0, 4).Draw(d.T, "many"), "")
}

func (d *drawTwin) blank() string { return d.pick("", "", "", " ", "\n\t") }

// harmless is content of strings that is no secret.
func (d *drawTwin) harmless() string {
	return d.many("a", "shop.example", "/x", "?page=1&", "é", `\"`, `\\`, `\n`, `\/`, "'", "{", "]", "}", ",", ":", "; ", "192.0.2.1:80", `\u0026`, `\u00e9`, "W/")
}

// marked is what must not be seen, at least so long that it is replaced by the
// word.
func (d *drawTwin) marked() string {
	return marker + "0123456789" + d.many("a", "'", "{", "]", "}", ",", ":", "/", "%20", "=", "é")
}

func (d *drawTwin) object(depth int) {
	d.both("{")
	for i := range rapid.IntRange(0, 5).Draw(d.T, "members") {
		if i > 0 {
			d.both(",")
		}
		d.both(d.blank())
		d.member(depth)
		d.both(d.blank())
	}
	d.both("}")
}

func (d *drawTwin) colon() { d.both(d.blank() + ":" + d.blank()) }

func (d *drawTwin) member(depth int) {
	switch d.pick("plain", "plain", "secret", "waf") {
	case "plain":
		d.both(`"` + d.pick("method", "waf_log", "uri_query", "Host", "a", "b", "cookies", `q\"r`, `\u0061`) + `"`)
		d.colon()
		d.value(depth)
	case "secret":
		d.both(`"` + d.pick("cookie", "Cookie", "SET-COOKIE", "Authorization", `coo\u006bie`) + `"`)
		d.colon()
		switch d.pick("string", "number", "object", "array", "empty") {
		case "string":
			d.instead(`"`+d.harmless()+d.marked()+d.harmless()+`"`, `"[redacted]"`)
		case "number":
			d.instead("733173317331", `"[redacted]"`)
		case "object":
			d.instead(`{"`+d.harmless()+`":["`+d.harmless()+d.marked()+`"],"token":"`+d.marked()+`"}`, `"[redacted]"`)
		case "array":
			d.instead(`["`+d.harmless()+`",{"a":"`+d.marked()+`"},["`+d.marked()+`"]]`, `"[redacted]"`)
		case "empty":
			d.both(d.pick(`""`, "null", "true"))
		}
	case "waf":
		hidden := rapid.Bool().Draw(d.T, "hidden")
		element, value := twin{}, twin{}
		if element.both(`"match_element":"` + d.pick("ARGS:page", "REQUEST_HEADERS:Host", "REQUEST_URI") + `"`); hidden {
			element = twin{}
			element.both(`"match_element" : "` + d.pick("ARGS:token", "REQUEST_COOKIES:a", "RESPONSE_COOKIES", `REQUEST_HEADERS:\u0041uthorization`) + `"`)
		}
		if value.both(`"match_value":"harmless ` + d.harmless() + `"`); hidden {
			value = twin{}
			value.both(`"match_value": `)
			value.instead(`"`+d.harmless()+d.marked()+d.harmless()+`"`, `"[redacted]"`)
		}
		first, second := &element, &value
		if rapid.Bool().Draw(d.T, "order") {
			first, second = second, first
		}
		d.both(`"match":{`)
		d.instead(first.secret.String(), first.hidden.String())
		d.both(`,"between":`)
		d.value(depth)
		d.both(",")
		d.instead(second.secret.String(), second.hidden.String())
		d.both("}")
	}
}

func (d *drawTwin) value(depth int) {
	kinds := []string{"string", "parameters", "headers", "number"}
	if depth < 4 {
		kinds = append(kinds, "object", "object", "array")
	}
	switch d.pick(kinds...) {
	case "string":
		d.both(`"` + d.harmless() + `"`)
	case "number":
		d.both(d.pick("0", "-12.5", "true", "null", `""`))
	case "object":
		d.object(depth + 1)
	case "array":
		d.both("[")
		d.value(depth + 1)
		d.both(" , ")
		d.value(depth + 1)
		d.both("]")
	case "parameters":
		d.both(`"`)
		if rapid.Bool().Draw(d.T, "behind") {
			d.both(d.harmless() + d.pick("?", "&", ";", "; ", "#", `\u0026`, `\u003F`, `\r\n`, `\\n`))
		}
		for range rapid.IntRange(1, 3).Draw(d.T, "parameters") {
			d.both(d.pick("token", "SID", "access_token", `to\u006ben`) + d.pick("=", `\u003d`))
			d.instead(d.marked()+d.pick("", `\"`, `\\`, `\u00e9`), "[redacted]")
			d.both(d.pick("&", "#", ";", `\u0026`, `\n`, "&page=1&"))
		}
		d.both(d.harmless() + `"`)
	case "headers":
		d.both(`"`)
		if rapid.Bool().Draw(d.T, "behind") {
			d.both(d.harmless() + d.pick(`\r\n`, `\n`, `\u000A`))
		}
		d.both(d.pick("Cookie", "authorization", "set-\u0063ookie") + d.pick(":", ": ", " :", `\u003a`))
		d.instead(d.marked()+d.pick("", `\"x\", y`, "; b=c", "?token=a"), "[redacted]")
		d.both(d.pick("", `\r\n`+d.harmless(), `\u000d\u000a`) + `"`)
	}
}

// What is redacted is all that is secret, and nothing else; and wherever the
// text is cut, nothing of a secret is left.
func TestRedact_Secrets(t *testing.T) {
	h := testSecrets()
	plan, err := newJSONPlan(nil, h)
	if err != nil {
		t.Fatal(err)
	}
	w := plan.newWalker()
	rapid.Check(t, func(t *rapid.T) {
		d := &drawTwin{T: t}
		d.object(0)
		text, want := d.secret.String(), d.hidden.String()
		got := walk(t, nil, h, text)
		if got.err != nil || got.line != want {
			t.Fatalf("%s became\n%s, want\n%s; %v", text, got.line, want, got.err)
		}
		bare := text[1 : len(text)-1]
		for _, text := range []string{text, bare, "<134>1 2026-05-26T17:40:01Z se-1 shop[0]: " + text} {
			for i := range len(text) {
				cut := redactAny(w, h, text[:i])
				if strings.Contains(cut, marker) || strings.Contains(cut, "7331") {
					t.Fatalf("%s became\n%s", text[:i], cut)
				}
			}
		}
	})
}

// No secret is left in a line nor in a field of it, be the line parsed, cut or
// such that it does not parse; what is parsed has all else as it was.
func TestRedact_Parse(t *testing.T) {
	set, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	parser := NewParser(set["avi-waf"], set["avi-application"])
	shows := func(r *Record) bool {
		shown := func(text []byte) bool {
			return bytes.Contains(text, []byte(marker)) || bytes.Contains(text, []byte("7331"))
		}
		for i := range r.Spans {
			if shown(r.Value(i)) {
				return true
			}
		}
		return shown(r.Line)
	}
	parsed, failed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := &drawTwin{T: t}
		d.object(0)
		text, want := d.secret.String(), d.hidden.String()
		members := `{"http_version":"1.1"`
		if len(strings.Trim(text, "{} \n\t")) > 0 {
			members += ","
		}
		head := d.pick("", "May 26 17:40:01 AVI shop[0]: ", "<134>1 2026-05-26T17:40:01Z se-1 shop 7 8 - ") + members
		r := Record{Line: []byte(head + text[1:])}
		if err := parser.Parse(&r); err == nil {
			parsed++
			if got := string(r.Line); got != head+want[1:] {
				t.Fatalf("%s became\n%s, want\n%s", text, got, head+want[1:])
			}
		}
		if shows(&r) {
			t.Fatalf("%s shows a secret: %s", text, r.Line)
		}
		line := head + text[1:]
		for _, bad := range []string{"no head: " + line, line + "x", line + line, line[:rapid.IntRange(0, len(line)).Draw(t, "cut")]} {
			r := Record{Line: []byte(bad)}
			if parser.Parse(&r) != nil {
				failed++
			}
			if shows(&r) {
				t.Fatalf("%s shows a secret: %s", bad, r.Line)
			}
		}
	})
	if parsed == 0 || failed == 0 {
		t.Errorf("%d lines were parsed, %d were not", parsed, failed)
	}
}

// What no definition parses shows nothing that any of them hides.
func TestRedact_Several(t *testing.T) {
	definition := func(redact string) *Definition {
		d, faults := ParseDefinition("", []byte("name: x\nlayouts: [{name: l, regex: '^(?P<all>never)$'}]\n"+redact))
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		return d
	}
	f := func(line, want string, redact ...string) {
		t.Helper()
		var all []*Definition
		for _, r := range redact {
			all = append(all, definition(r))
		}
		r := Record{Line: []byte(line)}
		if err := NewParser(all...).Parse(&r); err == nil || string(r.Line) != want {
			t.Errorf("%v: %s became %s (%v), want %s", redact, line, r.Line, err, want)
		}
	}
	const line = `{"cookie":"0123456789","value":"0123456789","uri":"/?token=0123456789&b=1"}`
	const cookie, value, token = "redact: {keys: [cookie]}", "redact: {keys: [value]}", "redact: {parameters: [token]}"
	f(line, line, "", "")
	f(line, `{"cookie":"[redacted]","value":"0123456789","uri":"/?token=0123456789&b=1"}`, "", cookie)
	// A name that one definition hides is half of a pair to another.
	f(line, `{"cookie":"[redacted]","value":"[redacted]","uri":"/?token=[redacted]&b=1"}`, cookie, token, value)
	f(line, `{"cookie":"[redacted]","value":"[redacted]","uri":"/?token=[redacted]&b=1"}`, value, token, cookie, "")
}

// redactAny redacts a text that may be JSON.
func redactAny(w *jsonWalker, h *secrets, text string) string {
	r := Record{Line: []byte(text), Scratch: &Scratch{}}
	if _, err := w.walk(&r, Span{0, int32(len(text))}); err != nil {
		r.Line = newScrubber(h).scrub(r.Line)
	}
	return string(r.Line)
}

func FuzzRedact(f *testing.F) {
	for _, text := range []string{
		`{"cookie":12345,"a":"?token=x&sid=\u0026"}`, `"match_value":"x","m":{"match_element":"_COOKIES"}`,
		"Host: x\r\nCookie: a=\"b\"\r\n", `"{""Cookie"": ""0123456789"", ""x"": ""y""}"`, `{'Cookie': ['}', "]'"]`, `{"log":"{\"cookie\":{\"a\":\"b`,
		`token="a b" sid=\"c\\\"d\"`, `{"cookie":{"a":"\u00`,
	} {
		f.Add(text)
	}
	h := testSecrets()
	plan, err := newJSONPlan(nil, h)
	if err != nil {
		f.Fatal(err)
	}
	w := plan.newWalker()
	f.Fuzz(func(t *testing.T, text string) {
		once := redactAny(w, h, text)
		if len(once) > len(text) {
			t.Fatalf("%q grew to %q", text, once)
		}
		if again := redactAny(plan.newWalker(), h, text); again != once {
			t.Fatalf("%q became %q, and the next time %q", text, once, again)
		}
		if twice := redactAny(w, h, once); twice != once {
			t.Fatalf("%q became %q, and that %q", text, once, twice)
		}
		if strings.HasPrefix(text, "{") && json.Valid([]byte(text)) && !json.Valid([]byte(once)) {
			t.Fatalf("%q became %q", text, once)
		}
		scrubbed := string(newScrubber(h).scrub([]byte(text)))
		if again := string(newScrubber(h).scrub([]byte(scrubbed))); again != scrubbed {
			t.Fatalf("%q was scrubbed to %q, and that to %q", text, scrubbed, again)
		}
	})
}

// The time for a line must grow with its length only, whatever it holds.
func BenchmarkScrub(b *testing.B) {
	h := newScrubber(testSecrets())
	cut := l7Line()[:3000]
	line := make([]byte, 0, len(cut))
	b.SetBytes(int64(len(cut)))
	b.ReportAllocs()
	for b.Loop() {
		h.scrub(append(line, cut...))
	}
}
