package datasources

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func TestProvisioning(t *testing.T) {
	const want = `apiVersion: 1
datasources:
  - name: Corkline Prometheus
    uid: corkline-prometheus
    type: prometheus
    access: proxy
    url: http://127.0.0.1:9090
    isDefault: true
    jsonData:
      alertmanagerUid: corkline-alertmanager
      httpMethod: POST
  - name: Corkline Loki
    uid: corkline-loki
    type: loki
    access: proxy
    url: https://loki.example
    isDefault: false
    basicAuth: true
    basicAuthUser: grafana
    jsonData:
      alertmanagerUid: corkline-alertmanager
      httpHeaderName1: X-Scope-OrgID
      tlsSkipVerify: true
    secureJsonData:
      basicAuthPassword: pa$$word
      httpHeaderValue1: network
  - name: Corkline Alertmanager
    uid: corkline-alertmanager
    type: alertmanager
    access: proxy
    url: http://alertmanager:9093
    isDefault: false
    jsonData:
      implementation: prometheus
`
	got, err := Provisioning(Stores{
		Prometheus:   Store{URL: "http://127.0.0.1:9090"},
		Loki:         Store{URL: "https://loki.example", Tenant: "network", User: "grafana", Password: "pa$word", SkipVerify: true},
		Alertmanager: Store{URL: "http://alertmanager:9093"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("rendered (-want +got):\n%s", diff)
	}
}

// Whatever the values are, Grafana reads back what was given.
func TestProvisioningEscapes(t *testing.T) {
	stores := rapid.Custom(func(t *rapid.T) Store {
		return Store{
			URL:      "https://loki.example/" + rapid.StringMatching(`[a-z'&<>:#$ {}!*]*`).Draw(t, "path"),
			Tenant:   rapid.StringMatching(`[ -~äöü]*`).Draw(t, "tenant"),
			User:     rapid.StringMatching(`[^\x00]+`).Draw(t, "user"),
			Password: rapid.String().Draw(t, "password"),
		}
	}).Filter(func(s Store) bool { // what is refused has tests of its own
		_, err := Provisioning(Stores{Loki: s})
		return err == nil
	})
	rapid.Check(t, func(t *rapid.T) {
		want := stores.Draw(t, "store")
		text, err := Provisioning(Stores{Loki: want})
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Datasources []struct {
				UID, URL       string
				BasicAuthUser  string            `yaml:"basicAuthUser"`
				SecureJSONData map[string]string `yaml:"secureJsonData"`
			}
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatalf("the file is not YAML: %v\n%s", err, text)
		}
		if len(file.Datasources) != 1 || file.Datasources[0].UID != LokiUID {
			t.Fatalf("datasources = %+v, want Loki's alone", file.Datasources)
		}
		d := file.Datasources[0]
		expand := strings.NewReplacer("$$", "$").Replace
		got := Store{
			URL: expand(d.URL), Tenant: expand(d.SecureJSONData["httpHeaderValue1"]),
			User: expand(d.BasicAuthUser), Password: expand(d.SecureJSONData["basicAuthPassword"]),
		}
		if got != want {
			t.Errorf("Grafana reads %q %q %q %q, want %q %q %q %q", got.URL, got.Tenant, got.User, got.Password, want.URL, want.Tenant, want.User, want.Password)
		}
	})
}

func TestTLS(t *testing.T) {
	cert, key := selfSigned(t)
	all, err := All(Stores{Loki: Store{URL: "https://loki", CA: cert, Cert: cert, Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	want := Datasource{
		Name: "Corkline Loki", UID: LokiUID, Type: "loki", Access: "proxy", URL: "https://loki",
		JSONData:       map[string]any{"tlsAuth": true, "tlsAuthWithCACert": true},
		SecureJSONData: map[string]string{"tlsCACert": cert, "tlsClientCert": cert, "tlsClientKey": key},
	}
	if diff := cmp.Diff([]Datasource{want}, all); diff != "" {
		t.Errorf("datasources (-want +got):\n%s", diff)
	}
}

func TestTransport(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		fmt.Fprint(w, user, " ", password, " ", r.Header.Get("X-Scope-OrgID"))
	}))
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	roundTripper, err := Store{URL: server.URL, CA: ca, User: "u", Password: "p", Tenant: "t"}.Transport()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: roundTripper}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body [5]byte
	if _, err := response.Body.Read(body[:]); err != nil && string(body[:]) != "u p t" {
		t.Errorf("the store got %q (%v), want \"u p t\"", body, err)
	}
}

func TestRefuses(t *testing.T) {
	for name, store := range map[string]Store{
		"no store":            {},
		"no scheme":           {URL: "127.0.0.1:3100"},
		"no host":             {URL: "http://"},
		"file":                {URL: "file:///etc/passwd"},
		"a password":          {URL: "http://u:hunter2@prometheus:9090"},
		"unparsable":          {URL: "http://u:hunter2@%zz"},
		"no URL":              {Password: "hunter2"},
		"password, no user":   {URL: "http://loki", Password: "hunter2"},
		"a CA that is none":   {URL: "https://loki", CA: "hunter2"},
		"certificate, no key": {URL: "https://loki", Cert: "hunter2"},
		"a key that is none":  {URL: "https://loki", Cert: "hunter2", Key: "hunter2"},
		"a tenant's newline":  {URL: "http://loki", Tenant: "a\nhunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Provisioning(Stores{Loki: store})
			if err == nil {
				t.Fatalf("rendered %s", text)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
