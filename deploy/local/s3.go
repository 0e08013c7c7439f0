package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// bucketLimit is for the creation of all buckets.
const bucketLimit = 30 * time.Second

// S3 is an object store with the keys for it. Printing it shows no secret.
type S3 struct {
	// Endpoint is a URL without a path, such as http://127.0.0.1:9000.
	Endpoint  string
	Region    string
	AccessKey string
	SecretKey string `json:"-"`
}

// S3FromEnv reads the store that $CORKLINE_S3_ENDPOINT names, with its keys
// from $CORKLINE_S3_ACCESS_KEY and $CORKLINE_S3_SECRET_KEY, or from the files
// that the same names with _FILE name, and optionally $CORKLINE_S3_REGION. It
// returns nil when no endpoint is set, and an error when a key is missing.
func S3FromEnv() (*S3, error) {
	s := S3{Endpoint: os.Getenv("CORKLINE_S3_ENDPOINT"), Region: os.Getenv("CORKLINE_S3_REGION")}
	if s.Endpoint == "" {
		return nil, nil
	}
	var err error
	if s.AccessKey, err = secretEnv("CORKLINE_S3_ACCESS_KEY"); err != nil {
		return nil, err
	}
	if s.SecretKey, err = secretEnv("CORKLINE_S3_SECRET_KEY"); err != nil {
		return nil, err
	}
	if _, err := s.url(); err != nil {
		return nil, err
	}
	return &s, nil
}

func secretEnv(name string) (string, error) {
	if value := os.Getenv(name); value != "" {
		return value, nil
	}
	file := os.Getenv(name + "_FILE")
	if file == "" {
		return "", fmt.Errorf("read the key of the S3 endpoint: set $%s or $%[1]s_FILE", name)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		// Not the whole error: a key that was put into the wrong variable
		// would be printed as the path.
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return "", fmt.Errorf("read the file that $%s_FILE names: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// String is the endpoint.
func (s S3) String() string { return s.Endpoint }

// GoString is the endpoint.
func (s S3) GoString() string { return s.Endpoint }

func (s S3) url() (*url.URL, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse the S3 endpoint: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, fmt.Errorf("parse the S3 endpoint %q: want http(s)://host:port", u.Redacted())
	}
	return u, nil
}

// Client for the store. The transport may be nil for minio-go's default.
func (s S3) Client(transport http.RoundTripper) (*minio.Client, error) {
	u, err := s.url()
	if err != nil {
		return nil, err
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Secure:       u.Scheme == "https",
		Region:       s.Region,
		BucketLookup: minio.BucketLookupPath,
		Transport:    transport,
	})
	if err != nil {
		return nil, fmt.Errorf("create the S3 client: %w", err)
	}
	return client, nil
}

// createBuckets creates the buckets that do not exist. A store that answers
// but is not ready yet is asked again, for 30 s at most.
func (s S3) createBuckets(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, bucketLimit)
	defer cancel()
	transport, err := minio.DefaultTransport(strings.HasPrefix(s.Endpoint, "https:"))
	if err != nil {
		return fmt.Errorf("create the S3 transport: %w", err)
	}
	defer transport.CloseIdleConnections()
	client, err := s.Client(transport)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := client.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: s.Region})
		if err == nil {
			continue
		}
		if exists, checkErr := client.BucketExists(ctx, name); checkErr != nil || !exists {
			return fmt.Errorf("create bucket %q at %s: %w", name, s, err)
		}
	}
	return nil
}
