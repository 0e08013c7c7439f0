package provisioner

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	s3AskEvery = time.Second      // while waiting for the store
	s3Limit    = 30 * time.Second // for all of one bucket
	// probePrefix of the objects that prove a bucket; a listing shows whose
	// they are when one is left behind.
	probePrefix = ".corkline-provision/"
)

// S3 is an object store.
type S3 struct {
	// Endpoint is a URL without a path, such as https://minio.minio:443.
	Endpoint    string
	Region      string
	Credentials Credentials
	// CA is the PEM of authorities beside the system's.
	CA string
	// SkipVerify accepts every certificate.
	SkipVerify bool
}

// Bucket is what became of one.
type Bucket struct {
	Name   string `json:"name"`
	Action Action `json:"action"`
	// Proven are the operations that were seen to work: put, get, list, delete.
	Proven []string `json:"proven"`
}

// Buckets waits until the store answers, until ctx ends at the most, makes the
// buckets that are not there, and proves with an object of its own that each
// can be written, read, listed and deleted from. It returns what became of each
// bucket, also with an error. While the store does not answer, waiting is told
// why, about once a second. Wrong keys and certificates are not waited for.
func Buckets(ctx context.Context, s S3, names []string, waiting func(reason string)) ([]Bucket, error) {
	for _, name := range names {
		if err := checkBucketName(name); err != nil {
			return nil, err
		}
	}
	transport, err := s.transport()
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	client, err := s.client(transport)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, client, names, waiting); err != nil {
		return nil, err
	}
	buckets := make([]Bucket, len(names))
	var failure error
	for i, name := range names {
		buckets[i] = Bucket{Name: name, Action: NotApplied}
		if failure == nil {
			failure = s.bucket(ctx, client, &buckets[i])
		}
	}
	return buckets, failure
}

func (s S3) bucket(ctx context.Context, client *minio.Client, b *Bucket) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s3Limit, fmt.Errorf("not done within %s", s3Limit))
	defer cancel()
	var err error
	if b.Action, err = s.create(ctx, client, b.Name); err == nil {
		b.Proven, err = s.prove(ctx, client, b.Name)
	}
	if err != nil {
		b.Action = Failed
	}
	return err
}

// checkBucketName holds names to what every S3 takes.
func checkBucketName(name string) error {
	if len(name) < 3 || len(name) > 63 || !dnsForm.MatchString(name) || net.ParseIP(name) != nil {
		return fmt.Errorf("check the bucket %q: want 3 to 63 of lower-case letters, digits, dots and dashes", name)
	}
	return nil
}

func (s S3) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.SkipVerify}
	if s.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's CAs: %w", err)
		}
		if !pool.AppendCertsFromPEM([]byte(s.CA)) {
			return nil, errors.New("read the CA of S3: it holds no PEM certificate")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}

func (s S3) client(transport http.RoundTripper) (*minio.Client, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, errors.New("parse the S3 endpoint: want http(s)://host:port, without a path, user or password")
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(s.Credentials.AccessKey, s.Credentials.SecretKey, s.Credentials.SessionToken),
		Secure:     u.Scheme == "https",
		Region:     s.Region,
		Transport:  transport,
		MaxRetries: 1, // we ask again ourselves, and say so
	})
	if err != nil {
		return nil, fmt.Errorf("create the S3 client: %w", err)
	}
	return client, nil
}

// await asks for the first bucket until there is an answer.
func (s S3) await(ctx context.Context, client *minio.Client, names []string, waiting func(reason string)) error {
	if len(names) == 0 {
		return errors.New("there is no bucket to make")
	}
	tick := time.NewTicker(s3AskEvery)
	defer tick.Stop()
	last := "none"
	for {
		_, err := client.BucketExists(ctx, names[0])
		if err == nil || !transient(err) {
			return nil // what is wrong is told where it counts
		}
		if ctx.Err() == nil { // else it is the deadline's
			last = reason(err)
			waiting(last)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for S3 at %s: %w; its last answer: %s", s.Endpoint, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// transient tells whether the store may answer otherwise in a while.
func transient(err error) bool {
	var (
		authority   x509.UnknownAuthorityError
		certificate *tls.CertificateVerificationError
		answer      minio.ErrorResponse
	)
	switch {
	case errors.As(err, &authority), errors.As(err, &certificate):
		return false
	case errors.As(err, &answer):
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests
	}
	return !errors.Is(err, http.ErrSchemeMismatch)
}

// reason is the error without the URL of the request.
func reason(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}

func (s S3) create(ctx context.Context, client *minio.Client, name string) (Action, error) {
	exists, err := client.BucketExists(ctx, name)
	switch {
	case err == nil && exists:
		return Unchanged, nil
	case err != nil && minio.ToErrorResponse(err).StatusCode == http.StatusForbidden:
		// A HEAD has no body that would tell why; the creation tells.
	case err != nil:
		return Failed, s.explain(ctx, "look for", name, err)
	}
	err = client.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: s.Region})
	if err == nil {
		return Created, nil
	}
	switch minio.ToErrorResponse(err).Code {
	case minio.BucketAlreadyOwnedByYou: // made at the same time by another of us
		return Unchanged, nil
	case minio.BucketAlreadyExists:
		return Failed, fmt.Errorf("create bucket %q at %s: it belongs to another account, and names are shared by all; choose another name (--bucket), and set it in Loki too", name, s.Endpoint)
	}
	return Failed, s.explain(ctx, "create", name, err)
}

// prove writes, reads, lists and deletes an object of our own, and returns
// which of it worked.
func (s S3) prove(ctx context.Context, client *minio.Client, bucket string) ([]string, error) {
	key, content := probePrefix+rand.Text(), []byte("written by corkline provision buckets; safe to delete\n")
	var proven []string
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"put", func() error {
			_, err := client.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{ContentType: "text/plain"})
			return err
		}},
		{"get", func() error {
			object, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
			if err != nil {
				return err
			}
			defer object.Close()
			got, err := io.ReadAll(object)
			if err == nil && !bytes.Equal(got, content) {
				err = errors.New("it holds something else than was written")
			}
			return err
		}},
		{"list", func() error {
			ctx, cancel := context.WithCancel(ctx) // ends the listing that we leave
			defer cancel()
			for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: key}) {
				if object.Err != nil {
					return object.Err
				}
				if object.Key == key {
					return nil
				}
			}
			return errors.New("the object that was written is not listed")
		}},
		{"delete", func() error { return client.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{}) }},
	} {
		if err := step.do(); err != nil {
			err = s.explain(ctx, step.name+" an object in", bucket, err)
			if len(proven) > 0 && step.name != "delete" {
				// The probe is there; who may not read may still delete.
				_ = client.RemoveObject(context.WithoutCancel(ctx), bucket, key, minio.RemoveObjectOptions{})
			}
			return proven, err
		}
		proven = append(proven, step.name)
	}
	return proven, nil
}

// explain says what to do about an answer.
func (s S3) explain(ctx context.Context, verb, bucket string, err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		remedy    string
	)
	answer := minio.ToErrorResponse(err)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, &authority):
		remedy = "; give the CA that signs it with --ca-file"
	case errors.As(err, &name):
		remedy = "; call it by a name that its certificate has"
	case errors.Is(err, http.ErrSchemeMismatch):
		remedy = "; it does not speak TLS: is its scheme http?"
	case answer.Code == "InvalidAccessKeyId":
		remedy = "; the store does not know the access key"
	case answer.Code == "SignatureDoesNotMatch":
		remedy = "; the secret key is not the one of the access key (or a proxy changes requests, or clocks differ)"
	case answer.Code == "AuthorizationHeaderMalformed", answer.Code == "InvalidRegion":
		remedy = "; set the store's region with --region"
	case answer.Code == "AccessDenied", answer.StatusCode == http.StatusForbidden:
		remedy = fmt.Sprintf("; the access key %s lacks the right: Loki needs s3:ListBucket, GetObject, PutObject and DeleteObject, and making a bucket s3:CreateBucket", s.Credentials)
	}
	return fmt.Errorf("%s bucket %q at %s: %s%s", verb, bucket, s.Endpoint, reason(err), remedy)
}
