package archive

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Store keeps objects by their keys.
type Store interface {
	// Put an object, instead of any that has the key.
	Put(ctx context.Context, key string, content []byte) error
	// Get an object; fs.ErrNotExist when there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// List the keys that begin with prefix, in order.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// S3Options say where the objects are.
type S3Options struct {
	// Endpoint is a URL without a path, such as https://minio.minio:9000.
	Endpoint string
	Bucket   string
	// Prefix of all keys, with or without a slash at its end; may be empty.
	Prefix string
	Region string
	// AccessKeyFile and SecretKeyFile hold the keys, and may change at any time.
	// Without them the keys are those of the environment
	// (CORKLINE_S3_ACCESS_KEY and CORKLINE_S3_SECRET_KEY, or the names of AWS
	// or MinIO, each also with _FILE), or else of a role: for the token in
	// AWS_WEB_IDENTITY_TOKEN_FILE, of the container, or of the machine.
	AccessKeyFile, SecretKeyFile string
	// CAFile has the PEM of authorities beside the system's.
	CAFile string
	// Timeout of one request, default 1 min.
	Timeout time.Duration
}

// S3 is a Store in a bucket. Each call is one try.
type S3 struct {
	client         *minio.Client
	keys           *credentials.Credentials
	transport      *http.Transport
	where          string // for messages
	bucket, prefix string
	timeout        time.Duration
}

// ParseEndpoint of an S3; its error quotes nothing, since it may hold a password.
func ParseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, errors.New("is not a URL such as https://minio.minio:9000, without a path, user or password")
	}
	return u, nil
}

// NewS3 does not connect.
func NewS3(o S3Options) (*S3, error) {
	u, err := ParseEndpoint(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("archive.endpoint: %w", err)
	}
	transport, err := newTransport(o.CAFile)
	if err != nil {
		return nil, err
	}
	keys := credentials.New(keysOf(o))
	client, err := minio.New(u.Host, &minio.Options{
		Creds:      keys,
		Secure:     u.Scheme == "https",
		Region:     o.Region,
		Transport:  transport,
		MaxRetries: 1, // the archive tries again itself, and says so
	})
	if err != nil {
		return nil, fmt.Errorf("create the S3 client: %w", err)
	}
	s := &S3{client: client, keys: keys, transport: transport, where: o.Bucket + " at " + u.Host, bucket: o.Bucket, prefix: o.Prefix, timeout: o.Timeout}
	if s.prefix != "" && !strings.HasSuffix(s.prefix, "/") {
		s.prefix += "/"
	}
	if s.timeout == 0 {
		s.timeout = time.Minute
	}
	return s, nil
}

func newTransport(caFile string) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("archive.ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's CAs: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("archive.ca_file: %s holds no PEM certificate", caFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// Close the idle connections.
func (s *S3) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, key string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+key, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: contentType(key), DisableMultipart: true})
	return s.explain("put "+key+" into", err)
}

func contentType(key string) string {
	if strings.HasSuffix(key, objectSuffix) {
		return "application/zstd"
	}
	return "application/json"
}

// Get implements Store.
func (s *S3) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	object, err := s.client.GetObject(ctx, s.bucket, s.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.explain("get "+key+" from", err)
	}
	defer object.Close()
	content, err := io.ReadAll(io.LimitReader(object, maxContent))
	return content, s.explain("get "+key+" from", err)
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // ends a listing that is left
		defer cancel()
		for object := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
			if !yield(strings.TrimPrefix(object.Key, s.prefix), s.explain("list objects in", object.Err)) || object.Err != nil {
				return
			}
		}
	}
}

// explain says what to do about an answer; nil stays nil.
func (s *S3) explain(verb string, err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch answer.Code {
	case "ExpiredToken", "InvalidToken", "InvalidTokenId", minio.InvalidAccessKeyID:
		s.keys.Expire() // before their time: the next try has others
	}
	remedy := ""
	var (
		wrapped   *url.Error
		authority x509.UnknownAuthorityError
	)
	switch {
	case answer.Code == minio.NoSuchKey:
		err = fs.ErrNotExist
	case answer.Code == minio.NoSuchBucket:
		remedy = "; make it with corkline provision buckets, or check archive.bucket"
	case answer.Code == minio.InvalidAccessKeyID, answer.Code == minio.SignatureDoesNotMatch:
		remedy = "; check archive.access_key_file and archive.secret_key_file, or the environment"
	case answer.Code == minio.AccessDenied, answer.StatusCode == http.StatusForbidden:
		remedy = "; the key needs s3:PutObject, and for replay s3:ListBucket and s3:GetObject"
	case errors.As(err, &authority):
		remedy = "; set archive.ca_file to the authority that signs its certificate"
	case errors.Is(err, http.ErrSchemeMismatch):
		remedy = "; it does not speak TLS: is its scheme http?"
	}
	if errors.As(err, &wrapped) { // without the URL of the request
		err = wrapped.Err
	}
	return fmt.Errorf("%s bucket %s: %w%s", verb, s.where, err, remedy)
}
