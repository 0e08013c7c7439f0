// Package ovsdb reads rows of an OVSDB server over its Unix socket (RFC 7047).
package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Select asks for columns of all rows of a table.
type Select struct {
	Table   string
	Columns []string // _uuid is one of them
}

// Row is the values of columns by their names.
type Row map[string]Value

// maxReply bytes are read at most; a port has about one KB.
const maxReply = 64 << 20

// Read gives the rows of tables as they are in one transaction. The connection
// is this call's own: nothing is kept up, and nothing can be stale.
func Read(ctx context.Context, path, database string, selects ...Select) ([][]Row, error) {
	rows, err := read(ctx, path, database, selects)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return nil, fmt.Errorf("read database %s: %w", database, err)
	}
	return rows, nil
}

func read(ctx context.Context, path, database string, selects []Select) ([][]Row, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = conn.SetDeadline(time.Unix(1, 0)) // wakes the read; its error is the one that counts
	})
	defer func() {
		if !stop() {
			<-done
		}
	}()

	params := []any{database}
	for _, s := range selects {
		params = append(params, map[string]any{"op": "select", "table": s.Table, "where": []any{}, "columns": s.Columns})
	}
	request := map[string]any{"method": "transact", "params": params, "id": 1}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	return decode(io.LimitReader(conn, maxReply), selects)
}

// decode reads the reply to a transaction; what the server asks itself, such as
// an echo, is passed over.
func decode(from io.Reader, selects []Select) ([][]Row, error) {
	decoder := json.NewDecoder(from)
	for {
		var reply struct {
			Method string          `json:"method"`
			ID     json.RawMessage `json:"id"`
			Error  json.RawMessage `json:"error"`
			Result []*struct {
				Rows    []Row  `json:"rows"`
				Error   string `json:"error"`
				Details string `json:"details"`
			} `json:"result"`
		}
		if err := decoder.Decode(&reply); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read the reply: %w", err)
		}
		if reply.Method != "" || string(reply.ID) != "1" {
			continue
		}
		if len(reply.Error) > 0 && string(reply.Error) != "null" {
			return nil, fmt.Errorf("the server answers: %s", reply.Error)
		}
		all := make([][]Row, len(selects))
		for i := range selects {
			switch {
			case i >= len(reply.Result) || reply.Result[i] == nil:
				return nil, fmt.Errorf("the server answers nothing on table %s", selects[i].Table)
			case reply.Result[i].Error != "":
				return nil, fmt.Errorf("the server answers on table %s: %s: %s", selects[i].Table, reply.Result[i].Error, reply.Result[i].Details)
			}
			all[i] = reply.Result[i].Rows
		}
		return all, nil
	}
}

// Value is that of a column, in JSON as RFC 7047, section 5.1, has it. Its
// methods give what it holds, and the empty value when it is of another type.
type Value json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(text []byte) error {
	*v = append((*v)[:0], text...)
	return nil
}

// Text is a string.
func (v Value) Text() string {
	var text string
	_ = json.Unmarshal(v, &text) // of another type: empty
	return text
}

// Int is a number, or the only one of a set; an empty set has none.
func (v Value) Int() (n int64, ok bool) {
	if elements := v.set(); len(elements) == 1 {
		return n, json.Unmarshal(elements[0], &n) == nil
	}
	return 0, false
}

// UUIDs are those of a set, or the one that it is.
func (v Value) UUIDs() (ids []string) {
	for _, element := range v.set() {
		if id, ok := tagged[string](element, "uuid"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Map is a map of strings.
func (v Value) Map() map[string]string {
	pairs, _ := tagged[[][2]string](v, "map")
	m := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		m[pair[0]] = pair[1]
	}
	return m
}

// set gives the elements: one is written without the set around it.
func (v Value) set() []json.RawMessage {
	if elements, ok := tagged[[]json.RawMessage](v, "set"); ok {
		return elements
	}
	if len(v) == 0 {
		return nil
	}
	return []json.RawMessage{json.RawMessage(v)}
}

// tagged reads ["tag", value].
func tagged[T any](text []byte, tag string) (value T, ok bool) {
	var parts []json.RawMessage
	if json.Unmarshal(text, &parts) != nil || len(parts) != 2 {
		return value, false
	}
	var name string
	if json.Unmarshal(parts[0], &name) != nil || name != tag {
		return value, false
	}
	return value, json.Unmarshal(parts[1], &value) == nil
}
