package loki

import "sync"

// order of the batches that share a stream: each pushes its part when those
// before it have.
type order struct {
	mu   sync.Mutex
	last map[string]chan struct{} // by the stream's head: closed when the last part so far is through
}

// turn of one part.
type turn struct {
	before  <-chan struct{} // closed when it has come; nil: at once
	through chan struct{}   // to be closed
}

// queue gives the streams of a batch their turns.
func (o *order) queue(streams []*stream) []turn {
	turns := make([]turn, len(streams))
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, st := range streams {
		turns[i] = turn{o.last[string(st.head)], make(chan struct{})}
		o.last[string(st.head)] = turns[i].through
	}
	return turns
}

// end a stream's turn.
func (o *order) end(st *stream, t turn) {
	close(t.through)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last[string(st.head)] == t.through {
		delete(o.last, string(st.head))
	}
}
