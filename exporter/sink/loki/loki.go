// Package loki pushes records to Grafana Loki and answers for each of them:
// a batch is delivered only when every record of it is in Loki or was refused
// by it for good and stored elsewhere.
package loki

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/corkline/corkline/parsers"
)

// Options of a Sink. Only URL is required.
type Options struct {
	// URL of Loki, "http://loki:3100". PushPath is appended when it has no
	// path; a URL with a path is used as it is.
	URL string
	// Tenant is sent as X-Scope-OrgID; empty: no such header.
	Tenant string
	// Auth says who pushes, TLS how an https Loki is spoken to.
	Auth Auth
	TLS  TLS
	// Headers that every request gets, besides those of the sink's own.
	Headers map[string]string
	// Probe asks Loki for its version before the first push, since one older
	// than 2.9 takes structured metadata and drops it without a word.
	Probe bool
	// MaxAge of records, default none: older ones Loki refuses
	// (reject_old_samples_max_age), so they go to Refused at once.
	MaxAge time.Duration
	// Labels that every stream gets; those without a value are left out.
	Labels []Label
	// Budget of the values of the labels that come from fields; nil for no bound.
	Budget *Budget
	// Timeout of one request, default 10 s.
	Timeout time.Duration
	// MaxBackoff is the longest pause between two tries, default 30 s, and 4 s
	// at most while Loki cannot be reached. It also caps a Retry-After.
	MaxBackoff time.Duration
	// BatchBytes is how large a request may be before compression, default
	// 1 MiB. Only a single record may exceed it.
	BatchBytes int
	// Client that sends the requests, default one of the sink's own.
	// Redirects are never followed.
	Client *http.Client
	// UserAgent header, default "corkline".
	UserAgent string
	Metrics   *Metrics
	// Refused is called for records of b (indices), which Loki will never take,
	// with Loki's reason. It must store all of them durably, or none: after an
	// error it is called again later. Without it such records block their source.
	Refused func(ctx context.Context, b *parsers.Batch, records []int32, reason string) error
	// Log gets changes of state only, default none.
	Log *slog.Logger
}

// Label of a stream.
type Label struct{ Name, Value string }

// PushPath is where Loki takes pushes, as its HTTP API has it.
const PushPath = "/loki/api/v1/push"

const (
	defaultTimeout    = 10 * time.Second
	defaultMaxBackoff = 30 * time.Second
	defaultBatchBytes = 1 << 20
	firstBackoff      = 100 * time.Millisecond
	// awayBackoff is the longest pause while Loki cannot be reached.
	awayBackoff = 4 * time.Second
)

// Sink pushes batches to one Loki. It may be used by many goroutines.
type Sink struct {
	url        *url.URL
	header     http.Header
	client     *http.Client
	own        *http.Transport // nil when the client was given
	timeout    time.Duration
	maxBackoff time.Duration
	batchBytes int
	maxAge     time.Duration
	auth       Auth
	refusing   sync.Mutex // held while refused is called
	refused    func(ctx context.Context, b *parsers.Batch, records []int32, reason string) error
	metrics    *Metrics
	health     health
	form       form
	order      order
	splitter   func() *splitter
	splitters  sync.Pool  // of *splitter
	encoding   sync.Mutex // held while a request is encoded
	buffers    sync.Pool  // of *buffer, to encode in
	payloads   sync.Pool  // of *buffer, of payloads
}

// New returns a Sink, or an error that names the key of the configuration
// that cannot be used. It does not connect.
func New(o Options) (*Sink, error) {
	target, err := pushURL(o.URL)
	if err != nil {
		return nil, err
	}
	if err := checkLabels(o.Labels); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(o.Tenant, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("loki.tenant: %q: use printable ASCII without blanks", o.Tenant)
	}
	if o.Timeout < 0 || o.MaxBackoff < 0 || o.BatchBytes < 0 || o.MaxAge < 0 {
		return nil, errors.New("loki: timeout, backoff, age or batch size is negative")
	}
	if err := o.Auth.check(); err != nil {
		return nil, err
	}
	s := &Sink{
		url:        target,
		header:     http.Header{"Content-Type": {"application/x-protobuf"}},
		timeout:    o.Timeout,
		maxBackoff: o.MaxBackoff,
		batchBytes: o.BatchBytes,
		maxAge:     o.MaxAge,
		auth:       o.Auth,
		refused:    o.Refused,
		metrics:    o.Metrics,
		health:     health{log: o.Log, faults: make(map[string]bool)},
		order:      order{last: make(map[string]chan struct{})},
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.maxBackoff == 0 {
		s.maxBackoff = defaultMaxBackoff
	}
	if s.batchBytes == 0 {
		s.batchBytes = defaultBatchBytes
	}
	if s.refused == nil {
		s.refused = func(context.Context, *parsers.Batch, []int32, string) error {
			return errors.New("no place for such records is configured")
		}
	}
	if s.metrics == nil {
		s.metrics = NewMetrics(nil)
	}
	if s.health.log == nil {
		s.health.log = slog.New(slog.DiscardHandler)
	}
	if o.UserAgent == "" {
		o.UserAgent = "corkline"
	}
	for name, value := range o.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
		s.header.Set(name, value)
	}
	s.header.Set("User-Agent", o.UserAgent)
	if o.Tenant != "" {
		s.header.Set("X-Scope-OrgID", o.Tenant)
	}
	// A push may be repeated, since Loki folds repeats: with this key, which is
	// not sent, the transport itself tries again on a fresh connection when the
	// one it kept turns out to be closed.
	s.header["Idempotency-Key"] = []string{}

	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	} else {
		if s.own, err = newTransport(o.TLS); err != nil {
			return nil, err
		}
		client.Transport = s.own
	}
	// What a redirect leads to is not known to be Loki.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &client

	s.form.probed.Store(!o.Probe)
	labels := append([]Label(nil), o.Labels...)
	s.splitter = func() *splitter { return newSplitter(labels, o.Budget) }
	s.splitters.New = func() any { return s.splitter() }
	s.buffers.New = func() any { return new(buffer) }
	s.payloads.New = func() any { return new(buffer) }
	return s, nil
}

// pushURL that belongs to the configured one. No error quotes it, since it
// may hold a password.
func pushURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || raw == "":
		return nil, errors.New("loki.url: not a URL like http://loki:3100")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("loki.url: the scheme is neither http nor https; want a URL like http://loki:3100")
	case u.Hostname() == "":
		return nil, errors.New("loki.url: no host; want a URL like http://loki:3100")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = PushPath, ""
	}
	u.Fragment = ""
	return u, nil
}

// newTransport keeps to HTTP/1.1: on one HTTP/2 connection, a peer that hangs
// would hold up every source at once.
func newTransport(t TLS) (*http.Transport, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		TLSClientConfig:     config,
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 8,
		DisableCompression:  true,
		Protocols:           protocols,
	}, nil
}

// Close closes the idle connections of the sink's own client.
func (s *Sink) Close() error {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
	return nil
}

// Begin gives b its turns behind the batches that were begun before, and
// returns what delivers it, which has to be called, and may be while earlier
// ones are still on their way. That returns nil when every record of b is in
// Loki or was taken by Options.Refused. Whatever else happens is retried, with
// the same bytes and for as long as it takes; the only error is that of ctx,
// which takes effect when the earlier batches of its streams have ended.
//
// A request carries one stream only. For a request with more of them an
// ingester tells what became of the last one and is silent about the others
// (Loki 3.7, pkg/ingester/instance.go, Push), so a 204 would acknowledge
// entries that it dropped.
//
// The requests of different streams are on their way at the same time, those
// of one stream one after the other, in the order of their batches: Loki
// refuses what comes long behind the newest entry of its stream.
func (s *Sink) Begin(b *parsers.Batch) (deliver func(ctx context.Context) error) {
	split := s.splitters.Get().(*splitter)
	streams := split.streams(b)
	slices.SortStableFunc(streams, func(a, b *stream) int { return len(b.records) - len(a.records) })
	turns := s.order.queue(streams)
	return func(ctx context.Context) error {
		defer s.splitters.Put(split)
		errs := make([]error, len(streams))
		first := 0
		if len(streams) > 0 && (len(streams) == 1 || !s.health.good()) {
			// A Loki that may be away shall not take some streams of a batch, and
			// again after a crash, while the batch waits for the others.
			errs[0] = s.sendStream(ctx, b, streams[0], turns[0])
			first = 1
		}
		pushes := make(chan struct{}, maxPushes)
		var wait sync.WaitGroup
		for i := first; i < len(streams); i++ {
			pushes <- struct{}{}
			wait.Go(func() {
				errs[i] = s.sendStream(ctx, b, streams[i], turns[i])
				<-pushes
			})
		}
		wait.Wait()
		return errors.Join(errs...)
	}
}

// maxPushes of one batch are on their way at the same time, the largest first:
// a batch takes as long as that one, and the others share what Loki has left.
const maxPushes = 4

// sendStream sees to the records of one stream, when it is their turn.
func (s *Sink) sendStream(ctx context.Context, b *parsers.Batch, st *stream, t turn) error {
	defer s.order.end(st, t)
	records, err := s.young(ctx, b, st.records)
	var ready *payload
	if err == nil && len(records) > 0 {
		ready = s.encode(b, st, records) // while Loki is busy with the one before
	}
	if t.before != nil {
		<-t.before // also when ctx has ended: what comes behind is not to overtake it
	}
	if err == nil {
		err = s.send(ctx, b, st, records, ready)
	}
	if err != nil {
		return fmt.Errorf("push to loki: %w", err)
	}
	return nil
}

// young gives the records that Loki does not refuse for their age, and hands
// the others to Options.Refused.
func (s *Sink) young(ctx context.Context, b *parsers.Batch, records []int32) ([]int32, error) {
	if s.maxAge == 0 {
		return records, nil
	}
	limit := time.Now().Add(-s.maxAge).UnixNano()
	young := records[:0] // in their place: none is looked at twice
	var old []int32
	for _, i := range records {
		if b.Records[i].Time >= limit {
			young = append(young, i)
		} else {
			old = append(old, i)
		}
	}
	reason := fmt.Sprintf("older than %s (loki.max_age)", s.maxAge)
	for some := range slices.Chunk(old, refusedAtOnce) {
		if err := s.refuse(ctx, b, some, reason); err != nil {
			return nil, err
		}
	}
	return young, nil
}

// refusedAtOnce are handed to Options.Refused together: what it makes of them
// is several times as large as they are.
const refusedAtOnce = 256

// send pushes records of one stream, given as indices into b.Records. The first
// request may be ready.
func (s *Sink) send(ctx context.Context, b *parsers.Batch, st *stream, records []int32, ready *payload) error {
	if err := s.probe(ctx); err != nil {
		return fmt.Errorf("ask loki for its version: %w", err)
	}
	for len(records) > 0 {
		if ready == nil || ready.packed != s.form.packed.Load() {
			ready = s.encode(b, st, records)
		}
		n := ready.records
		a, err := s.push(ctx, ready)
		s.release(ready)
		ready = nil
		if err == nil && a.verdict == pack {
			s.form.pack(s.health.log, a.text)
			continue
		}
		if err == nil && a.verdict == narrow {
			// Of a request that it answers with 400 Loki has taken the valid
			// entries. It folds them when the halves repeat them.
			if n == 1 {
				err = s.refuse(ctx, b, records[:1], a.text)
			} else if err = s.send(ctx, b, st, records[:n/2], nil); err == nil {
				err = s.send(ctx, b, st, records[n/2:n], nil)
			}
		}
		if err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// encode the first of records, as many as fit into a request.
func (s *Sink) encode(b *parsers.Batch, st *stream, records []int32) *payload {
	p := &payload{packed: s.form.packed.Load(), buffer: s.payloads.Get().(*buffer)}
	s.encoding.Lock() // so that there are two large buffers, however many pushes
	defer s.encoding.Unlock()
	plain, snappy := s.buffers.Get().(*buffer), s.buffers.Get().(*buffer)
	request, n := st.encode(plain, b, records, s.batchBytes, p.packed)
	snappy.bytes = s2.EncodeSnappy(snappy.bytes, request)
	p.buffer.bytes = append(p.buffer.bytes[:0], snappy.bytes...)
	p.data, p.records = p.buffer.bytes, n
	s.recycle(plain)
	s.recycle(snappy)
	return p
}

// push a request until Loki has taken it or refused it.
func (s *Sink) push(ctx context.Context, p *payload) (a answer, err error) {
	first := true
	err = s.persist(ctx, func() answer {
		if !first {
			s.metrics.retries.Inc()
		}
		first = false
		if a = s.post(ctx, p); a.verdict == pack && p.packed { // there is none to leave out
			a.verdict = again
		}
		return a
	})
	if err == nil {
		s.health.answered(time.Now(), a.verdict == taken)
	}
	return a, err
}

// refuse hands records to Options.Refused until that has stored them.
func (s *Sink) refuse(ctx context.Context, b *parsers.Batch, records []int32, reason string) error {
	return s.persist(ctx, func() answer {
		s.refusing.Lock()
		defer s.refusing.Unlock()
		if err := s.refused(ctx, b, records, reason); err != nil {
			return answer{verdict: again, kind: "refused", text: fmt.Sprintf("store what loki refused: %v", err)}
		}
		return answer{verdict: taken}
	})
}

// persist calls try until its verdict is another than again, and pauses
// longer and longer in between. Its error is that of ctx.
func (s *Sink) persist(ctx context.Context, try func() answer) error {
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a := try()
		if a.verdict != again {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := s.pause(n, a)
		s.health.failed(time.Now(), pause, a.kind, a.text)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// pause before the try that follows the n-th, counted from 0: doubled each
// time, its second half drawn by lot so that agents do not come back in step.
func (s *Sink) pause(n int, a answer) time.Duration {
	d := s.maxBackoff
	if a.away {
		d = min(d, awayBackoff) // its return is to be seen soon
	}
	if n < 16 {
		d = min(d, firstBackoff<<n)
	}
	d -= rand.N(d/2 + 1)
	return min(max(d, a.retryAfter), s.maxBackoff)
}
