package exporter

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/corkline/corkline/exporter/sink/loki/lokitest"
)

// hang is the answer of a Loki that gives none.
const hang = -1

// entry is one line as it was pushed.
type entry struct {
	Stream   string
	Time     int64
	Line     string
	Metadata string // name=value, joined by blanks, without the definition's fields
}

// receiver is a Loki that decodes what it gets. As the real one it takes the
// good entries of a request that it answers with 400.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	next     []int // statuses of the next answers; then 204
	always   int   // instead of 204, when it is not 0
	refuse   string
	newest   map[string]int64 // by stream; nil: entries may be of any age
	furthest time.Duration    // that an entry lay behind the newest of its stream
	bodies   [][]byte
	entries  []entry // taken, repeats too
	statuses map[int]int
}

func newReceiver(t *testing.T, next ...int) *receiver {
	t.Helper()
	r := &receiver{t: t, next: next, statuses: map[int]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// answer with this status until it is called with 0.
func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.always = status
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodGet { // of a version, which it keeps to itself
		http.NotFound(w, request)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the agent was stopped while it sent
	}
	plain, err := s2.Decode(nil, body)
	var entries []entry
	if err == nil {
		entries, err = decodePush(plain)
	}
	if err != nil {
		r.t.Errorf("decode push: %s", err)
	}
	switch status, text := r.take(body, entries); {
	case status == hang:
		<-request.Context().Done()
	case status != http.StatusNoContent:
		http.Error(w, text, status)
	default:
		w.WriteHeader(status)
	}
}

func (r *receiver) take(body []byte, entries []entry) (status int, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.statuses[status]++ }()
	r.bodies = append(r.bodies, body)
	if r.always != 0 {
		return r.always, "not now"
	}
	if len(r.next) > 0 {
		status, r.next = r.next[0], r.next[1:]
		return status, "not now"
	}
	refused := 0
	for _, e := range entries {
		if r.refuse != "" && strings.Contains(e.Line, r.refuse) {
			refused++
			continue
		}
		if r.newest != nil {
			// Loki refuses what is half of max_chunk_age behind the newest so far.
			r.furthest = max(r.furthest, time.Duration(r.newest[e.Stream]-e.Time))
			r.newest[e.Stream] = max(r.newest[e.Stream], e.Time)
		}
		r.entries = append(r.entries, e)
	}
	if refused > 0 {
		return http.StatusBadRequest, "entry has a forbidden word"
	}
	return http.StatusNoContent, ""
}

// folded gives the entries that Loki would keep: one of those that are equal,
// in the order of their time.
func (r *receiver) folded() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[entry]bool{}
	var all []entry
	for _, e := range r.entries {
		if !seen[e] {
			seen[e] = true
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return int(a.Time - b.Time) })
	return all
}

// lines of the folded entries.
func (r *receiver) lines() []string {
	var lines []string
	for _, e := range r.folded() {
		lines = append(lines, e.Line)
	}
	return lines
}

// taken is the number of entries that were taken, with repeats.
func (r *receiver) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}

func (r *receiver) requests() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

func (r *receiver) count(status int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statuses[status]
}

// decodePush reads a logproto.PushRequest.
func decodePush(request []byte) (all []entry, err error) {
	streams, err := lokitest.Decode(request)
	for _, s := range streams {
		for _, e := range s.Entries {
			var metadata []string
			for _, l := range e.Metadata {
				metadata = append(metadata, l.Name+"="+l.Value)
			}
			all = append(all, entry{s.Labels, e.Time, e.Line, strings.Join(metadata, " ")})
		}
	}
	return all, err
}
