// Package spool keeps lines on disk until they have been delivered.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// segments is how many files the spool's budget is divided into, unless
	// they would be larger than maxSegmentBytes.
	segments        = 16
	maxSegmentBytes = 16 << 20
	// idleTime without a message closes a file that has been read to its end.
	idleTime = 5 * time.Second
	// retryTime lies between two tries to write.
	retryTime = time.Second

	segmentSuffix = ".log"
)

// Pattern matches the spool files in a folder, in the syntax of filepath.Match.
func Pattern(dir string) string {
	literal := strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(dir)
	return filepath.Join(literal, "*"+segmentSuffix)
}

// Spool is a folder of files that messages are appended to, one a line, until
// they have been delivered. Each file's name is the time of its beginning, in
// nanoseconds, and no name is used twice; only the newest file is written to.
// A Spool is safe for concurrent use, but one folder must have one Spool.
type Spool struct {
	dir     string
	limit   int64 // bytes of all files
	segment int64 // bytes of one
	metrics Metrics
	log     *slog.Logger
	now     func() time.Time

	writing sync.Mutex // held by Append while it waits, too; taken before mu
	syncing sync.Mutex // held by Sync, which alone closes files; taken before mu

	mu       sync.Mutex
	active   *os.File
	path     string // of active
	size     int64  // of active
	open     bool   // active ends in half a line, which Append will complete
	written  time.Time
	last     int64            // number of the newest file
	sealed   map[string]int64 // sizes of the files that are not written to any more, by path
	bytes    int64            // of all files
	unsynced []*os.File       // sealed files that have yet to be synced and closed
	unnamed  bool             // a file is newer than the last sync of the folder
	dirty    bool             // active is newer than its last sync
	room     chan struct{}    // closed when a file goes
}

// Options configure a Spool.
type Options struct {
	Dir     string // made if needed
	Limit   int64  // bytes of all files
	Metrics Metrics
	Log     *slog.Logger
	Now     func() time.Time // time.Now if nil
}

// Metrics are told what becomes of a Spool.
type Metrics struct {
	Bytes, Limit  prometheus.Gauge
	WriteFailures prometheus.Counter
}

// Open takes over the files in a folder. A line that a crash has cut short
// gets an end, so that it is read as it is.
func Open(o Options) (*Spool, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Spool{
		dir: o.Dir, limit: o.Limit, segment: min(max(o.Limit/segments, 1), maxSegmentBytes),
		metrics: o.Metrics, log: o.Log, now: o.Now, sealed: map[string]int64{}, room: make(chan struct{}),
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	paths, err := filepath.Glob(Pattern(s.dir))
	if err != nil {
		return nil, fmt.Errorf("list spool folder %q: %w", s.dir, err)
	}
	for _, path := range paths {
		size, err := endLine(path)
		if err != nil {
			s.log.Error("take over spool file", "path", path, "error", err)
		}
		s.sealed[path] = size
		s.bytes += size
		base := filepath.Base(path)
		if n, err := strconv.ParseInt(base[:len(base)-len(segmentSuffix)], 10, 64); err == nil {
			s.last = max(s.last, n)
		}
	}
	s.metrics.Limit.Set(float64(s.limit))
	s.metrics.Bytes.Set(float64(s.bytes))
	return s, nil
}

// endLine puts an end to the last line of a file, if it has none, and gives the
// file's size as far as it is known.
func endLine(path string) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil {
		return info.Size(), err
	}
	if last[0] == '\n' {
		return info.Size(), nil
	}
	n, err := f.Write([]byte{'\n'})
	return info.Size() + int64(n), err
}

// Append writes whole lines. It waits while the spool is full or cannot be
// written to, so that who calls it does not read on. When ctx ends it writes
// them beyond the limit; an error means that it could not.
func (s *Spool) Append(ctx context.Context, lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.waitForRoom(ctx, int64(len(lines))); err != nil {
		s.log.Info("the spool is full; messages that were read already go beyond its limit", "folder", s.dir)
	}
	for failed := false; ; failed = true {
		n, err := s.write(lines)
		lines = lines[n:]
		if err == nil {
			return nil
		}
		s.metrics.WriteFailures.Inc()
		if !failed {
			s.log.Error("write spool file; trying again", "error", err)
		}
		retry := time.NewTimer(retryTime)
		select {
		case <-ctx.Done():
			retry.Stop()
			return fmt.Errorf("write spool file: %w", err)
		case <-retry.C:
		}
	}
}

// Offer writes whole lines unless the spool is full; it does not wait. An error
// means that they, or some of their bytes, could not be written.
func (s *Spool) Offer(lines []byte) (taken bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	fits := s.fits(int64(len(lines)))
	s.mu.Unlock()
	if !fits {
		return false, nil
	}
	if s.isOpen() { // an end for the half line that a failure left
		lines = append([]byte{'\n'}, lines...)
	}
	if _, err := s.write(lines); err != nil {
		s.metrics.WriteFailures.Inc()
		return false, fmt.Errorf("write spool file: %w", err)
	}
	return true, nil
}

func (s *Spool) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// waitForRoom returns nil when n bytes fit, and else an error when ctx ends.
func (s *Spool) waitForRoom(ctx context.Context, n int64) error {
	for {
		s.mu.Lock()
		fits, room := s.fits(n), s.room
		s.mu.Unlock()
		if fits {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-room:
		}
	}
}

func (s *Spool) fits(n int64) bool { return s.bytes == 0 || s.bytes+n <= s.limit }

// Full tells whether not even one byte fits.
func (s *Spool) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.fits(1)
}

// Size gives the bytes of all files, and their limit.
func (s *Spool) Size() (bytes, limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes, s.limit
}

// write appends to the active file; n bytes are written although it fails.
func (s *Spool) write(lines []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != nil && !s.open && s.size+int64(len(lines)) > s.segment {
		s.seal()
	}
	if s.active == nil {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	n, err = s.active.Write(lines)
	if n > 0 {
		s.size, s.bytes = s.size+int64(n), s.bytes+int64(n)
		s.written, s.dirty = s.now(), true
		s.open = lines[n-1] != '\n'
		s.metrics.Bytes.Set(float64(s.bytes))
	}
	return n, err
}

func (s *Spool) begin() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	number := max(s.last+1, s.now().UnixNano())
	path := filepath.Join(s.dir, fmt.Sprintf("%019d%s", number, segmentSuffix))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.last, s.active, s.path, s.size, s.unnamed = number, f, path, 0, true
	return nil
}

// seal ends the active file. It needs mu.
func (s *Spool) seal() {
	s.sealed[s.path] = s.size
	s.unsynced = append(s.unsynced, s.active)
	s.active, s.path, s.size, s.dirty = nil, "", 0, false
}

// Finished tells whether a file is the spool's, will not be written to again
// and has been delivered to its end, when that is so up to committed. The
// newest file is closed for it when no message has come for a while.
func (s *Spool) Finished(path string, committed int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == s.path && !s.open && committed == s.size && s.now().Sub(s.written) >= idleTime {
		s.seal()
	}
	size, sealed := s.sealed[path]
	return sealed && committed >= size
}

// Removed notes that a finished file is no more.
func (s *Spool) Removed(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= s.sealed[path]
	delete(s.sealed, path)
	s.metrics.Bytes.Set(float64(s.bytes))
	close(s.room)
	s.room = make(chan struct{})
}

// Sync makes durable what has been appended until now.
func (s *Spool) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	sealed, named := s.unsynced, s.unnamed
	var active *os.File
	if s.dirty {
		active = s.active
	}
	s.unsynced, s.unnamed, s.dirty = nil, false, false
	s.mu.Unlock()
	var errs []error
	for _, f := range sealed {
		errs = append(errs, f.Sync(), f.Close())
	}
	if active != nil {
		errs = append(errs, active.Sync())
	}
	if named {
		errs = append(errs, syncFolder(s.dir))
	}
	if err := errors.Join(errs...); err != nil {
		s.mu.Lock() // the next one tries again, and says so if that is in vain
		s.unnamed, s.dirty = s.unnamed || named, s.dirty || active != nil && active == s.active
		s.mu.Unlock()
		return fmt.Errorf("sync spool: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close syncs the files and keeps them for the next Spool of the folder.
func (s *Spool) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.active != nil {
		s.seal()
	}
	s.mu.Unlock()
	return s.Sync()
}
