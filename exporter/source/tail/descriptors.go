package tail

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
)

// descriptors bounds how many files all Tailers have open.
type descriptors struct {
	open atomic.Int64
	// From soft on, files at their end and files that can be opened again are
	// closed. There are more only if none of those is left, and never above hard.
	soft, hard int64
}

// softDescriptors are plenty for the files of a node that change.
const softDescriptors = 512

// limit leaves half of what the process may open to the rest of it.
func (d *descriptors) limit() {
	d.soft, d.hard = softDescriptors, softDescriptors
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		d.hard = int64(min(r.Cur, 1<<20) / 2)
		d.soft = min(d.soft, d.hard/2)
	}
}

// errTooMany marks a file that has to wait until another is read to its end.
var errTooMany = errors.New("too many files are open that must stay so")

// take must be followed by give unless it fails.
func (d *descriptors) take() error {
	if d.open.Add(1) > d.hard {
		d.open.Add(-1)
		return fmt.Errorf("%w: RLIMIT_NOFILE allows %d", errTooMany, d.hard)
	}
	return nil
}

func (d *descriptors) give() { d.open.Add(-1) }

// tight reports whether files are to be closed.
func (d *descriptors) tight() bool { return d.open.Load() >= d.soft }
