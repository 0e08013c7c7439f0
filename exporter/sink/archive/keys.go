package archive

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// keysOf the store. Only one provider is asked: what is configured and does
// not work must not turn into a request without keys.
func keysOf(o S3Options) credentials.Provider {
	if o.AccessKeyFile != "" || o.SecretKeyFile != "" {
		return &fileKeys{access: o.AccessKeyFile, secret: o.SecretKeyFile}
	}
	for _, names := range [...][3]string{
		{"CORKLINE_S3_ACCESS_KEY", "CORKLINE_S3_SECRET_KEY", "CORKLINE_S3_SESSION_TOKEN"},
		{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
		{"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", ""},
		{"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", ""},
	} {
		if p := keysFromEnv(names); p != nil {
			return p
		}
	}
	return newRoleKeys(o)
}

// keysFromEnv is nil when these variables are not set.
func keysFromEnv(names [3]string) credentials.Provider {
	files := &fileKeys{access: os.Getenv(names[0] + "_FILE"), secret: os.Getenv(names[1] + "_FILE")}
	if files.access != "" && files.secret != "" {
		return files
	}
	if os.Getenv(names[0]) == "" || os.Getenv(names[1]) == "" {
		return nil
	}
	token := ""
	if names[2] != "" {
		token = os.Getenv(names[2])
	}
	return &credentials.Static{Value: credentials.Value{
		AccessKeyID: os.Getenv(names[0]), SecretAccessKey: os.Getenv(names[1]), SessionToken: token, SignerType: credentials.SignatureV4,
	}}
}

// fileKeys reads the keys from files, for each request: they may have changed.
type fileKeys struct{ access, secret string }

// Retrieve implements credentials.Provider.
func (k *fileKeys) Retrieve() (credentials.Value, error) {
	v := credentials.Value{SignerType: credentials.SignatureV4}
	for _, f := range []struct {
		path string
		into *string
	}{{k.access, &v.AccessKeyID}, {k.secret, &v.SecretAccessKey}} {
		text, err := os.ReadFile(f.path)
		if err != nil {
			return credentials.Value{}, fmt.Errorf("read a key of S3: %w", err)
		}
		if *f.into = strings.TrimSpace(string(text)); *f.into == "" {
			return credentials.Value{}, fmt.Errorf("read a key of S3: %q is empty", f.path)
		}
	}
	return v, nil
}

// RetrieveWithCredContext implements credentials.Provider.
func (k *fileKeys) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return k.Retrieve()
}

// IsExpired implements credentials.Provider.
func (k *fileKeys) IsExpired() bool { return true }

// roleKeys are those of a role, which end: of a web identity, a container or
// the machine. They are asked for again after four fifths of their life, and
// serve to its end while nobody answers.
type roleKeys struct {
	credentials.IAM
	whence, remedy string
	off            bool
	now            func() time.Time
	last           credentials.Value
	again          time.Time // not asked for before
}

// askAgain for the keys of a role, when there was no answer and the last ones
// have not ended.
const askAgain = 30 * time.Second

// machineTimeout is that of one request to a service on the machine.
const machineTimeout = 5 * time.Second

func newRoleKeys(o S3Options) *roleKeys {
	k := &roleKeys{now: time.Now}
	k.CurrentTime = func() time.Time { return k.now() }
	k.Region = o.Region
	uri, full := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	switch token := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"); {
	case token != "": // by the client of the store, which has its authorities and proxy
		if k.Endpoint = os.Getenv("AWS_ENDPOINT_URL_STS"); k.Endpoint == "" && !isAWS(o.Endpoint) {
			k.Endpoint = o.Endpoint // a store of one's own has its STS there
		}
		k.whence = fmt.Sprintf("for the web identity in %q", token)
		k.remedy = "check AWS_ROLE_ARN, AWS_ENDPOINT_URL_STS, and what the token is for"
		return k
	case uri != "" || full != "":
		k.whence = fmt.Sprintf("of the container from %q", uri+full)
		k.remedy = "check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, and that the role is bound to the agent's account"
	default:
		k.Endpoint = strings.TrimRight(os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "/")
		k.off = strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true")
		k.whence = "of the machine's role from its metadata service"
		k.remedy = "set archive.access_key_file and archive.secret_key_file if it has none"
	}
	k.Client = &http.Client{
		Timeout: machineTimeout,
		Transport: &http.Transport{ // no proxy: it is near
			DialContext:       (&net.Dialer{Timeout: time.Second}).DialContext,
			DisableKeepAlives: true, // it is asked every few hours
		},
	}
	return k
}

// isAWS reports whether an endpoint is one of Amazon's, which has its STS
// elsewhere.
func isAWS(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn"))
}

// errNoKeys tells that nothing is configured.
var errNoKeys = errors.New("no keys are configured, and AWS_EC2_METADATA_DISABLED is set")

// RetrieveWithCredContext implements credentials.Provider.
func (k *roleKeys) RetrieveWithCredContext(c *credentials.CredContext) (credentials.Value, error) {
	err := errNoKeys
	var v credentials.Value
	if !k.off {
		v, err = k.IAM.RetrieveWithCredContext(c)
	}
	var wrapped *url.Error
	switch {
	case err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == ""):
		err = errors.New("the answer has no keys")
	case err == nil:
		k.last, k.again = v, time.Time{}
		return v, nil
	case errors.As(err, &wrapped): // without the URL, which may hold what it is not to
		err = wrapped.Err
	}
	if now := k.now(); now.Before(k.last.Expiration) {
		k.again = now.Add(askAgain)
		return k.last, nil
	}
	return credentials.Value{}, fmt.Errorf("get the keys %s: %w; %s", k.whence, err, k.remedy)
}

// Retrieve implements credentials.Provider.
func (k *roleKeys) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (k *roleKeys) IsExpired() bool {
	now := k.now()
	return !now.Before(k.again) && k.IAM.IsExpired() || !now.Before(k.last.Expiration)
}
