package netlink

import (
	"context"
	"fmt"
	"iter"
)

// Recording is what the reads of a dump have brought, to be given again.
type Recording iter.Seq[[]byte]

// Dump gives the entries as Conn.Dump does. All messages are taken for those of
// one dump, which need not end.
func (r Recording) Dump(ctx context.Context, filter Filter, each func(*Entry)) (DumpStats, error) {
	d := dump{filter: &filter, each: each}
	for buffer := range r {
		d.stats.Reads++
		d.stats.Bytes += uint64(len(buffer))
		done, err := d.entries(buffer)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return d.stats, fmt.Errorf("dump conntrack: %w", err)
		}
		if done {
			break
		}
	}
	return d.stats, nil
}
