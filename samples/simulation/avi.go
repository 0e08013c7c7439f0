package simulation

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// The load balancer is NSX ALB (AVI), in the site dublin of the GSLB service: its
// Service Engines, its Controller, and the operators AKO and AMKO.
//
// Lines of avi-* are syslog messages with their head. They are one stream:
// log_id runs through all that a Service Engine logs of a virtual service. Lines
// of ako and amko are those of containers' files, with the runtime's stamp; a
// record may have several, parted by line ends.

// site of the load balancer.
func site() Site { return Sites()[1] }

// detected is how many seconds after a failure the monitors know of it, and after
// its end, too.
const detected = 12

// seen is what the monitors know in a moment.
func (o Options) seen(m Moment) Moment { return o.At(m.Second - detected) }

// changed tells whether the monitors have learned in a second that a story began
// or ended.
func (o Options) changed(m Moment, s Story) (began, ended bool) {
	_, before := o.At(m.Second - detected - 1).Told(s)
	_, now := o.seen(m).Told(s)
	return now && !before, before && !now
}

// serviceEngines log requests, connections and queries, as the profiles of
// their virtual services stream them.
type serviceEngines struct {
	services []service
	all      []arrival // of a second
}

// service is a virtual service.
type service interface {
	// arrivals of a second, in any order, behind others.
	arrivals(m Moment, all []arrival) []arrival
	// arrive is what ends in a moment, and is logged then.
	arrive(m Moment, what int, at time.Time, out Output)
}

// arrival at a virtual service.
type arrival struct {
	after time.Duration // since the second's begin
	at    service
	what  int // a service's own number
}

func newServiceEngines(o Options) *serviceEngines {
	return &serviceEngines{services: []service{newHTTPService(o), newTCPService(o), newDNSService(o)}}
}

func (s *serviceEngines) Second(m Moment, out Output) {
	s.all = s.all[:0]
	for _, service := range s.services {
		s.all = service.arrivals(m, s.all)
	}
	slices.SortStableFunc(s.all, func(a, b arrival) int { return int(a.after - b.after) })
	for _, a := range s.all {
		a.at.arrive(m, a.what, m.Time.Add(a.after), out)
	}
}

// throttle is how many logs of a kind a Service Engine sends of a virtual
// service in a second: the default of all three throttles of the analytics
// policy.
const throttle = 10

// engines is how many Service Engines a virtual service is scaled out to, so
// that none reaches its throttle on an ordinary day, nor when another site is down.
func (o Options) engines() int { return max(2, int(math.Ceil(5*o.Rate))) }

func engineName(engine int) string { return fmt.Sprintf("avi-se-%d", engine+1) }

// virtualService is what the logs of all kinds of virtual services share.
type virtualService struct {
	name, uuid string
	address    netip.Addr
	address6   netip.Addr // invalid where it has none
	port       int
	// rfc5424 streams have 1 and 0 for true and false, and members without the
	// braces of the object.
	rfc5424 bool
	rng     *rand.Rand
	rate    float64
	streams []stream // one for each Service Engine
	pace    pace
	dealt   int // arrivals, to the Service Engines in turn
	// unthrottled Service Engines send all logs.
	unthrottled bool
	text        object
	kept        texts
}

func newVirtualService(o Options, name string, number, port int) virtualService {
	v := virtualService{
		name: name, uuid: uuid("virtualservice", number), address: site().Address, port: port,
		rng: o.Random("avi " + name), rate: o.Rate, streams: make([]stream, o.engines()),
		text: object{clock: clock{layout: "2006-01-02T15:04:05."}},
	}
	for i := range v.streams {
		v.streams[i].engine, v.streams[i].id = engineName(i), int64(v.rng.IntN(1_000_000))
	}
	return v
}

// uuid of an object of the Controller.
func uuid(kind string, number int) string {
	return fmt.Sprintf("%s-5a3c0e1e-7d4b-4c55-9b1f-0000000c0%03d", kind, number)
}

// sourceAddress that servers see of a Service Engine.
func sourceAddress(engine int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(2 + engine%50)})
}

// kind of a log: why it is sent.
type kind int

const (
	ordinary    kind = iota // full client logs are on
	filtered                // by a filter of the user's (UDF)
	significant             // by one of AVI's (ADF)
)

// severity of syslog, in the facility local0, as the streaming profile has it.
func (k kind) severity() int { return 16*8 + [...]int{ordinary: 6, filtered: 5, significant: 4}[k] }

// stream is what a Service Engine logs of a virtual service.
type stream struct {
	engine  string
	id      int64 // of the last log
	begun   bool
	missing int // since the last log that was sent
	second  int64
	sent    [significant + 1]int // in the second
}

// take a number for a log; false when the log is throttled.
func (s *stream) take(k kind, second int64, unthrottled bool) bool {
	if second != s.second {
		s.second, s.sent = second, [significant + 1]int{}
	}
	s.id++
	if s.sent[k] == throttle && !unthrottled {
		s.missing++
		return false
	}
	s.sent[k]++
	return true
}

// reason why a log is significant, as a bit of the field significant. The bits
// follow the order in which the API lists the names.
type reason int

const (
	clientSetupTimeout reason = 2
	serverSetupTimeout reason = 3
	clientReset        reason = 9
	serverReset        reason = 10
	serverTimeout      reason = 12
	clientAborted      reason = 15
	manyRetransmits    reason = 26
	unansweredSYNs     reason = 34
	code4xx            reason = 36
	code5xx            reason = 37
	noServer           reason = 38
	rateLimited        reason = 41
	clientSlow         reason = 53
	serverSlow         reason = 54
	dnsInvalidDomain   reason = 58
	dnsUnsupported     reason = 60
	wafMatch           reason = 62
)

// describe gives the name that significant_log has, and a text.
func (r reason) describe() (name, text string) {
	switch r {
	case clientSetupTimeout:
		return "ADF_CLIENT_CONN_SETUP_TIMEDOUT", "Client did not complete the handshake"
	case serverSetupTimeout:
		return "ADF_SERVER_CONN_SETUP_TIMEDOUT", "Server did not answer the handshake"
	case clientReset:
		return "ADF_CLIENT_SENT_RESET", "Client sent a reset"
	case serverReset:
		return "ADF_SERVER_SENT_RESET", "Server sent a reset"
	case serverTimeout:
		return "ADF_SERVER_CONN_TIMEDOUT", "Server did not answer in time"
	case clientAborted:
		return "ADF_CLIENT_CONN_ABORTED", "Client left before the response"
	case manyRetransmits:
		return "ADF_CLIENT_HIGH_TOTAL_RETRANSMITS", "Many retransmits to the client"
	case unansweredSYNs:
		return "ADF_SERVER_UNANSWERED_SYNS", "Server did not answer SYNs"
	case code4xx:
		return "ADF_RESPONSE_CODE_4XX", "Response code is 4xx"
	case code5xx:
		return "ADF_RESPONSE_CODE_5XX", "Response code is 5xx"
	case noServer:
		return "ADF_LOAD_BALANCING_FAILED", "No server is up"
	case rateLimited:
		return "ADF_RATE_LIMIT_DROP_CLIENT_IP", "Client is above its rate limit"
	case clientSlow:
		return "ADF_CLIENT_HIGH_RESPONSE_TIME", "Response time is above the threshold"
	case serverSlow:
		return "ADF_SERVER_HIGH_RESPONSE_TIME", "Server response time is above the threshold"
	case dnsInvalidDomain:
		return "ADF_CLIENT_DNS_FAILED_INVALID_DOMAIN", "Domain does not exist"
	case dnsUnsupported:
		return "ADF_CLIENT_DNS_FAILED_UNSUPPORTED_QUERY", "Query type is not supported"
	default:
		return "ADF_WAF_MATCH", "Rules of the web application firewall matched"
	}
}

// reasons of a log, by their bits.
type reasons uint64

func (r *reasons) add(one reason) { *r |= 1 << one }

// each of them.
func (r reasons) each(yield func(reason) bool) {
	for left := uint64(r); left != 0; left &= left - 1 {
		if !yield(reason(bits.TrailingZeros64(left))) {
			return
		}
	}
}

// entry is what all logs have.
type entry struct {
	engine     int
	at         time.Time
	client     client
	clientPort int
	reasons    reasons
	filter     string // of the user's that it passes
}

func (e *entry) kind() kind {
	switch {
	case e.reasons != 0:
		return significant
	case e.filter != "":
		return filtered
	default:
		return ordinary
	}
}

// countStream counts a line by its stream labels: names and values. All avi-*
// are one source, so those count, too, that a definition does not have.
func countStream(definition string, out Output, kept *texts, pairs ...string) {
	all := [...]string{"code_class", "", "level", "", "protocol", "", "rcode", "", "status", ""}
	for i := 0; i < len(pairs); i += 2 {
		all[slices.Index(all[:], pairs[i])+1] = pairs[i+1]
	}
	out.Count(definition, kept.labels(all[:]...), 1)
}

// log writes a line unless it is throttled, and counts what all of them add.
// The members are what follows those that all logs have, and the stream's are
// the names and values of its labels.
func (v *virtualService) log(definition string, e *entry, out Output, members func(*object), stream ...string) bool {
	s := &v.streams[e.engine]
	if !s.take(e.kind(), e.at.Unix(), v.unthrottled) {
		return false
	}
	o := &v.text
	o.text = v.head(o.text[:0], e, s)
	o.start = len(o.text)
	o.begin("", '{')
	v.common(o, e, s)
	members(o)
	if e.client.address.Is6() {
		o.address("vs_ip6", v.address6)
	} else {
		o.address("vs_ip", v.address)
	}
	if v.rfc5424 {
		o.string("vs_name", v.name)
	}
	o.end('}')
	line := o.text
	if v.rfc5424 {
		line = slices.Delete(line[:len(line)-1], o.start, o.start+1)
	}
	out.Line(definition, line)
	countStream(definition, out, &v.kept, stream...)

	of := v.kept.labels("service_engine", s.engine, "virtualservice", v.name)
	if s.begun && s.missing > 0 {
		out.Count("corkline_virtualservice_missing_logs_total", of, float64(s.missing))
	}
	s.begun, s.missing = true, 0
	sent := 0
	for _, n := range s.sent {
		sent += n
	}
	if sent == throttle {
		out.Count("corkline_virtualservice_log_throttled_seconds_total", of, 1)
	}
	return true
}

func (v *virtualService) head(to []byte, e *entry, s *stream) []byte {
	to = appendf(to, "<%d>", e.kind().severity())
	if v.rfc5424 {
		to = v.text.clock.append(append(to, "1 "...), e.at)
		return appendf(to, "Z %s %s %d %d - ", s.engine, v.name, e.engine, s.id)
	}
	return appendf(e.at.AppendFormat(to, time.Stamp), " AVI-CONTROLLER %s[0]: ", v.name)
}

func (v *virtualService) common(o *object, e *entry, s *stream) {
	o.bool("adf", e.reasons != 0, v.rfc5424)
	o.number("significant", int(e.reasons))
	o.bool("udf", e.filter != "", v.rfc5424)
	o.string("virtualservice", v.uuid)
	o.time("report_timestamp", e.at)
	o.string("service_engine", s.engine)
	o.number("vcpu_id", e.clientPort%2)
	o.number("log_id", int(s.id))
	if e.client.address.Is6() {
		o.address("client_ip6", e.client.address)
	} else {
		o.address("client_ip", e.client.address)
	}
	o.number("client_src_port", e.clientPort)
	o.number("client_dest_port", v.port)
	o.string("client_location", e.client.location)
	if e.filter != "" {
		o.string("client_log_filter_name", e.filter)
	}
	if e.reasons == 0 {
		return
	}
	o.begin("significance", '"')
	comma := ""
	for r := range e.reasons.each {
		_, text := r.describe()
		o.text = append(append(o.text, comma...), text...)
		comma = ", "
	}
	o.end('"')
	o.begin("significant_log", '[')
	for r := range e.reasons.each {
		name, _ := r.describe()
		o.string("", name)
	}
	o.end(']')
}

// countReasons counts why a log is significant.
func (v *virtualService) countReasons(e *entry, metric string, out Output) {
	for r := range e.reasons.each {
		name, _ := r.describe()
		out.Count(metric, v.kept.labels("significance", name, "virtualservice", v.name), 1)
	}
}

// next Service Engine, and a client whose connections come to it.
func (v *virtualService) next() entry {
	v.dealt++
	engine := v.dealt % len(v.streams)
	// Some come more often than others.
	chance := v.rng.Float64()
	turn := int(chance * chance * float64(max(1, clients/len(v.streams))))
	return entry{
		engine:     engine,
		client:     clientOf(engine+len(v.streams)*turn, v.address6.IsValid()),
		clientPort: 32768 + v.rng.IntN(28232),
	}
}

// client of a virtual service.
type client struct {
	address  netip.Addr
	location string
	rtt      float64 // milliseconds, without what varies
}

// clients that come now and again, if there are no more Service Engines.
const clients = 240

// clientOf gives a client by its number, some of them with IPv6 where the service has it.
func clientOf(number int, ipv6 bool) client {
	c := places[number%len(places)]
	if !ipv6 || number%5 > 0 {
		c.address = netip.AddrFrom4([4]byte{203, 0, 113, byte(number%clients + 1)})
	} else {
		c.address = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x51, 14: byte(number >> 8), 15: byte(number)})
	}
	return c
}

// places that clients come from.
var places = [...]client{
	{location: "IE", rtt: 4},
	{location: "GB", rtt: 12},
	{location: "IE", rtt: 6},
	{location: "DE", rtt: 24},
	{location: "FR", rtt: 21},
	{location: "GB", rtt: 15},
	{location: "NL", rtt: 19},
	{location: "NO", rtt: 37},
	{location: "US", rtt: 91},
	{location: "IE", rtt: 3},
	{location: "JP", rtt: 228},
}

// anyMicrosecond of a second.
func anyMicrosecond(rng *rand.Rand) time.Duration {
	return time.Duration(rng.IntN(1_000_000)) * time.Microsecond
}

// around gives a value whose logarithm is spread normally around that of a mean.
func around(rng *rand.Rand, mean, spread float64) float64 {
	return mean * math.Exp(spread*rng.NormFloat64())
}

// pace gives out whole numbers that come to a mean in the long run.
type pace struct{ left float64 }

func (p *pace) take(rng *rand.Rand, mean float64) int {
	p.left += mean * (0.85 + 0.3*rng.Float64())
	n := math.Floor(p.left)
	p.left -= n
	return int(n)
}

// daytime is how busy a moment is, compared with the mean: more by day than by
// night, and with waves of a few minutes.
func daytime(m Moment) float64 {
	hour := float64(m.Time.Unix()%86400) / 3600
	return 1 + 0.2*math.Sin((hour-9)*math.Pi/12) + 0.1*math.Sin(float64(m.Second)*2*math.Pi/170)
}

// object is JSON in the making, behind the head of a line.
type object struct {
	text  []byte
	start int // of the JSON
	clock clock
}

func (o *object) key(name string) {
	if n := len(o.text); n > o.start && o.text[n-1] != '{' && o.text[n-1] != '[' {
		o.text = append(o.text, ',')
	}
	if name != "" { // none needs escapes
		o.text = append(append(append(o.text, '"'), name...), `":`...)
	}
}

func (o *object) raw(name, value string) {
	o.key(name)
	o.text = append(o.text, value...)
}

func (o *object) string(name, value string) {
	o.key(name)
	o.text = appendJSON(o.text, value)
}

func (o *object) strings(name string, values ...string) {
	o.begin(name, '[')
	for _, value := range values {
		o.string("", value)
	}
	o.end(']')
}

func (o *object) number(name string, value int) {
	o.key(name)
	o.text = strconv.AppendInt(o.text, int64(value), 10)
}

func (o *object) address(name string, value netip.Addr) {
	o.begin(name, '"')
	o.text = value.AppendTo(o.text)
	o.end('"')
}

// time to the microsecond.
func (o *object) time(name string, value time.Time) {
	o.begin(name, '"')
	o.text = append(o.clock.append(o.text, value), `Z"`...)
}

// layout is time in another one.

func (o *object) layout(name string, value time.Time, layout string) {
	o.begin(name, '"')
	o.text = value.AppendFormat(o.text, layout)
	o.end('"')
}

// words is string for a text in two parts.
func (o *object) words(name, begin, end string) {
	o.begin(name, '"')
	o.text = append(append(o.text, begin...), end...)
	o.end('"')
}

// format is string for what needs no escapes.
func (o *object) format(name, format string, args ...any) {
	o.begin(name, '"')
	o.text = appendf(o.text, format, args...)
	o.end('"')
}

// bytes is string for what is in the making, too.
func (o *object) bytes(name string, value []byte) {
	o.key(name)
	o.text = appendJSON(o.text, value)
}

// bool writes 1 and 0 where a stream has numbers.
func (o *object) bool(name string, value, number bool) {
	switch {
	case number && value:
		o.raw(name, "1")
	case number:
		o.raw(name, "0")
	default:
		o.raw(name, strconv.FormatBool(value))
	}
}

// begin an object, a list or a text.
func (o *object) begin(name string, bracket byte) {
	o.key(name)
	o.text = append(o.text, bracket)
}

func (o *object) end(bracket byte) { o.text = append(o.text, bracket) }

// appendJSON appends a text in JSON's quotes.
func appendJSON[T string | []byte](to []byte, text T) []byte {
	to = append(to, '"')
	from := 0
	for i := range len(text) {
		c := text[i]
		if c != '"' && c != '\\' && c >= ' ' {
			continue
		}
		to = append(to, text[from:i]...)
		from = i + 1
		if c < ' ' {
			to = appendf(to, `\u%04x`, c)
		} else {
			to = append(to, '\\', c)
		}
	}
	return append(append(to, text[from:]...), '"')
}
