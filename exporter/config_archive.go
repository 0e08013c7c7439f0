package exporter

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/corkline/corkline/exporter/sink/archive"
)

// ArchiveConfig says where lines go that Loki refuses for good. Without an
// endpoint they stay in state_dir.
type ArchiveConfig struct {
	Endpoint      string        `yaml:"endpoint"`
	Bucket        string        `yaml:"bucket"`
	Prefix        string        `yaml:"prefix"`
	Region        string        `yaml:"region"`
	AccessKeyFile string        `yaml:"access_key_file"`
	SecretKeyFile string        `yaml:"secret_key_file"`
	CAFile        string        `yaml:"ca_file"`
	BudgetBytes   int64         `yaml:"budget_bytes"`
	SegmentBytes  int64         `yaml:"segment_bytes"`
	FlushInterval time.Duration `yaml:"flush_interval"`
}

func defaultArchive() ArchiveConfig {
	return ArchiveConfig{Prefix: "corkline", Region: "us-east-1", BudgetBytes: 1 << 30, SegmentBytes: 1 << 20, FlushInterval: 5 * time.Minute}
}

// files that are read when the archive is opened.
func (c ArchiveConfig) files() []string {
	if c.CAFile == "" {
		return nil
	}
	return []string{c.CAFile}
}

// maxSegmentBytes is what an upload holds in memory, twice.
const maxSegmentBytes = 64 << 20

func (c *configCheck) archive() {
	a := &c.config.Archive
	if a.Endpoint != "" {
		if _, err := archive.ParseEndpoint(a.Endpoint); err != nil {
			c.fault("archive.endpoint", "%s", err)
		}
		if a.Bucket == "" {
			c.fault("archive.bucket", "is missing; name the bucket that archive.endpoint has")
		}
	} else if a.Bucket != "" {
		c.fault("archive.endpoint", "is missing; give the URL of the S3 that has archive.bucket")
	}
	if a.AccessKeyFile == "" && a.SecretKeyFile != "" {
		c.fault("archive.access_key_file", "is missing beside archive.secret_key_file")
	}
	if a.SecretKeyFile == "" && a.AccessKeyFile != "" {
		c.fault("archive.secret_key_file", "is missing beside archive.access_key_file")
	}
	if a.SegmentBytes < 1 || a.SegmentBytes > maxSegmentBytes {
		c.fault("archive.segment_bytes", "must be between 1 and %d", maxSegmentBytes)
	}
	if a.BudgetBytes < a.SegmentBytes {
		c.fault("archive.budget_bytes", "must be at least archive.segment_bytes")
	}
	if a.FlushInterval <= 0 {
		c.fault("archive.flush_interval", "must be above 0")
	}
}

// S3 that the archive is in; nil when there is none.
func (c *Config) S3() (*archive.S3, error) {
	a := c.Archive
	if a.Endpoint == "" {
		return nil, nil
	}
	return archive.NewS3(archive.S3Options{
		Endpoint: a.Endpoint, Bucket: a.Bucket, Prefix: a.Prefix, Region: a.Region,
		AccessKeyFile: a.AccessKeyFile, SecretKeyFile: a.SecretKeyFile, CAFile: a.CAFile,
	})
}

// ArchiveDir is where the archive's segments are on this node.
func (c *Config) ArchiveDir() string { return filepath.Join(c.StateDir, "archive") }

// openArchive of a configuration.
func (a *Agent) openArchive() (*archive.Archive, *archive.S3, error) {
	c := a.config
	o := archive.Options{
		Dir: c.ArchiveDir(), Cluster: c.Cluster, Node: c.Node,
		BudgetBytes: c.Archive.BudgetBytes, SegmentBytes: c.Archive.SegmentBytes, FlushInterval: c.Archive.FlushInterval,
		Metrics: a.archived, Log: a.log, Now: a.now,
	}
	s3, err := c.S3()
	if err != nil {
		return nil, nil, fmt.Errorf("reach the archive: %w", err)
	}
	if s3 != nil {
		o.Remote = s3
	}
	opened, err := archive.Open(o)
	if err != nil {
		return nil, nil, err
	}
	return opened, s3, nil
}
