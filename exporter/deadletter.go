package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/corkline/corkline/parsers"
)

// deadLetters keeps the lines that Loki refuses for good, as JSON lines in one
// file for each source, until a person or a replay takes them.
type deadLetters struct {
	dir string
	max int64

	mu sync.Mutex
}

// maxDeadLetterBytes bounds the folder's file of one source. When it is full
// the source waits: a line that nothing keeps must not be passed over.
const maxDeadLetterBytes = 256 << 20

// deadLetter is one line of the file.
type deadLetter struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	Line   string    `json:"line"`
}

// store appends records and syncs the file; an error means that none is stored.
func (d *deadLetters) store(_ context.Context, b *parsers.Batch, records []int32, reason string) error {
	var text []byte
	for _, i := range records {
		r := &b.Records[i]
		line, err := json.Marshal(deadLetter{time.Unix(0, r.Time).UTC(), b.Source, reason, string(r.Line)})
		if err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
		text = append(append(text, line...), '\n')
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.append(filepath.Join(d.dir, b.Source+".jsonl"), text); err != nil {
		return fmt.Errorf("store dead letter: %w", err)
	}
	b.DeadLettered += len(records)
	return nil
}

func (d *deadLetters) append(path string, text []byte) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // what counts is Sync
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size()+int64(len(text)) > d.max {
		return fmt.Errorf("%q is full (%d bytes): move it away, and the source goes on", path, info.Size())
	}
	if _, err := f.Write(text); err != nil {
		if cut := f.Truncate(info.Size()); cut != nil { // nothing half written
			return fmt.Errorf("%w, and then %w", err, cut)
		}
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if info.Size() > 0 {
		return nil
	}
	folder, err := os.Open(d.dir) // a new file lasts when its folder does
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
