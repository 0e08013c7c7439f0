package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const firstBackoff = time.Second

// Run closes segments when it is time and uploads them, oldest first, until
// ctx ends.
func (a *Archive) Run(ctx context.Context) {
	ticker := time.NewTicker(max(min(a.o.FlushInterval/4, 10*time.Second), 10*time.Millisecond))
	defer ticker.Stop()
	pause := time.NewTimer(0) // until the next upload
	defer pause.Stop()
	failures, pausing := 0, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.closeAllDue(false)
			continue
		case <-a.closed:
			if pausing {
				continue
			}
		case <-pause.C:
			pausing = false
		}
		err := a.upload(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if failures > 0 {
				a.o.Log.Info("uploading to S3 works again", "failures", failures)
			}
			failures = 0
			continue
		}
		if failures == 0 {
			a.o.Log.Warn("upload the archive; tried again, and segments wait on disk", "error", err)
		}
		d := a.o.MaxBackoff
		if failures < 16 {
			d = min(d, firstBackoff<<failures)
		}
		failures++
		pausing = true
		pause.Reset(d - rand.N(d/2+1)) // agents do not come back in step
	}
}

// upload all closed segments; nothing without a Remote.
func (a *Archive) upload(ctx context.Context) error {
	if a.o.Remote == nil {
		return nil
	}
	err := filepath.WalkDir(a.o.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		source, _, suffix := parsePath(a.o.Dir, path)
		if source == "" || suffix != closedSuffix {
			return nil
		}
		return a.uploadSegment(ctx, path, source)
	})
	text := ""
	if err != nil {
		err = fmt.Errorf("upload the archive: %w", err)
		text = err.Error()
		a.o.Metrics.uploadFailures.Inc()
	}
	if ctx.Err() == nil {
		a.mu.Lock()
		a.state.UploadError = text
		a.mu.Unlock()
	}
	return err
}

// uploadSegment puts the object, then its manifest, and then forgets the
// segment. Wherever it breaks off, it does the same again.
func (a *Archive) uploadSegment(ctx context.Context, path, source string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	size := int64(len(text))
	s, err := seal(text, a.o.Cluster, a.o.Node, source)
	if err != nil {
		return err
	}
	kept := int64(0)
	if s.wounds > 0 {
		if err := a.setAside(path, s); err != nil {
			return err
		}
		kept = int64(len(s.damaged))
	}
	if s.manifest.Lines > 0 {
		if err := a.put(ctx, s); err != nil {
			return err
		}
	}
	if err := a.step("remove"); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	a.o.Metrics.damaged.Add(float64(s.wounds))
	m := a.o.Metrics
	now := a.o.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Segments--
	a.account(kept - size)
	if s.manifest.Lines > 0 {
		a.state.LastUpload = now
		m.objects.Inc()
		m.lines.Add(float64(s.manifest.Lines))
		m.uploadedBytes.Add(float64(s.manifest.CompressedBytes))
		m.lastUpload.Set(float64(now.UnixNano()) / 1e9)
	}
	return nil
}

func (a *Archive) put(ctx context.Context, s *sealed) error {
	encoder, err := newEncoder()
	if err != nil {
		return err
	}
	object := s.pack(encoder)
	if err := encoder.Close(); err != nil {
		return err
	}
	manifest, err := s.manifest.encode()
	if err != nil {
		return err
	}
	if err := a.step("put object"); err != nil {
		return err
	}
	if err := a.o.Remote.Put(ctx, s.manifest.Object, object); err != nil {
		return err
	}
	if err := a.step("put manifest"); err != nil {
		return err
	}
	return a.o.Remote.Put(ctx, manifestKey(s.manifest.Object), manifest)
}

// setAside keeps what is damaged beside the segment, for a person.
func (a *Archive) setAside(path string, s *sealed) error {
	if err := a.step("set aside"); err != nil {
		return err
	}
	aside := strings.TrimSuffix(path, closedSuffix) + damagedSuffix
	if err := replaceFile(aside, s.damaged); err != nil {
		return fmt.Errorf("set damaged records aside: %w", err)
	}
	a.o.Log.Warn("set damaged records of the archive aside", "file", aside, "records", s.wounds)
	return nil
}

// replaceFile replaces a file's content at once and durably.
func replaceFile(path string, text []byte) error {
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncFolders(filepath.Dir(path))
}
