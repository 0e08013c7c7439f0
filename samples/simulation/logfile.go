package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// backups that a log has at most, as Open vSwitch's and the kubelet's have.
const backups = 4

// logFile is a log that is appended to, and rotated. Lines gather until they
// are flushed, so that no reader sees a part of one for long.
type logFile struct {
	place
	path  string // with the node's root
	limit int64  // bytes after which it is rotated

	file    *os.File
	size    int64
	rotated []string // that are named after their time, oldest first
	buffer  bytes.Buffer
	stamp   time.Time // of the container runtime's last line
}

// openLog opens a log below a node's root, behind what it has already.
func openLog(root string, p place, limit int64) (*logFile, error) {
	l := &logFile{place: p, path: filepath.Join(root, p.path), limit: limit}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return nil, fmt.Errorf("create the log's folder: %w", err)
	}
	if p.backup != nil {
		// What an earlier run left behind.
		dir, name := filepath.Split(l.path)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("list the log's folder: %w", err)
		}
		for _, e := range entries {
			if e.Name() != name && strings.HasPrefix(e.Name(), strings.TrimSuffix(name, ".log")) {
				l.rotated = append(l.rotated, filepath.Join(dir, e.Name()))
			}
		}
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	if p.link == "" {
		return l, nil
	}
	link := filepath.Join(root, p.link)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("create the log's folder: %w", err), l.file.Close())
	}
	target, err := filepath.Rel(filepath.Dir(link), l.path)
	if err == nil {
		err = os.Symlink(target, link)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, errors.Join(fmt.Errorf("link the log: %w", err), l.file.Close())
	}
	return l, nil
}

func (l *logFile) open() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("look at the log: %w", err), file.Close())
	}
	l.file, l.size = file, info.Size()
	return nil
}

// line takes a record of a second.
func (l *logFile) line(second time.Time, record []byte) {
	if l.stream == "" {
		l.buffer.Write(record)
		l.buffer.WriteByte('\n')
		return
	}
	// The runtime gets a line a moment after it was written.
	stamp := second.Add(min(fraction(record)+83*time.Microsecond+time.Duration(len(record)), time.Second-time.Microsecond))
	if !stamp.After(l.stamp) {
		stamp = l.stamp.Add(time.Nanosecond)
	}
	l.stamp = stamp
	for line := range bytes.SplitSeq(record, []byte{'\n'}) {
		l.part(line)
	}
}

// part writes a line of a container as the runtime does: what is longer than
// its buffer in several parts.
func (l *logFile) part(line []byte) {
	const most = 16 << 10
	for {
		tag, rest := "F ", []byte(nil)
		if len(line) > most {
			tag, line, rest = "P ", line[:most], line[most:]
		}
		l.buffer.Write(l.stamp.AppendFormat(l.buffer.AvailableBuffer(), "2006-01-02T15:04:05.000000000Z "))
		l.buffer.WriteString(l.stream)
		l.buffer.WriteByte(' ')
		l.buffer.WriteString(tag)
		l.buffer.Write(line)
		l.buffer.WriteByte('\n')
		if rest == nil {
			return
		}
		line = rest
	}
}

// fraction of the second in the first time of a line, such as 05:06:07.123456.
func fraction(line []byte) time.Duration {
	for from := 0; ; {
		dot := bytes.IndexByte(line[from:min(len(line), 64)], '.')
		if dot < 0 {
			return 0
		}
		dot += from
		from = dot + 1
		if dot < 8 || line[dot-3] != ':' || line[dot-6] != ':' {
			continue
		}
		fraction, unit := time.Duration(0), time.Second/10
		for _, c := range line[from:] {
			if c < '0' || c > '9' || unit == 0 {
				break
			}
			fraction += time.Duration(c-'0') * unit
			unit /= 10
		}
		return fraction
	}
}

// flush appends what has gathered, to a new file when the old one has become
// long. It tells whether there is a new one.
func (l *logFile) flush(at time.Time) (rotated bool, err error) {
	if l.buffer.Len() == 0 {
		return false, nil
	}
	if l.size > 0 && l.size+int64(l.buffer.Len()) > l.limit {
		if err := l.rotate(at); err != nil {
			return false, err
		}
		rotated = true
	}
	n, err := l.file.Write(l.buffer.Bytes())
	l.size += int64(n)
	l.buffer.Reset()
	if err != nil {
		return rotated, fmt.Errorf("write the log: %w", err)
	}
	return rotated, nil
}

// rotate gives the file another name, and removes the oldest.
func (l *logFile) rotate(at time.Time) error {
	if err := l.close(); err != nil {
		return err
	}
	if l.backup == nil {
		for i := backups - 1; i > 0; i-- {
			if err := os.Rename(l.number(i), l.number(i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("rotate the log: %w", err)
			}
		}
		if err := os.Rename(l.path, l.number(1)); err != nil {
			return fmt.Errorf("rotate the log: %w", err)
		}
		return l.open()
	}
	name := l.backup(l.path, at)
	if err := os.Rename(l.path, name); err != nil {
		return fmt.Errorf("rotate the log: %w", err)
	}
	if l.rotated = append(l.rotated, name); len(l.rotated) > backups {
		if err := os.Remove(l.rotated[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the oldest log: %w", err)
		}
		l.rotated = l.rotated[1:]
	}
	return l.open()
}

func (l *logFile) number(i int) string { return fmt.Sprintf("%s.%d", l.path, i) }

func (l *logFile) close() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("close the log: %w", err)
	}
	return nil
}
