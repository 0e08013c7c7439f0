package loki

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// buffer is what the sink's pool holds.
type buffer struct{ bytes []byte }

// payload is the body of a request, the same for each try.
type payload struct {
	data    []byte
	records int     // that it holds
	packed  bool    // as JSON lines
	buffer  *buffer // that data lies in
	open    atomic.Int32
}

// reader of the payload, for one try.
func (p *payload) reader() io.ReadCloser {
	p.open.Add(1)
	return &payloadReader{payload: p, rest: bytes.NewReader(p.data)}
}

// payloadReader tells its payload when it is closed. A transport may read a
// request's body even after it has returned the response, until it closes it.
type payloadReader struct {
	payload *payload
	mu      sync.Mutex
	rest    *bytes.Reader // nil once closed
}

var errClosed = errors.New("the body is closed")

func (r *payloadReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rest == nil {
		return 0, errClosed
	}
	return r.rest.Read(b)
}

func (r *payloadReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rest != nil {
		r.rest = nil
		r.payload.open.Add(-1)
	}
	return nil
}

// release gives the payload's buffer back, unless a transport still reads it.
func (s *Sink) release(p *payload) {
	if p.buffer != nil && p.open.Load() == 0 {
		s.payloads.Put(p.buffer)
	}
	p.data, p.buffer = nil, nil
}

// recycle keeps a buffer for later, unless one huge record has swollen it.
func (s *Sink) recycle(b *buffer) {
	if cap(b.bytes) <= 2*s.batchBytes {
		s.buffers.Put(b)
	}
}

// maxErrorText is how much of an error's body is read, in bytes.
const maxErrorText = 8 << 10

// post the payload once.
func (s *Sink) post(ctx context.Context, p *payload) answer {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	header := s.header.Clone()
	if err := s.auth.apply(header); err != nil {
		return answer{verdict: again, kind: statusError, text: err.Error()}
	}
	request := (&http.Request{
		Method:        http.MethodPost,
		URL:           s.url,
		Host:          s.url.Host,
		Header:        header,
		Body:          p.reader(),
		GetBody:       func() (io.ReadCloser, error) { return p.reader(), nil },
		ContentLength: int64(len(p.data)),
	}).WithContext(ctx)

	start := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		s.metrics.observe(statusError, len(p.data), time.Since(start))
		return s.unanswered(err)
	}
	defer response.Body.Close()
	// The status is the answer, also when the text after it is cut off.
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorText))
	a := s.judge(response, string(text), time.Now())
	s.metrics.observe(a.kind, len(p.data), time.Since(start))
	return a
}
