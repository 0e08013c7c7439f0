package simulation

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// tcpService is shop-tcp: partners who pay over connections of their own. What
// cuts shop/payments off cuts its servers off.
type tcpService struct {
	virtualService
	options Options
}

func newTCPService(o Options) *tcpService {
	s := &tcpService{newVirtualService(o, L4Service, 2, 9443), o}
	s.rfc5424, s.address6 = true, netip.MustParseAddr("2001:db8:62::62")
	return s
}

// Connections that end in a second at rate 1.
const tcpRate = 5

// payments gives a server of the pool shop-payments-pool.
func payments(i int) Pod {
	if i == 0 {
		return Payments.Pod()
	}
	return Pod{Name: "payments-" + strconv.Itoa(i), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(40 + i)})}
}

const paymentServers = 3

func (s *tcpService) arrivals(m Moment) []arrival {
	rate := tcpRate * s.rate * daytime(m)
	_, known := s.options.seen(m).Told(DefaultDeny)
	if known {
		rate /= 3 // partners wait before they try again
	}
	var all []arrival
	for range s.pace.take(s.rng, rate) {
		all = append(all, arrival{anyMicrosecond(s.rng), func(at time.Time, out Output) { s.connect(m, known, at, out) }})
	}
	return all
}

// say implements talker.
func (s *tcpService) say(m Moment, at time.Time, out Output) { s.connect(m, false, at, out) }

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

// connect has a connection end, when the monitors know that there is no server or
// do not.
func (s *tcpService) connect(m Moment, known bool, at time.Time, out Output) {
	c := &connection{entry: s.next(), server: s.rng.IntN(paymentServers)}
	c.at, c.clientRTT = at, int(around(s.rng, c.client.rtt, 0.1))
	_, cut := m.Told(DefaultDeny)
	switch {
	case known:
		c.server = -1
		c.rx, c.total = 60, 1
		c.reasons = append(c.reasons, noServer)
	case cut:
		// What is cut off neither answers nor refuses.
		c.rx, c.total = 60+s.rng.IntN(600), 6000+s.rng.IntN(300)
		c.syns = 3
		c.reasons = append(c.reasons, serverSetupTimeout, unansweredSYNs)
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
	of := labels("pool", pool, "virtualservice", s.name)
	out.Count("corkline_virtualservice_connections_total", labels("pool", pool, "protocol", "TCP", "server", server, "virtualservice", s.name), 1)
	count := func(metric string, n int) { out.Count("corkline_virtualservice_"+metric, of, float64(n)) }
	count("connection_received_bytes_total", c.rx)
	count("connection_sent_bytes_total", c.tx)
	count("client_retransmits_total", c.retransmits)
	count("server_retransmits_total", c.serverResends)
	count("syn_retransmits_total", c.syns)
	count("connection_duration_seconds_count", 1)
	count("client_rtt_seconds_count", 1)
	if c.answers {
		count("server_rtt_seconds_count", 1)
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
		c.reasons = append(c.reasons, serverReset)
	case chance < 0.02:
		c.reasons = append(c.reasons, clientReset)
	case chance < 0.03:
		c.retransmits = 6 + s.rng.IntN(20)
		c.total += 200 * c.retransmits
		c.reasons = append(c.reasons, manyRetransmits)
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
	o.string("start_timestamp", c.at.Add(-time.Duration(c.total)*time.Millisecond).Format(stampMicro))
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
	for _, counter := range []struct {
		name string
		n    int
	}{{"num_syn_retransmit", c.syns}, {"retransmits", c.retransmits}, {"server_retransmits", c.serverResends}} {
		if counter.n > 0 {
			o.number(counter.name, counter.n)
		}
	}
	if c.server >= 0 {
		server := payments(c.server)
		o.string("pool", uuid("pool", 2))
		o.string("pool_name", L4Pool)
		o.string("server_ip", server.Address.String())
		o.string("server_name", server.Name)
		o.string("server_conn_src_ip", fmt.Sprintf("198.51.100.%d", 2+c.engine%50))
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
