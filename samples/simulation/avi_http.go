package simulation

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// httpService is shop-https: a shop, with a web application firewall before it.
type httpService struct {
	virtualService
	options Options
	pages   []int   // of the table, each as often as its share
	share   float64 // of the clients that this site gets, compared with an ordinary day
	only    string  // definition that reads what browsing leads to; empty for both
	pool    string  // its UUID
	last    request
	secrets [3][]byte // of its headers
}

func newHTTPService(o Options) *httpService {
	s := &httpService{virtualService: newVirtualService(o, VirtualService, 1, 443), options: o, share: 1, pool: uuid("pool", 1)}
	for i, p := range pages {
		for range p.often {
			s.pages = append(s.pages, i)
		}
	}
	return s
}

// keep to what one definition reads.
func (s *httpService) keep(definition string) {
	s.only = definition
	s.pages = slices.DeleteFunc(s.pages, func(i int) bool { return pages[i].inspected != (definition == "avi-waf") })
}

// headerBytes are what responses have beside the body.
const headerBytes = 284

// Requests in a second at rate 1.
const httpRate = 10

// What arrives at the shop.
const (
	browsing = iota
	scanned
	watched
)

func (s *httpService) arrivals(m Moment, all []arrival) []arrival {
	// Clients follow the answers of the DNS as their caches run out.
	s.share += (s.options.siteShare(m) - s.share) / 15
	for range s.pace.take(s.rng, httpRate*s.rate*daytime(m)*s.share) {
		all = append(all, arrival{anyMicrosecond(s.rng), s, browsing})
	}
	for range scans(m, s.rng) {
		all = append(all, arrival{anyMicrosecond(s.rng), s, scanned})
	}
	if m.Second%30 == 7 {
		all = append(all, arrival{anyMicrosecond(s.rng), s, watched})
	}
	return all
}

func (s *httpService) arrive(m Moment, what int, at time.Time, out Output) {
	switch what {
	case browsing:
		s.browse(m, at, out)
	case scanned:
		s.scan(m, at, out)
	case watched:
		s.watch(m, at, out)
	}
}

// say implements talker.
func (s *httpService) say(m Moment, at time.Time, out Output) { s.browse(m, at, out) }

// page that clients ask for. In path and query, {id} stands for a number, {uuid}
// for a UUID, {word} for a word that is searched for, {secret} for what must
// not leave the node.
type page struct {
	often               int
	method, path, query string
	code                int
	size                float64 // bytes of the response
	takes               float64 // milliseconds at the server
	content             string
	inspected           bool // by the firewall
	filter              string
}

const html, asJSON = "text/html; charset=utf-8", "application/json"

var pages = [...]page{
	{10, "GET", "/", "", 200, 21400, 28, html, false, ""},
	{14, "GET", "/products", "page={page}&sort=price", 200, 34800, 45, html, true, ""},
	{18, "GET", "/products/{id}", "", 200, 18600, 32, html, false, ""},
	{3, "GET", "/products/{id}/reviews", "", 200, 5200, 26, asJSON, false, ""},
	{6, "GET", "/static/app-5d1c9e.js", "", 200, 142000, 3, "text/javascript", false, ""},
	{5, "GET", "/static/app-5d1c9e.js", "", 304, 0, 2, "", false, ""},
	{12, "GET", "/static/img/{id}.webp", "", 200, 48200, 5, "image/webp", false, ""},
	{6, "GET", "/static/img/{id}.webp", "", 304, 0, 2, "", false, ""},
	{8, "GET", "/api/v1/catalog/{id}", "", 200, 2300, 18, asJSON, false, ""},
	{7, "GET", "/api/v1/stock", "sku={id}&api_key={secret}", 200, 620, 12, asJSON, true, ""},
	{7, "GET", "/search", "q={word}&lang=en", 200, 27100, 62, html, true, ""},
	{5, "GET", "/cart", "", 200, 9200, 24, html, false, ""},
	{5, "POST", "/cart/items", "", 201, 410, 36, asJSON, true, ""},
	{2, "PUT", "/api/v1/cart/{uuid}", "", 200, 520, 30, asJSON, true, ""},
	{1, "DELETE", "/cart/items/{id}", "", 204, 0, 22, "", true, ""},
	{1, "OPTIONS", "/api/v1/cart/{uuid}", "", 204, 0, 2, "", false, ""},
	{2, "POST", "/login", "", 302, 300, 70, html, true, "accounts"},
	{1, "GET", "/login/callback", "code={secret}&state={uuid}", 302, 280, 48, html, true, "accounts"},
	{3, "GET", "/account/orders/{id}", "token={secret}&view=full", 200, 12700, 40, html, true, "accounts"},
	{2, "POST", "/checkout", "", 200, 880, 170, asJSON, true, "accounts"},
	{1, "GET", "/favicon.ico", "", 404, 190, 2, html, false, ""},
	{1, "HEAD", "/", "", 200, 0, 24, html, false, ""},
}

// bigUpload is past what the firewall looks at.
var bigUpload = page{1, "POST", "/account/avatar", "", 201, 90, 260, asJSON, true, ""}

// health is asked for by a probe from elsewhere, which the firewall lets pass.
var health = page{1, "GET", "/healthz", "", 200, 2, 1, "text/plain", true, ""}

// userAgent is what a client says of itself, and what AVI makes of it.
type userAgent struct{ text, browser, os, device, version string }

var agents = [...]userAgent{
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36", "Chrome", "Windows 10", "Computer", "2.0"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari", "Mac OS X", "Computer", "2.0"},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox", "Linux", "Computer", "2.0"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", "Mobile Safari", "iOS", "Mobile", "2.0"},
	{"shop-app/4.2.1 (Android 15; \"Pixel\")", "", "Android", "Mobile", "2.0"},
	{"partner-sync/2.0", "", "", "", "1.1"},
}

// probe is the monitor outside.
var probe = userAgent{"uptime-probe/1.4", "", "", "", "1.1"}

var words = [...]string{"rope", "net", "float+%28cork%29", "anchor", "lead+line", "O%27Neill+%26+sons", "buoy", "twine"}

// Secret begins all values in lines that the agent hides.
const Secret = "hidden-"

// appendSecret appends one, which no other line has.
func appendSecret(to []byte, rng *rand.Rand) []byte {
	return appendf(to, "%s%016x", Secret, rng.Uint64())
}

// fill in what stands for values.
func fill(to []byte, rng *rand.Rand, text string) []byte {
	for {
		before, rest, more := strings.Cut(text, "{")
		to = append(to, before...)
		if !more {
			return to
		}
		name, after, _ := strings.Cut(rest, "}")
		switch name {
		case "id":
			to = strconv.AppendInt(to, int64(1000+rng.IntN(400)), 10)
		case "page":
			to = strconv.AppendInt(to, int64(1+rng.IntN(20)), 10)
		case "word":
			to = append(to, words[rng.IntN(len(words))]...)
		case "secret":
			to = appendSecret(to, rng)
		case "uuid":
			to = appendf(to, "%08x-7c1d-4e9a-8b11-%012x", rng.Uint32(), rng.Uint64()>>16)
		}
		text = after
	}
}

// request and its response. Times are whole milliseconds.
type request struct {
	entry
	page             *page
	path, query      []byte
	agent            *userAgent
	content          string
	server           int // of the pool; -1 where the Service Engine answers by itself
	code, serverCode int // 0: there was none
	length, size     int // bytes of the request, and of the response's body
	clientRTT        int
	serverRTT        int
	serverFirst      int // until the first byte from the server
	serverLast       int
	first, last      int // until the bytes to the client
	policy           string
	redirect         []byte
	verdict          verdict
}

// begin a request for a page.
func (s *httpService) begin(e entry, p *page, at time.Time) *request {
	e.at, e.filter = at, p.filter
	r := &s.last
	*r = request{
		entry: e, page: p, path: fill(r.path[:0], s.rng, p.path), query: fill(r.query[:0], s.rng, p.query), agent: &agents[e.clientPort%len(agents)], content: p.content,
		server: -1, length: int(around(s.rng, 620, 0.3)), clientRTT: int(around(s.rng, e.client.rtt, 0.1)),
		redirect: r.redirect[:0], verdict: verdict{value: r.verdict.value[:0]},
	}
	if p.method == "POST" || p.method == "PUT" {
		r.length += int(around(s.rng, 400, 0.5))
	}
	return r
}

// browse is what an ordinary client does.
func (s *httpService) browse(m Moment, at time.Time, out Output) {
	p := &pages[s.pages[s.rng.IntN(len(s.pages))]]
	if s.rng.IntN(400) == 0 && s.only != "avi-application" {
		p = &bigUpload
	}
	r := s.begin(s.next(), p, at)
	switch chance := s.rng.Float64(); {
	case chance < 0.004 && s.only != "avi-waf":
		r.refuse(429, "limit-clients", rateLimited)
	case p == &bigUpload:
		r.verdict.status = bypassed
		r.length = 200<<10 + s.rng.IntN(600<<10)
		s.serve(m, r)
	case p.inspected && bytes.Contains(r.query, []byte("%27")) && s.rng.IntN(3) == 0:
		r.verdict.suspect(r.query)
		r.reasons.add(wafMatch)
		s.serve(m, r)
	default:
		if p.inspected {
			r.verdict.status = passed
		}
		s.serve(m, r)
	}
	s.write(r, out)
}

// watch is the probe of a monitor outside.
func (s *httpService) watch(m Moment, at time.Time, out Output) {
	e := entry{engine: 0, client: client{address: clientOf(0, false).address, location: "IE", rtt: 9}, clientPort: 40000 + m.Second%20000}
	r := s.begin(e, &health, at)
	r.agent, r.verdict.status = &probe, allowed
	s.serve(m, r)
	s.write(r, out)
}

// begins tells how the path does.
func (r *request) begins(with string) bool { return bytes.HasPrefix(r.path, []byte(with)) }

// refuse a request without a server.
func (r *request) refuse(code int, policy string, reasons ...reason) {
	r.code, r.policy, r.size, r.content = code, policy, 166, html
	r.first, r.last = 1, 1
	for _, reason := range reasons {
		r.reasons.add(reason)
	}
	r.reasons.add(code4xx)
}

// serve a request by a member of the pool.
func (s *httpService) serve(m Moment, r *request) {
	health := memberOf(m)
	r.server = s.member(health)
	r.serverRTT = 1 + s.rng.IntN(2)
	takes := around(s.rng, r.page.takes, 0.4)
	r.code, r.size = r.page.code, int(around(s.rng, r.page.size, 0.15))
	chance := s.rng.Float64()
	if r.server == SlowServer && health == slow {
		takes *= 10
		switch {
		case chance < 0.05:
			s.timeOut(r)
			return
		case chance < 0.1:
			r.code, r.size = 503, 312
		}
	}
	switch chance = s.rng.Float64(); {
	case chance < 0.003:
		r.code, r.size = 500, 1240
	case chance < 0.03 && strings.Contains(r.page.path, "{id}"):
		r.code, r.size = 404, 2140
	case chance < 0.1 && string(r.path) == "/login":
		r.code, r.size = 401, 2310
	}
	if r.code == 302 {
		r.redirect = appendSecret(append(r.redirect, "https://"+GSLBName+"/account?session="...), s.rng)
	}
	r.serverCode = r.code
	r.serverFirst = r.serverRTT + max(1, int(takes))
	r.serverLast = r.serverFirst + r.size/40000
	r.first = r.serverFirst + s.rng.IntN(2)
	r.last = max(r.first, r.serverLast) + int(around(s.rng, float64(r.size)/6000, 0.3))
	if s.rng.IntN(350) == 0 { // the client leaves
		r.code, r.size, r.last = 0, r.size/3, r.first+r.size/20000
		r.reasons.add(clientAborted)
	}
	r.judge()
}

// timeOut has the server not answer: the Service Engine does.
func (s *httpService) timeOut(r *request) {
	r.code, r.size, r.content = 504, 208, html
	r.first = 5000 + s.rng.IntN(40)
	r.last = r.first
	r.reasons.add(serverTimeout)
	r.judge()
}

// Thresholds of the analytics profile, in milliseconds.
const (
	serverThreshold = 400
	clientThreshold = 2000
)

// judge finds why a request is significant.
func (r *request) judge() {
	switch r.code / 100 {
	case 4:
		r.reasons.add(code4xx)
	case 5:
		r.reasons.add(code5xx)
	}
	if r.total() > clientThreshold {
		r.reasons.add(clientSlow)
	}
	if r.serverFirst > serverThreshold {
		r.reasons.add(serverSlow)
	}
}

func (r *request) total() int { return r.clientRTT + r.last }

// state of the member that SlowMember is about.
type state int

const (
	up state = iota
	slow
	down // the monitors have taken it out
)

// memberOf gives the state of SlowServer: in the middle of the story it fails
// the monitors for a while.
func memberOf(m Moment) state {
	switch progress, told := m.Told(SlowMember); {
	case !told:
		return up
	case progress >= slowDown && progress < slowUp:
		return down
	default:
		return slow
	}
}

// What part of SlowMember passes until the member is taken out, and is back.
const (
	slowDown = 0.6
	slowUp   = 0.75
)

// member of the pool for a request: that with the least connections, so that
// the slow one gets few.
func (s *httpService) member(slowest state) int {
	if slowest == slow && s.rng.IntN(8) == 0 {
		return SlowServer
	}
	i := s.rng.IntN(Members)
	for slowest != up && i == SlowServer {
		i = s.rng.IntN(Members)
	}
	return i
}

// write a request, and count what the agent makes of it.
func (s *httpService) write(r *request, out Output) {
	definition := "avi-application"
	if r.verdict.status != "" {
		definition = "avi-waf"
	}
	pool, server, class := "", "", ""
	if r.server >= 0 {
		pool, server = Pool, Member(r.server).Name
	}
	if r.code > 0 {
		class = [...]string{2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}[r.code/100]
	}
	if !s.log(definition, &r.entry, out, func(o *object) { s.members(o, r) }, "code_class", class, "status", r.verdict.status) {
		return
	}
	out.Count("corkline_virtualservice_requests_total", s.kept.labels("code_class", class, "pool", pool, "server", server, "virtualservice", s.name), 1)
	if r.serverCode > 0 {
		out.Count("corkline_virtualservice_server_seconds_total", s.kept.labels("pool", pool, "server", server, "virtualservice", s.name), float64(r.serverFirst)*0.001)
	}
	of := s.kept.labels("pool", pool, "virtualservice", s.name)
	out.Count("corkline_virtualservice_request_bytes_total", of, float64(r.length))
	out.Count("corkline_virtualservice_response_bytes_total", of, float64(r.size+headerBytes))
	for _, histogram := range [...]string{
		"corkline_virtualservice_request_duration_seconds_count", "corkline_virtualservice_response_first_byte_seconds_count",
		"corkline_virtualservice_response_last_byte_seconds_count", "corkline_virtualservice_client_rtt_seconds_count",
	} {
		out.Count(histogram, of, 1)
	}
	if r.server >= 0 {
		out.Count("corkline_virtualservice_server_rtt_seconds_count", of, 1)
	}
	if r.serverCode > 0 {
		out.Count("corkline_virtualservice_server_response_seconds_count", of, 1)
	}
	s.countReasons(&r.entry, "corkline_virtualservice_significant_requests_total", out)
	r.verdict.count(s.name, out, &s.kept)
}

// members of the object, in the order in which Service Engines write them.
func (s *httpService) members(o *object, r *request) {
	o.number("client_rtt", r.clientRTT)
	o.string("ssl_version", "TLSv1.3")
	o.string("ssl_cipher", "TLS_AES_256_GCM_SHA384")
	o.string("sni_hostname", GSLBName)
	o.string("http_version", r.agent.version)
	if r.agent.version == "2.0" {
		o.number("http2_stream_id", 1+2*s.rng.IntN(60))
	}
	o.string("method", r.page.method)
	o.bytes("uri_path", r.path)
	o.bytes("uri_query", r.query)
	if r.begins("/static/") {
		o.string("referer", "https://"+GSLBName+"/products")
	}
	o.string("user_agent", r.agent.text)
	if r.agent.device != "" {
		o.string("client_browser", r.agent.browser)
		o.string("client_os", r.agent.os)
		o.string("client_device", r.agent.device)
	}
	o.string("host", GSLBName)
	o.string("response_content_type", r.content)
	o.number("request_length", r.length)
	o.bool("cacheable", r.begins("/static/"), false)
	if r.policy != "" {
		o.string("http_security_policy_rule_name", r.policy)
	}
	if len(r.redirect) > 0 {
		o.bytes("redirected_uri", r.redirect)
	}
	if r.server >= 0 {
		s.serverMembers(o, r)
	}
	o.number("response_length", r.size+headerBytes)
	o.number("response_code", r.code)
	o.number("response_time_first_byte", r.first)
	o.number("response_time_last_byte", r.last)
	o.number("data_transfer_time", r.last-r.first)
	o.number("total_time", r.total())
	o.number("compression_percentage", 0)
	o.string("compression", "NO_COMPRESSION_CAN_BE_COMPRESSED")
	o.string("client_insights", "")
	o.number("request_headers", 4163)
	o.number("response_headers", 2060)
	o.string("request_state", "AVI_HTTP_REQUEST_STATE_SEND_RESPONSE_HEADER_TO_CLIENT")
	if r.filter != "" {
		s.headers(o, r)
	}
	r.verdict.write(o, s.rng)
	o.requestID(s.rng)
	o.begin("jwt_log", '{')
	o.bool("is_jwt_verified", false, false)
	o.end('}')
}

func (s *httpService) serverMembers(o *object, r *request) {
	if r.begins("/account") || r.begins("/cart") {
		o.format("user_id", "customer-%d", 10000+r.clientPort%977)
		o.bool("persistence_used", true, false)
		o.number("persistent_session_id", int(s.rng.Uint64()>>2|1<<61))
	}
	o.string("pool", s.pool)
	o.string("pool_name", Pool)
	member := Member(r.server)
	o.address("server_ip", member.Address)
	o.string("server_name", member.Name)
	o.address("server_conn_src_ip", sourceAddress(r.engine))
	o.number("server_dest_port", 8080)
	o.number("server_src_port", 10000+s.rng.IntN(50000))
	o.number("server_rtt", r.serverRTT)
	if r.serverCode > 0 {
		o.number("server_response_length", r.size)
		o.number("server_response_code", r.serverCode)
		o.number("server_response_time_first_byte", r.serverFirst)
		o.number("server_response_time_last_byte", r.serverLast)
		o.number("app_response_time", r.serverFirst-r.serverRTT)
	}
	o.bool("server_connection_reused", s.rng.IntN(10) > 0, false)
	o.number("servers_tried", 1)
}

// headers are those of the log filters that ask for all of them.
func (s *httpService) headers(o *object, r *request) {
	cookie, bearer, set := &s.secrets[0], &s.secrets[1], &s.secrets[2]
	for i, before := range [...]string{"shop_session=", "Bearer ", "shop_session="} {
		s.secrets[i] = appendSecret(append(s.secrets[i][:0], before...), s.rng)
	}
	*cookie = append(*cookie, "; theme=dark"...)
	*set = append(*set, "; Path=/; Secure; HttpOnly"...)
	request := func(name string) {
		o.begin(name, '{')
		o.string("Host", GSLBName)
		o.string("User-Agent", r.agent.text)
		o.string("Accept", "*/*")
		o.bytes("Cookie", *cookie)
		o.bytes("Authorization", *bearer)
	}
	response := func(name string) {
		o.begin(name, '{')
		o.string("Content-Type", r.page.content)
		o.number("Content-Length", r.size)
		o.bytes("Set-Cookie", *set)
		o.end('}')
	}
	request("all_request_headers")
	o.format("X-CSRF-Token", "%s%016x", Secret, s.rng.Uint64())
	o.end('}')
	response("all_response_headers")
	request("headers_sent_to_server")
	o.address("X-Forwarded-For", r.client.address)
	o.end('}')
	if r.serverCode > 0 {
		response("headers_received_from_server")
	}
}

// requestID in the form of AVI's.
func (o *object) requestID(rng *rand.Rand) {
	const letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
	o.begin("request_id", '"')
	for i := range 11 {
		if i == 3 || i == 7 {
			o.text = append(o.text, '-')
		}
		o.text = append(o.text, letters[rng.IntN(len(letters))])
	}
	o.end('"')
}
