package simulation

import (
	"net/netip"
	"time"
)

// tcpService is shop-tcp: partners who pay over connections of their own. What
// cuts shop/payments off cuts its servers off.
type tcpService struct {
	virtualService
	options Options
	known   bool   // to the monitors, that there is no server
	pool    string // its UUID
	last    connection
}

func newTCPService(o Options) *tcpService {
	s := &tcpService{virtualService: newVirtualService(o, L4Service, 2, 9443), options: o, pool: uuid("pool", 2)}
	s.rfc5424, s.address6 = true, netip.MustParseAddr("2001:db8:62::62")
	return s
}

// Connections that end in a second at rate 1.
const tcpRate = 5

// payments gives a server of the pool shop-payments-pool.
func payments(i int) Pod {
	names := [paymentServers]string{1: "payments-1", 2: "payments-2"}
	if i == 0 {
		return Payments.Pod()
	}
	return Pod{Name: names[i], Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(40 + i)})}
}

const paymentServers = 3

func (s *tcpService) arrivals(m Moment, all []arrival) []arrival {
	rate := tcpRate * s.rate * daytime(m)
	_, s.known = s.options.seen(m).Told(DefaultDeny)
	if s.known {
		rate /= 3 // partners wait before they try again
	}
	for range s.pace.take(s.rng, rate) {
		all = append(all, arrival{after: anyMicrosecond(s.rng), at: s})
	}
	return all
}

func (s *tcpService) arrive(m Moment, _ int, at time.Time, out Output) { s.connect(m, at, out) }

// say implements talker.
func (s *tcpService) say(m Moment, at time.Time, out Output) { s.connect(m, at, out) }

// connection of a client. Times are whole milliseconds.
type connection struct {
	entry
	server        int // of the pool; -1: there was none
	answers       bool
	clientRTT     int
	serverRTT     int
	total         int
	rx, tx        int // bytes from and to the client
	retransmits   int
	serverResends int
	syns          int // that were sent again
	transactions  int
}

// connect has a connection end.
func (s *tcpService) connect(m Moment, at time.Time, out Output) {
	c := &s.last
	*c = connection{entry: s.next(), server: s.rng.IntN(paymentServers)}
	c.at, c.clientRTT = at, int(around(s.rng, c.client.rtt, 0.1))
	_, cut := m.Told(DefaultDeny)
	switch {
	case s.known:
		c.server = -1
		c.rx, c.total = 60, 1
		c.reasons.add(noServer)
	case cut:
		// What is cut off neither answers nor refuses.
		c.rx, c.total = 60+s.rng.IntN(600), 6000+s.rng.IntN(300)
		c.syns = 3
		c.reasons.add(serverSetupTimeout)
		c.reasons.add(unansweredSYNs)
	default:
		s.pay(c)
	}
	if !s.log("avi-connection", &c.entry, out, func(o *object) { s.members(o, c) }, "protocol", "TCP") {
		return
	}
	pool, server := "", ""
	if c.server >= 0 {
		pool, server = L4Pool, payments(c.server).Name
	}
	of := s.kept.labels("pool", pool, "virtualservice", s.name)
	out.Count("corkline_virtualservice_connections_total", s.kept.labels("pool", pool, "protocol", "TCP", "server", server, "virtualservice", s.name), 1)
	count := func(metric string, n int) { out.Count(metric, of, float64(n)) }
	count("corkline_virtualservice_connection_received_bytes_total", c.rx)
	count("corkline_virtualservice_connection_sent_bytes_total", c.tx)
	count("corkline_virtualservice_client_retransmits_total", c.retransmits)
	count("corkline_virtualservice_server_retransmits_total", c.serverResends)
	count("corkline_virtualservice_syn_retransmits_total", c.syns)
	count("corkline_virtualservice_connection_duration_seconds_count", 1)
	count("corkline_virtualservice_client_rtt_seconds_count", 1)
	if c.answers {
		count("corkline_virtualservice_server_rtt_seconds_count", 1)
	}
	s.countReasons(&c.entry, "corkline_virtualservice_significant_connections_total", out)
}

// pay is a connection that comes about.
func (s *tcpService) pay(c *connection) {
	c.answers, c.serverRTT = true, 1+s.rng.IntN(2)
	c.transactions = 1 + s.rng.IntN(12)
	c.rx, c.tx = int(around(s.rng, 900*float64(c.transactions), 0.3)), int(around(s.rng, 2600*float64(c.transactions), 0.4))
	c.total = 2*c.clientRTT + int(around(s.rng, 220*float64(c.transactions), 0.7))
	switch chance := s.rng.Float64(); {
	case chance < 0.01:
		c.reasons.add(serverReset)
	case chance < 0.02:
		c.reasons.add(clientReset)
	case chance < 0.03:
		c.retransmits = 6 + s.rng.IntN(20)
		c.total += 200 * c.retransmits
		c.reasons.add(manyRetransmits)
	case chance < 0.1:
		c.retransmits = 1 + s.rng.IntN(3)
	case chance < 0.12:
		c.syns = 1
	case chance < 0.14:
		c.serverResends = 1 + s.rng.IntN(2)
	}
}

func (s *tcpService) members(o *object, c *connection) {
	o.number("client_rtt", c.clientRTT)
	o.time("start_timestamp", c.at.Add(-time.Duration(c.total)*time.Millisecond))
	o.number("connection_ended", 1)
	o.string("protocol", "PROTOCOL_TCP")
	o.number("mss", 1460)
	o.number("rx_bytes", c.rx)
	o.number("rx_pkts", 3+c.rx/1200)
	o.number("tx_bytes", c.tx)
	o.number("tx_pkts", 3+c.tx/1200)
	o.number("total_bytes", c.rx+c.tx)
	o.number("total_pkts", 6+c.rx/1200+c.tx/1200)
	o.number("num_transaction", c.transactions)
	// Zeros are left out.
	for _, counter := range [...]struct {
		name string
		n    int
	}{{"num_syn_retransmit", c.syns}, {"retransmits", c.retransmits}, {"server_retransmits", c.serverResends}} {
		if counter.n > 0 {
			o.number(counter.name, counter.n)
		}
	}
	if c.server >= 0 {
		server := payments(c.server)
		o.string("pool", s.pool)
		o.string("pool_name", L4Pool)
		o.address("server_ip", server.Address)
		o.string("server_name", server.Name)
		o.address("server_conn_src_ip", sourceAddress(c.engine))
		o.number("server_dest_port", 9443)
		o.number("server_src_port", 10000+s.rng.IntN(50000))
	}
	if c.answers {
		o.number("server_rtt", c.serverRTT)
		o.number("server_rx_bytes", c.tx)
		o.number("server_tx_bytes", c.rx)
		o.number("conn_est_time_be", c.serverRTT)
	}
	o.number("conn_est_time_fe", c.clientRTT)
	o.number("total_time", c.total)
}
