package provisioner

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/corkline/corkline/provisioner/kubeapi"
)

// Credentials of an object store. Printing them shows no secret.
type Credentials struct {
	AccessKey    string
	SecretKey    string
	SessionToken string // of temporary ones
}

// String is the access key.
func (c Credentials) String() string { return c.AccessKey }

// GoString is the access key.
func (c Credentials) GoString() string { return c.AccessKey }

// credentialForms are the names under which others keep the two keys.
var credentialForms = []struct{ access, secret, session string }{
	{"CORKLINE_S3_ACCESS_KEY", "CORKLINE_S3_SECRET_KEY", "CORKLINE_S3_SESSION_TOKEN"}, // our own
	{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},               // every AWS SDK, External Secrets, Rook
	{"aws_access_key_id", "aws_secret_access_key", "aws_session_token"},               // ~/.aws/credentials
	{"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", ""},                                    // MinIO, and config.env of its operator
	{"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", ""},                                      // MinIO before 2021
	{"CONSOLE_ACCESS_KEY", "CONSOLE_SECRET_KEY", ""},                                  // spec.users of a MinIO tenant
	{"accesskey", "secretkey", ""},                                                    // spec.credsSecret of a MinIO tenant
	{"accessKey", "secretKey", ""},
	{"access_key", "secret_key", ""},
	{"rootUser", "rootPassword", ""},   // MinIO's chart
	{"root-user", "root-password", ""}, // Bitnami's chart
}

// configEnv is the one key of the Secret that a MinIO tenant's
// spec.configuration names: shell lines.
const configEnv = "config.env"

// CredentialsFromEnv reads $CORKLINE_S3_ACCESS_KEY and
// $CORKLINE_S3_SECRET_KEY, or the files that the same names with _FILE name,
// or what AWS's SDKs and MinIO read. found is false when none of them is set.
func CredentialsFromEnv() (c Credentials, found bool, err error) {
	values := map[string]string{}
	for _, form := range credentialForms {
		for _, name := range []string{form.access, form.secret, form.session} {
			value, set := os.LookupEnv(name)
			if file := os.Getenv(name + "_FILE"); !set && name != "" && file != "" {
				if value, err = readSecret(file); err != nil {
					return Credentials{}, false, fmt.Errorf("read the file that $%s_FILE names: %w", name, err)
				}
				set = true
			}
			if set {
				values[name] = value
			}
		}
	}
	if len(values) == 0 {
		return Credentials{}, false, nil
	}
	if c, err = credentialsFrom(values); err != nil {
		return Credentials{}, false, fmt.Errorf("read the S3 credentials of the environment: %w", err)
	}
	return c, true, nil
}

// LoadCredentials reads a mounted Secret (a folder with a file for each key),
// or a file of KEY=VALUE lines as the shell, MinIO's config.env and
// ~/.aws/credentials (its first profile, or default) have them.
func LoadCredentials(path string) (Credentials, error) {
	values := map[string]string{}
	info, err := os.Stat(path)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the S3 credentials: %w", err)
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return Credentials{}, fmt.Errorf("read the S3 credentials: %w", err)
		}
		for _, entry := range entries {
			if entry.IsDir() || strings.HasPrefix(entry.Name(), "..") { // the kubelet's own
				continue
			}
			if values[entry.Name()], err = readSecret(filepath.Join(path, entry.Name())); err != nil {
				return Credentials{}, fmt.Errorf("read the S3 credentials in %s: %w", path, err)
			}
		}
	} else if values[configEnv], err = readSecret(path); err != nil {
		return Credentials{}, fmt.Errorf("read the S3 credentials: %w", err)
	}
	c, err := credentialsFrom(values)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the S3 credentials in %s: %w", path, err)
	}
	return c, nil
}

// CredentialsFromSecret reads them from a Kubernetes Secret as its API has it.
func CredentialsFromSecret(secret kubeapi.Object) (Credentials, error) {
	values := map[string]string{}
	for key, value := range stringMap(secret["data"]) {
		text, isText := value.(string)
		plain, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !isText {
			return Credentials{}, fmt.Errorf("read the S3 credentials of %s: its key %s is not base64", secret, key)
		}
		values[key] = string(plain)
	}
	c, err := credentialsFrom(values)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the S3 credentials of %s: %w", secret, err)
	}
	return c, nil
}

// credentialsFrom finds the two keys; an error names keys only.
func credentialsFrom(values map[string]string) (Credentials, error) {
	if text, ok := values[configEnv]; ok {
		assigned, err := assignments(text)
		if err != nil {
			return Credentials{}, err
		}
		values = assigned
	}
	for _, form := range credentialForms {
		access, secret := strings.TrimSpace(values[form.access]), strings.TrimSpace(values[form.secret])
		switch {
		case access != "" && secret != "":
			return Credentials{access, secret, strings.TrimSpace(values[form.session])}, nil
		case access != "":
			return Credentials{}, fmt.Errorf("there is %s, but no %s", form.access, form.secret)
		case secret != "":
			return Credentials{}, fmt.Errorf("there is %s, but no %s", form.secret, form.access)
		}
	}
	var known []string
	for _, form := range credentialForms {
		known = append(known, form.access+" and "+form.secret)
	}
	return Credentials{}, fmt.Errorf("none of the known pairs is there: %s, or %s with such lines", strings.Join(known, ", "), configEnv)
}

// assignments reads lines as the shell takes them (export NAME="value"), and
// as AWS's credentials file has them (name = value). An error does not show
// the line, which holds a secret.
func assignments(text string) (map[string]string, error) {
	values, profile := map[string]string{}, ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			profile = strings.Trim(line, "[] ")
			if profile == "default" {
				clear(values)
			} else if len(values) > 0 {
				break
			}
			continue
		}
		name, value, found := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "=")
		if !found {
			return nil, fmt.Errorf("line %d is not NAME=VALUE", number)
		}
		value, err := unquote(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		values[strings.TrimSpace(name)] = value
	}
	return values, nil
}

// unquote reads one word of the shell: plain, '…', "…", or several of them
// without a blank between. What would have to be run or looked up is refused.
func unquote(text string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\'':
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return "", errors.New("a quote is not closed")
			}
			out.WriteString(text[i+1 : i+1+end])
			i += end + 1
		case '"':
			n, err := doubleQuoted(&out, text[i+1:])
			if err != nil {
				return "", err
			}
			i += n
		case '\\':
			if i++; i == len(text) {
				return "", errors.New("it ends in a backslash")
			}
			out.WriteByte(text[i])
		case ' ', '\t':
			if rest := strings.TrimSpace(text[i:]); rest != "" && rest[0] != '#' {
				return "", errors.New("the value has a blank, and is not quoted")
			}
			return out.String(), nil
		case '$', '`', ';', '&', '|', '<', '>', '(', ')':
			return "", errors.New("the value has what the shell would act on; write it out, or quote it with '")
		default:
			out.WriteByte(text[i])
		}
	}
	return out.String(), nil
}

// doubleQuoted writes what stands before the closing quote, and returns how
// long it was with the quote.
func doubleQuoted(out *strings.Builder, text string) (int, error) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, nil
		case c == '$' || c == '`':
			return 0, errors.New("the value refers to another; write it out, or quote it with '")
		case c == '\\' && i+1 < len(text) && strings.IndexByte("$`\"\\", text[i+1]) >= 0:
			i++
			out.WriteByte(text[i])
		default:
			out.WriteByte(c)
		}
	}
	return 0, errors.New("a quote is not closed")
}

// readSecret reads a file. The error does not have its name: who puts a secret
// where a file belongs finds it in the log otherwise.
func readSecret(file string) (string, error) {
	text, err := os.ReadFile(file)
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return "", cause.Err
	}
	return strings.TrimSpace(string(text)), err
}
