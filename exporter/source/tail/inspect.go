package tail

import (
	"errors"
	"maps"
	"time"
)

const (
	// turnBytes are decompressed at most by a Scan or a Fill to look into packed
	// files: a fraction of a second, in which the other files wait.
	turnBytes = 96 << 20
	// inspections is how many packed files are looked into at the same time, from
	// turn to turn. Each takes about 100 KiB.
	inspections = 4
)

// inspection is what is known of a packed file that is not followed.
type inspection struct {
	size     int64 // of the file, with modified: it was not written to since
	modified time.Time
	scan     uint64   // that asked for it last
	content  *content // open, as it takes several turns; nil else
	// What it held, once that was measured, and whether it had a piece of evidence.
	measured bool
	bytes    int64
	damage   error
	verdicts map[evidence]bool
}

// inspect takes up what is known of a packed file that has been opened, which it
// may replace by itself, opened before.
func (t *Tailer) inspect(c *content) (*content, error) {
	c.packed.turn = &t.turn
	i := t.inspected[c.id]
	if i == nil || i.size != c.info.Size() || !i.modified.Equal(c.info.ModTime()) {
		err := t.release(i)
		i = &inspection{size: c.info.Size(), modified: c.info.ModTime(), verdicts: make(map[evidence]bool)}
		t.inspected[c.id] = i
		if err != nil {
			return nil, errors.Join(err, t.shut(c))
		}
	}
	i.scan = t.scans
	if i.content != nil {
		before := i.content
		i.content, before.path = nil, c.path
		return before, t.shut(c)
	}
	if i.measured {
		c.size, c.packed.size, c.packed.damage, c.packed.rest = i.bytes, i.bytes, i.damage, nil
	} else if t.busyInspections() >= inspections {
		c.packed.turn = &turn{} // the others first
	}
	return c, nil
}

func (t *Tailer) busyInspections() (n int) {
	for _, i := range t.inspected {
		if i.content != nil {
			n++
		}
	}
	return n
}

// keep what is known of a packed file that is about to be closed, and reports
// whether that itself is kept open.
func (t *Tailer) keep(c *content) bool {
	i := t.inspected[c.id]
	if i == nil || i.size != c.info.Size() || !i.modified.Equal(c.info.ModTime()) {
		return false
	}
	if c.packed.rest == nil {
		i.measured, i.bytes, i.damage = true, c.packed.size, c.packed.damage
	}
	if !c.packed.long || i.content != nil || t.closed || t.busyInspections() >= inspections {
		return false
	}
	i.content = c
	return true
}

// has reports whether the evidence is of a content.
func (t *Tailer) has(c *content, e evidence) (bool, error) {
	if c.packed == nil {
		return c.has(e, t.scratch[:])
	}
	e.since = time.Time{}
	i := t.inspected[c.id]
	if i != nil && i.measured {
		if same, known := i.verdicts[e]; known {
			return same, nil
		}
	}
	same, err := c.has(e, t.scratch[:])
	if err == nil && i != nil && c.packed.rest == nil {
		i.verdicts[e] = same
	}
	return same, err
}

func (t *Tailer) release(i *inspection) error {
	if i == nil || i.content == nil {
		return nil
	}
	c := i.content
	i.content = nil
	return t.shut(c)
}

// forgetInspections drops what nobody has asked for since the last Scan, or all.
func (t *Tailer) forgetInspections(all bool) (faults []error) {
	maps.DeleteFunc(t.inspected, func(_ identity, i *inspection) bool {
		if !all && i.scan == t.scans {
			return false
		}
		if err := t.release(i); err != nil {
			faults = append(faults, err)
		}
		return true
	})
	return faults
}

// passing reports whether an error will be over by itself: until then, what was
// rotated later waits.
func passing(err error) bool {
	return errors.Is(err, errChanging) || errors.Is(err, errMoved) || errors.Is(err, errBusy) || errors.Is(err, errPartial)
}
