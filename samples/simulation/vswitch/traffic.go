package vswitch

import (
	"math/rand/v2"
	"net/netip"

	"github.com/corkline/corkline/samples/simulation"
)

// maxEntries of connection tracking: few for a node, so that little fills it.
const maxEntries = 40_000

// Time-outs of connection tracking in seconds: about those of a Linux kernel,
// shorter where entries would stay for long.
const (
	timeoutSYNSent     = 60
	timeoutSYNReceived = 60
	timeoutEstablished = 3600
	timeoutFinWait     = 120 // one side has closed
	timeoutTimeWait    = 45
	timeoutClosed      = 10
	timeoutUDP         = 30
	timeoutUDPReplied  = 30
	timeoutICMP        = 30
)

// What fills the table.
const (
	// floodRate of SYN a second has more half-open connections within their
	// time-out than the table takes.
	floodRate = 600
	// The client that leaks opens many connections at first, and then a few a
	// second, so that the table would be full after ten minutes. So many a second
	// it opens, and its kernel resets, at most.
	leakAtFirst, leakFirst = 28_300, 50 // connections, seconds
	leakRate               = 20
	mostLeaks, mostResets  = 600, 1500
)

// traffic makes the packets of the node. A second has phases: what is sent in
// one has been handled before the next, for that it answers.
type traffic struct {
	random    *rand.Rand
	rate      float64
	next      uint16 // source port
	floodPort uint16
	leaked    []*session
	leakPort  uint16
	sessions  []*session
	waiting   []denied
	phases    [3][]packet
}

// session is a TCP connection.
type session struct {
	client, server port // where each is plugged in
	from, to       netip.Addr
	// As the server has them: itself, where it is no Pod here, and the client,
	// where that is seen as another.
	backend, seen  netip.Addr
	fromPort       uint16
	toPort, target uint16 // of the Service, and where the server listens
	left           int    // seconds until it ends
	every          int    // seconds between two exchanges
	request, reply int    // bytes
	seq, ack       uint32
}

// denied is a connection whose SYN was dropped: it is sent again.
type denied struct {
	syn   packet
	since int // seconds
}

func newTraffic(random *rand.Rand, rate float64) *traffic {
	return &traffic{random: random, rate: rate, next: 32768, floodPort: 1024, leakPort: 1024}
}

func (t *traffic) send(phase int, p packet) { t.phases[phase] = append(t.phases[phase], p) }

func (t *traffic) source() uint16 {
	if t.next++; t.next < 32768 || t.next > 60999 { // the ports of Linux
		t.next = 32768
	}
	return t.next
}

// times is how often something happens in a second that does n times on average.
func (t *traffic) times(n float64) int {
	whole := int(n)
	if t.random.Float64() < n-float64(whole) {
		whole++
	}
	return whole
}

// leave ends the sessions of Pods that are gone, whose ports are still there.
func (t *traffic) leave(m simulation.Moment) [3][]packet {
	t.phases = [3][]packet{}
	t.exchange(func(s *session) int {
		if t.here(&s.client, m) && t.here(&s.server, m) {
			return 0
		}
		return 1
	})
	return t.phases
}

func (t *traffic) here(p *port, m simulation.Moment) bool {
	return p.pod == "" || p.number < 10 || p.number < 10+m.Replicas
}

// past is some of what was sent before the first moment and is still tracked;
// nothing when that is all. All at once would look like a flood.
func (t *traffic) past(m simulation.Moment) (packets [3][]packet, more bool) {
	t.phases = [3][]packet{}
	before := len(t.leaked)
	t.leak(m)
	return t.phases, len(t.leaked) > before
}

// second of the node's traffic.
func (t *traffic) second(m simulation.Moment) [3][]packet {
	t.phases = [3][]packet{}
	t.exchange(func(s *session) int {
		switch s.left--; {
		case s.left <= 0:
			return 1
		case s.left%s.every == 0:
			return 2
		}
		return 0
	})
	t.again(m)
	t.begin(m)
	t.names(m)
	t.oddities(m)
	if progress, told := m.Told(simulation.SYNFlood); told {
		t.flood(progress)
	}
	t.leak(m)
	return t.phases
}

// exchange lets the sessions go on: 1 ends one, 2 is a request and its answer.
func (t *traffic) exchange(what func(*session) int) {
	kept := t.sessions[:0]
	for _, s := range t.sessions {
		switch what(s) {
		case 0:
			kept = append(kept, s)
		case 1:
			t.send(0, s.up(fin|ack, 0))
			s.seq++
			t.send(1, s.down(fin|ack, 0))
			s.ack++
			t.send(2, s.up(ack, 0))
		case 2:
			kept = append(kept, s)
			t.send(0, s.up(psh|ack, s.request))
			s.seq += uint32(s.request)
			t.send(1, s.down(psh|ack, s.reply))
			s.ack += uint32(s.reply)
			t.send(2, s.up(ack, 0))
		}
	}
	clear(t.sessions[len(kept):])
	t.sessions = kept
}

// up is from the client, down from the server.
func (s *session) up(flags uint8, payload int) packet {
	return packet{
		in: s.client.number, src: s.sender(&s.client), dst: s.nextHop(&s.client, &s.server, s.to), kind: ethIPv4, from: s.from, to: s.to, protocol: protoTCP, ttl: 64,
		fromPort: s.fromPort, toPort: s.toPort, flags: flags, seq: s.seq, ack: s.ack, payload: payload,
	}
}

func (s *session) down(flags uint8, payload int) packet {
	from, to := s.to, s.from
	if s.server.pod != "" {
		from = s.server.address
	}
	if s.backend.IsValid() {
		from, to = s.backend, s.seen
	}
	return packet{
		in: s.server.number, src: s.sender(&s.server), dst: s.nextHop(&s.server, &s.client, s.from), kind: ethIPv4, from: from, to: to, protocol: protoTCP, ttl: 64,
		fromPort: s.target, toPort: s.fromPort, flags: flags, seq: s.ack, ack: s.seq, payload: payload,
	}
}

func (s *session) sender(p *port) mac {
	if p.number == tunnelPort {
		return gateway().mac // of the other node, which has the same
	}
	return p.mac
}

// nextHop is the Pod itself within the node's network, else the gateway.
func (s *session) nextHop(from, to *port, address netip.Addr) mac {
	switch {
	case from.number == tunnelPort:
		return tunnelMAC()
	case from.number == gatewayPort || to.pod != "" && to.address == address:
		return to.mac
	}
	return gateway().mac
}

// again sends what was dropped, as Linux does: after 1, 3, 7 and 15 seconds.
func (t *traffic) again(m simulation.Moment) {
	if _, told := m.Told(simulation.DefaultDeny); !told { // what waits is let pass, or has given up
		t.waiting = nil
	}
	kept := t.waiting[:0]
	for _, d := range t.waiting {
		d.since++
		if d.since&(d.since+1) == 0 {
			t.send(0, d.syn)
		}
		if d.since < 15 {
			kept = append(kept, d)
		}
	}
	t.waiting = kept
}

// begin connections. Those that a policy denies are SYN only: a client that is
// rejected tries anew at once, one whose SYN is dropped sends it again.
func (t *traffic) begin(m simulation.Moment) {
	_, rejected := m.Told(simulation.Rejected)
	_, isolated := m.Told(simulation.DefaultDeny)
	list := services(m)
	catalog, payments := &list[catalogGroup-1], &list[paymentsGroup-1]
	frontend, gw, tun := podPort(simulation.Frontend.Pod()), gateway(), tunnel()
	web := func() port { return podPort(simulation.Web(t.random.IntN(m.Replicas))) }

	for range t.times(t.rate * (2 + 0.03*float64(m.Replicas))) { // the load balancer's, to the members of its pool
		w := web()
		t.connect(session{client: gw, server: w, from: netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + t.random.IntN(3))}), to: w.address, toPort: simulation.WebPort, target: simulation.WebPort, request: 420, reply: 1400}, passes)
	}
	catalogs, byCatalog := 2.0, passes
	if rejected {
		catalogs, byCatalog = 4, rejects
	}
	for range t.times(t.rate * catalogs) {
		t.connect(session{client: frontend, server: podPort(simulation.Catalog.Pod()), from: frontend.address, to: catalog.address, toPort: catalog.port, target: catalog.target, request: 180, reply: 900}, byCatalog)
	}
	byPayments := passes
	if isolated {
		byPayments = drops
	}
	for range t.times(t.rate * 1.5) {
		t.connect(session{client: frontend, server: podPort(simulation.Payments.Pod()), from: frontend.address, to: payments.address, toPort: payments.port, target: payments.target, request: 350, reply: 250}, byPayments)
	}
	for range t.times(t.rate * (0.5 + 0.01*float64(m.Replicas))) {
		w := web()
		t.connect(session{client: w, server: podPort(simulation.Catalog.Pod()), from: w.address, to: catalog.address, toPort: catalog.port, target: catalog.target, request: 160, reply: 700}, passes)
	}
	for range t.times(t.rate * 1.5) { // a bank
		p := podPort(simulation.Payments.Pod())
		t.connect(session{client: p, server: gw, from: p.address, to: netip.AddrFrom4([4]byte{203, 0, 113, 80}), toPort: 443, target: 443, request: 600, reply: 400}, byPayments)
	}
	for range t.times(t.rate * 0.7) { // from outside, to a Service whose endpoint is on another node
		sessions := &list[sessionsGroup-1]
		t.connect(session{client: gw, server: tun, from: netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + t.random.IntN(3))}), to: sessions.address, backend: sessions.endpoints[0], seen: gatewayAddress(), toPort: sessions.port, target: sessions.target, request: 90, reply: 300}, passes)
	}
	for range t.times(t.rate) { // a Pod of another node
		w := web()
		t.connect(session{client: tun, server: w, from: netip.AddrFrom4([4]byte{203, 0, 113, byte(130 + t.random.IntN(20))}), to: w.address, toPort: simulation.WebPort, target: simulation.WebPort, request: 200, reply: 1200}, passes)
	}
}

// verdict of policies on a connection.
type verdict uint8

const (
	passes verdict = iota
	rejects
	drops
)

func (t *traffic) connect(s session, v verdict) {
	s.fromPort, s.every, s.left = t.source(), 1, 2+t.random.IntN(4)
	if t.random.IntN(20) == 0 { // one that is kept
		s.every, s.left = 15, 60+t.random.IntN(240)
	}
	if v == passes {
		t.handshake(&s)
		t.sessions = append(t.sessions, &s)
		return
	}
	s.seq = t.random.Uint32()
	t.send(0, s.up(syn, 0))
	if v == drops {
		t.waiting = append(t.waiting, denied{syn: s.up(syn, 0)})
	}
}

func (t *traffic) handshake(s *session) {
	s.seq, s.ack = t.random.Uint32(), 0
	server := t.random.Uint32()
	t.send(0, s.up(syn, 0))
	s.seq++
	s.ack = server
	t.send(1, s.down(syn|ack, 0))
	s.ack++
	t.send(2, s.up(ack, 0))
}

// names are asked for by Pods.
func (t *traffic) names(m simulation.Moment) {
	dns := services(m)[dnsGroup-1]
	server := podPort(simulation.DNS.Pod())
	pods := m.Pods()
	for range t.times(t.rate * (3 + 0.02*float64(m.Replicas))) {
		client := podPort(pods[t.random.IntN(len(pods))])
		if client.pod == server.pod {
			continue
		}
		if _, isolated := m.Told(simulation.DefaultDeny); isolated && client.pod == simulation.Payments.Pod().Name {
			continue
		}
		query := packet{
			in: client.number, src: client.mac, dst: gateway().mac, kind: ethIPv4, from: client.address, to: dns.address, protocol: protoUDP, ttl: 64,
			fromPort: t.source(), toPort: dns.port, payload: 40,
		}
		t.send(0, query)
		t.send(1, packet{
			in: server.number, src: server.mac, dst: client.mac, kind: ethIPv4, from: server.address, to: client.address, protocol: protoUDP, ttl: 64,
			fromPort: dns.target, toPort: query.fromPort, payload: 72,
		})
	}
}

// oddities are what the pipeline drops on an ordinary day, and ARP.
func (t *traffic) oddities(m simulation.Moment) {
	pods := m.Pods()
	anyPod := func() port { return podPort(pods[t.random.IntN(len(pods))]) }
	catalog := simulation.Catalog.Pod()
	ip := func(from port, protocol uint8, to netip.Addr, toPort uint16) packet {
		return packet{
			in: from.number, src: from.mac, dst: gateway().mac, kind: ethIPv4, from: from.address, to: to, protocol: protocol, ttl: 64, fromPort: t.source(), toPort: toPort, flags: syn,
			seq: t.random.Uint32(),
		}
	}
	for range t.times(0.5) {
		p := anyPod()
		t.send(0, packet{in: p.number, src: p.mac, dst: mac{255, 255, 255, 255, 255, 255}, kind: ethARP, from: p.address, to: gatewayAddress()})
	}
	for range t.times(0.05) { // a neighbour's address
		p := anyPod()
		t.send(0, packet{in: p.number, src: p.mac, dst: mac{255, 255, 255, 255, 255, 255}, kind: ethARP, from: netip.AddrFrom4([4]byte{192, 0, 2, 99}), to: gatewayAddress()})
	}
	for range t.times(0.2) { // of Pods as well, in bursts
		p := ip(podPort(simulation.LoadTest.Pod()), protoUDP, catalog.Address, 9)
		p.from = netip.AddrFrom4([4]byte{198, 51, 100, byte(200 + t.random.IntN(50))})
		for range 1 + t.random.IntN(4) {
			t.send(0, p)
		}
	}
	for range t.times(0.1) { // an echo reply that nobody asked for
		p := ip(anyPod(), protoICMP, catalog.Address, uint16(t.random.Uint32()))
		p.fromPort = 0
		t.send(0, p)
	}
	for range t.times(2.5 * t.rate) {
		t.send(0, ip(anyPod(), protoTCP, netip.AddrFrom4([4]byte{203, 0, 113, 81}), 23))
	}
	for range t.times(0.1) {
		t.send(0, ip(podPort(simulation.Web(0)), protoTCP, serviceAddress(10+reportsGroup), 80))
	}
	for range t.times(0.05) { // a traceroute from another node
		p := ip(tunnel(), protoUDP, catalog.Address, 33434)
		p.src, p.dst, p.from, p.ttl = gateway().mac, tunnelMAC(), netip.AddrFrom4([4]byte{203, 0, 113, 140}), 1
		t.send(0, p)
	}
	for range t.times(0.03) {
		p := anyPod()
		t.send(0, packet{in: p.number, src: p.mac, dst: mac{1, 0x80, 0xc2, 0, 0, 0x0e}, kind: ethLLDP, payload: 46})
	}
}

// flood of SYN that nobody answers, each from another port.
func (t *traffic) flood(progress float64) {
	from, to := podPort(simulation.LoadTest.Pod()), podPort(simulation.Catalog.Pod())
	n := floodRate
	if progress < 0.05 {
		n /= 2
	}
	for range n {
		if t.floodPort++; t.floodPort < 1024 {
			t.floodPort = 1024
		}
		t.send(0, packet{
			in: from.number, src: from.mac, dst: to.mac, kind: ethIPv4, from: from.address, to: to.address, protocol: protoTCP, ttl: 64,
			fromPort: t.floodPort, toPort: simulation.CatalogPort, flags: syn, seq: t.random.Uint32(),
		})
	}
}

// leak lets a client have as many connections as it should by now. It closes
// none; after the story it is restarted, and its kernel resets them.
func (t *traffic) leak(m simulation.Moment) {
	after, told := m.Since(simulation.ConnectionLeak)
	if !told {
		n := min(len(t.leaked), mostResets)
		for _, s := range t.leaked[:n] {
			t.send(0, s.up(rst, 0))
		}
		t.leaked = t.leaked[n:]
		return
	}
	client := podPort(simulation.Web(0))
	open := leakAtFirst*min(after, leakFirst)/leakFirst + leakRate*max(0, after-leakFirst)
	for range min(open-len(t.leaked), mostLeaks) {
		if t.leakPort++; t.leakPort < 1024 {
			t.leakPort = 1024
		}
		s := &session{client: client, server: gateway(), from: client.address, to: netip.AddrFrom4([4]byte{203, 0, 113, 82}), fromPort: t.leakPort, toPort: 5432, target: 5432}
		t.handshake(s)
		t.leaked = append(t.leaked, s)
	}
}
