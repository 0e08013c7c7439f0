package simulation

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// What the firewall decides; empty where it did not look.
const (
	passed   = "PASSED"
	flagged  = "FLAGGED"
	rejected = "REJECTED"
	allowed  = "ALLOWLISTED"
	bypassed = "BYPASSED"
)

// verdict of the firewall on a request.
type verdict struct {
	status  string
	element string // that matched
	value   []byte
	rules   []rule
}

// rule of the firewall.
type rule struct {
	group   string
	id      int
	name    string
	message string
	phase   string
	tags    []string
}

const (
	headerPhase = "PHASE_REQUEST_HEADER"
	bodyPhase   = "PHASE_REQUEST_BODY"
)

var (
	sqlInjection = rule{"CRS_942_Application_Attack_SQLi", 942100, "SQL injection by tokens", "Argument reads as SQL", bodyPhase, []string{"attack-sqli", "OWASP_CRS", "language-multi", "platform-multi"}}
	sqlTautology = rule{"CRS_942_Application_Attack_SQLi", 942130, "SQL tautology", "Argument has a tautology of SQL", bodyPhase, []string{"attack-sqli", "OWASP_CRS"}}
	scripting    = rule{"CRS_941_Application_Attack_XSS", 941110, "Script tag", "Argument has a script", bodyPhase, []string{"attack-xss", "OWASP_CRS"}}
	traversal    = rule{"CRS_930_Application_Attack_LFI", 930120, "Path traversal", "Argument names a system file", bodyPhase, []string{"attack-lfi", "OWASP_CRS"}}
	restricted   = rule{"CRS_930_Application_Attack_LFI", 930130, "Restricted file", "Path of a file that is not for clients", headerPhase, []string{"attack-lfi", "OWASP_CRS"}}
	command      = rule{"CRS_932_Application_Attack_RCE", 932100, "Unix command", "Argument has a command", bodyPhase, []string{"attack-rce", "OWASP_CRS", "platform-unix"}}
	scanner      = rule{"CRS_913_Scanner_Detection", 913100, "Scanner by its name", "User agent is that of a scanner", headerPhase, []string{"attack-reputation-scanner", "OWASP_CRS"}}
	protocol     = rule{"CRS_920_Protocol_Enforcement", 920350, "Address for a host", "Host is an address", headerPhase, []string{"attack-protocol", "OWASP_CRS"}}
)

// attack of the scanner.
type attack struct {
	often   int
	page    page
	status  string
	element string
	value   string
	rules   []rule
}

// Rules for injections reject, those of scanners, protocol and scripts flag.
var attacks = [...]attack{
	{6, page{method: "GET", path: "/search", query: "q=1%27%20OR%20%271%27=%271%20--&lang=en", code: 200, size: 27000, takes: 60, content: html}, rejected, "ARGS:q", `1' OR '1'='1 --`, []rule{sqlInjection, sqlTautology, scanner}},
	{4, page{method: "GET", path: "/products/{id}", query: "sort=price%20UNION%20SELECT%20name,hash%20FROM%20users", code: 200, size: 18000, takes: 30, content: html}, rejected, "ARGS:sort", "price UNION SELECT name,hash FROM users", []rule{sqlInjection, scanner}},
	{3, page{method: "POST", path: "/login", code: 401, size: 2300, takes: 70, content: html}, rejected, "REQUEST_COOKIES:shop_session", "{secret}' OR \"1\"=\"1", []rule{sqlInjection, scanner}},
	{6, page{method: "GET", path: "/search", query: "q=%3Cscript%3Ealert(1)%3C/script%3E", code: 200, size: 26000, takes: 60, content: html}, flagged, "ARGS:q", "<script>alert(1)</script>", []rule{scripting, scanner}},
	{3, page{method: "POST", path: "/products/{id}/reviews", code: 201, size: 400, takes: 34, content: asJSON}, flagged, "ARGS:text", "<img src=x onerror=\"alert('{id}')\">", []rule{scripting}},
	{3, page{method: "GET", path: "/download", query: "file=../../../../etc/passwd", code: 404, size: 2100, takes: 8, content: html}, rejected, "ARGS:file", "../../../../etc/passwd", []rule{traversal, scanner}},
	{2, page{method: "GET", path: "/api/v1/stock", query: "sku=1;cat%20/etc/hosts", code: 400, size: 120, takes: 8, content: asJSON}, rejected, "ARGS:sku", "1;cat /etc/hosts", []rule{command, scanner}},
	{3, page{method: "GET", path: "/.git/config", code: 404, size: 2100, takes: 6, content: html}, flagged, "REQUEST_FILENAME", "/.git/config", []rule{restricted, scanner}},
	{2, page{method: "GET", path: "/wp-login.php", code: 404, size: 2100, takes: 6, content: html}, flagged, "REQUEST_HEADERS:User-Agent", scannerAgent, []rule{scanner}},
	{2, page{method: "GET", path: "/backup.zip", code: 404, size: 2100, takes: 6, content: html}, flagged, "REQUEST_HEADERS:User-Agent", scannerAgent, []rule{protocol, scanner}},
}

const scannerAgent = "webscan/3.1 (+https://scan.example.net)"

// scanning is the scanner.
var scanning = userAgent{scannerAgent, "", "", "", "1.1"}

// scans tells how many requests the scanner sends in a second: a few, and many
// in bursts, of which a Service Engine cannot log all.
func scans(m Moment, rng *rand.Rand) int {
	second, told := m.Since(WAFAttack)
	switch {
	case !told:
		return 0
	case second%18 >= 5 && second%18 < 9:
		return 15 + rng.IntN(10)
	default:
		return 1 + rng.IntN(3)
	}
}

// scan is a request of the scanner, who keeps to one Service Engine.
func (s *httpService) scan(m Moment, at time.Time, out Output) {
	number, i := 0, 0
	for _, a := range attacks {
		number += a.often
	}
	for number = s.rng.IntN(number); number >= attacks[i].often; i++ {
		number -= attacks[i].often
	}
	a := &attacks[i]
	from := client{address: netip.AddrFrom4([4]byte{203, 0, 113, 250}), location: "NL", rtt: 18}
	r := s.begin(entry{engine: 1 % len(s.streams), client: from, clientPort: 32768 + s.rng.IntN(28232)}, &a.page, at)
	r.agent = &scanning
	if a.status == rejected {
		r.refuse(403, "")
	} else {
		s.serve(m, r)
	}
	r.reasons.add(wafMatch)
	r.verdict = verdict{a.status, a.element, fill(r.verdict.value, s.rng, a.value), a.rules}
	s.write(r, out)
}

// suspect a query, as the firewall does that has an apostrophe in a name.
func (v *verdict) suspect(query []byte) {
	*v = verdict{flagged, "ARGS:q", append(v.value, query...), injections}
}

var injections = []rule{sqlInjection}

// write what the firewall did. Its latencies are microseconds.
func (v *verdict) write(o *object, rng *rand.Rand) {
	if v.status == "" {
		return
	}
	o.begin("waf_log", '{')
	o.string("status", v.status)
	if v.status != bypassed {
		o.number("latency_request_header_phase", int(around(rng, 90, 0.3)))
		o.number("latency_request_body_phase", int(around(rng, 210+float64(13*len(v.value)), 0.3)))
	}
	o.bool("rules_configured", true, false)
	o.bool("rules_processed", v.status == passed || len(v.rules) > 0, false)
	o.bool("psm_configured", false, false)
	o.bool("allowlist_configured", true, false)
	o.bool("allowlist_processed", v.status != bypassed, false)
	if v.status == allowed {
		o.begin("allowlist_logs", '[')
		o.begin("", '{')
		o.string("rule_name", "uptime-probe")
		o.end('}')
		o.end(']')
	}
	if len(v.rules) > 0 {
		o.begin("rule_logs", '[')
		for _, r := range v.rules {
			v.writeRule(o, r)
		}
		o.end(']')
	}
	o.end('}')
}

func (v *verdict) writeRule(o *object, r rule) {
	o.begin("", '{')
	o.string("rule_group", r.group)
	o.number("rule_id", r.id)
	o.string("rule_name", r.name)
	o.string("msg", r.message)
	o.string("phase", r.phase)
	o.strings("tags", r.tags...)
	o.begin("matches", '[')
	o.begin("", '{')
	if r.id == scanner.id {
		o.string("match_element", "REQUEST_HEADERS:User-Agent")
		o.string("match_value", scannerAgent)
	} else {
		o.string("match_element", v.element)
		o.bytes("match_value", v.value)
	}
	o.bool("is_internal", false, false)
	o.end('}')
	o.end(']')
	o.end('}')
}

func (v *verdict) count(service string, out Output, kept *texts) {
	if v.status == "" {
		return
	}
	out.Count("corkline_virtualservice_waf_requests_total", kept.labels("status", v.status, "virtualservice", service), 1)
	for _, r := range v.rules {
		out.Count("corkline_virtualservice_waf_rule_group_hits_total", kept.labels("rule_group", r.group, "status", v.status, "virtualservice", service), 1)
	}
}
