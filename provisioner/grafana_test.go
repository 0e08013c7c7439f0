package provisioner

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/datasources"
)

// fakeGrafana answers as the HTTP API of Grafana 12 is documented and read:
// statuses, messages, and what it adds to what was written. No Grafana server
// can be had where these tests run; docs/provision.md has the check by hand.
type fakeGrafana struct {
	t           *testing.T
	datasources map[string]map[string]any
	folders     map[string]map[string]any
	boards      map[string]map[string]any // as GET answers
	requests    []string
	refuse      map[string]int // status by "METHOD /path"
}

func newFakeGrafana(t *testing.T) (*fakeGrafana, string) {
	t.Helper()
	f := &fakeGrafana{
		t: t, datasources: map[string]map[string]any{}, folders: map[string]map[string]any{}, boards: map[string]map[string]any{}, refuse: map[string]int{},
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL
}

func (f *fakeGrafana) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			f.t.Error(err)
		}
	}
	path := strings.TrimPrefix(r.URL.Path, "/grafana")
	if r.Method != http.MethodGet {
		f.requests = append(f.requests, r.Method+" "+path)
	}
	user, password, basic := r.BasicAuth()
	if r.Header.Get("Authorization") != "Bearer glsa_a:b" && (!basic || user != "admin" || password != "pass") {
		answer(http.StatusUnauthorized, map[string]any{"message": "Invalid API key", "messageId": "api-key.invalid"})
		return
	}
	if code := f.refuse[r.Method+" "+path]; code != 0 {
		answer(code, map[string]any{"message": "You'll need additional permissions to perform this action.", "title": "Access denied"})
		return
	}
	body := map[string]any{}
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			answer(http.StatusBadRequest, map[string]any{"message": "bad request data"})
			return
		}
	}
	uid := path[strings.LastIndex(path, "/")+1:]
	get := func(from map[string]map[string]any, missing string) {
		if o, ok := from[uid]; ok {
			answer(http.StatusOK, o)
			return
		}
		answer(http.StatusNotFound, map[string]any{"message": missing})
	}
	store := func(into map[string]map[string]any, o map[string]any) {
		secrets, _ := o["secureJsonData"].(map[string]any)
		delete(o, "secureJsonData") // it never hands them out
		o["secureJsonFields"] = map[string]bool{}
		for key := range secrets {
			o["secureJsonFields"].(map[string]bool)[key] = true
		}
		o["readOnly"] = false
		into[o["uid"].(string)] = o
	}
	switch route := r.Method + " " + path[:strings.LastIndex(path, "/")]; {
	case route == "GET /api/datasources/uid":
		get(f.datasources, "Data source not found")
	case r.Method == http.MethodPost && path == "/api/datasources":
		store(f.datasources, body)
		answer(http.StatusOK, map[string]any{"datasource": body, "id": 1, "message": "Datasource added", "name": body["name"]})
	case route == "PUT /api/datasources/uid":
		store(f.datasources, body)
		answer(http.StatusOK, map[string]any{"datasource": body, "id": 1, "message": "Datasource updated", "name": body["name"]})
	case route == "GET /api/folders":
		get(f.folders, "folder not found")
	case r.Method == http.MethodPost && path == "/api/folders":
		body["version"] = 1
		f.folders[body["uid"].(string)] = body
		answer(http.StatusOK, body)
	case route == "PUT /api/folders":
		if body["version"] != float64(f.folders[uid]["version"].(int)) {
			answer(http.StatusPreconditionFailed, map[string]any{"message": "the folder has been changed by someone else", "status": "version-mismatch"})
			return
		}
		f.folders[uid] = map[string]any{"uid": uid, "title": body["title"], "version": 2}
		answer(http.StatusOK, f.folders[uid])
	case route == "GET /api/dashboards/uid":
		get(f.boards, "Dashboard not found")
	case r.Method == http.MethodPost && path == "/api/dashboards/db":
		if diff := cmp.Diff([]string{"dashboard", "folderUid", "overwrite"}, slices.Sorted(maps.Keys(body))); diff != "" {
			f.t.Errorf("keys of the request for a dashboard (-want +got):\n%s", diff)
		}
		board := body["dashboard"].(map[string]any)
		board["id"], board["version"] = 7, 3
		uid := board["uid"].(string)
		f.boards[uid] = map[string]any{"dashboard": board, "meta": map[string]any{"folderUid": body["folderUid"], "provisioned": false}}
		answer(http.StatusOK, map[string]any{"id": 7, "slug": "a", "status": "success", "uid": uid, "url": "/d/" + uid, "version": 3})
	default:
		answer(http.StatusNotFound, map[string]any{"message": "Not found"})
	}
}

func small(uid string) dashboards.Dashboard {
	return dashboards.Dashboard{Stem: uid, UID: uid, Title: uid, JSON: fmt.Appendf(nil, `{"uid": %q, "title": %q, "panels": [{"options": {"kept": [1, null, {}]}}]}`, uid, uid)}
}

func pushed(t *testing.T, g Grafana, o PushOptions) map[string]Action {
	t.Helper()
	changes, err := Push(t.Context(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	return byName(changes)
}

func byName(changes []Change) map[string]Action {
	actions := map[string]Action{}
	for _, c := range changes {
		actions[c.Name] = c.Action
	}
	return actions
}

func TestPush(t *testing.T) {
	fake, url := newFakeGrafana(t)
	g := Grafana{URL: url + "/grafana", Token: "glsa_a:b"}
	o := PushOptions{
		Dashboards: []dashboards.Dashboard{small("a"), small("b")}, Folder: "Corkline", FolderUID: "corkline",
		Datasources: datasources.Stores{Prometheus: datasources.Store{URL: "http://prometheus"}, Loki: datasources.Store{URL: "http://loki", Tenant: "network"}},
	}
	all := func(a Action) map[string]Action {
		return map[string]Action{"a": a, "b": a, "corkline": a, "corkline-prometheus": a, "corkline-loki": a}
	}
	o.DryRun = true
	if diff := cmp.Diff(all(Created), pushed(t, g, o)); diff != "" || len(fake.requests) > 0 {
		t.Errorf("dry run sent %q (-want +got):\n%s", fake.requests, diff)
	}
	o.DryRun = false
	if diff := cmp.Diff(all(Created), pushed(t, g, o)); diff != "" {
		t.Errorf("push (-want +got):\n%s", diff)
	}
	want := map[string]any{"uid": "a", "title": "a", "id": float64(7), "version": float64(3), "panels": []any{map[string]any{"options": map[string]any{"kept": []any{float64(1), nil, map[string]any{}}}}}}
	got := fake.boards["a"]["dashboard"].(map[string]any)
	got["id"], got["version"] = float64(7), float64(3)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Grafana has (-want +got):\n%s", diff)
	}
	if fake.boards["a"]["meta"].(map[string]any)["folderUid"] != "corkline" {
		t.Errorf("the dashboard is in the wrong folder: %v", fake.boards["a"])
	}

	fake.requests = nil
	again := all(Unchanged)
	again["corkline-loki"] = Configured // its tenant is a secret to Grafana, which cannot be compared
	if diff := cmp.Diff(again, pushed(t, g, o)); diff != "" {
		t.Errorf("push again (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"PUT /api/datasources/uid/corkline-loki"}, fake.requests); diff != "" {
		t.Errorf("requests of the second push (-want +got):\n%s", diff)
	}

	o.Dashboards[0].JSON = []byte(`{"uid": "a", "title": "other"}`)
	o.Folder, o.Datasources.Prometheus.URL = "Network", "http://other"
	again["a"], again["corkline"], again["corkline-prometheus"] = Configured, Configured, Configured
	if diff := cmp.Diff(again, pushed(t, g, o)); diff != "" {
		t.Errorf("push of changes (-want +got):\n%s", diff)
	}
}

func TestPushRefused(t *testing.T) {
	fake, url := newFakeGrafana(t)
	good := Grafana{URL: url, User: "admin", Password: "pass"}
	o := PushOptions{Dashboards: []dashboards.Dashboard{small("a"), small("b")}, Folder: "Corkline", FolderUID: "corkline"}
	fake.boards["p"] = map[string]any{"dashboard": map[string]any{}, "meta": map[string]any{"provisioned": true}}
	fake.datasources["corkline-loki"] = map[string]any{"uid": "corkline-loki", "readOnly": true}
	fake.refuse["POST /api/folders"] = http.StatusForbidden
	for name, c := range map[string]struct {
		grafana Grafana
		options PushOptions
		text    string
	}{
		"a wrong token":       {Grafana{URL: url, Token: "hunter2"}, o, "the token has expired"},
		"a wrong password":    {Grafana{URL: url, User: "admin", Password: "hunter2"}, o, "user and password are wrong"},
		"no right":            {good, o, "role Editor"},
		"a provisioned board": {good, PushOptions{Dashboards: []dashboards.Dashboard{small("p")}}, "provisioning file"},
		"a provisioned store": {good, PushOptions{Datasources: datasources.Stores{Loki: datasources.Store{URL: "http://loki"}}}, "provisioning file"},
		"no Grafana":          {Grafana{URL: "http://127.0.0.1:1"}, o, "connection refused"},
		"no URL":              {Grafana{URL: "grafana"}, o, "want http(s)"},
		"a password in it":    {Grafana{URL: "http://u:hunter2@grafana"}, o, "must not carry"},
		"no JSON":             {good, PushOptions{Dashboards: []dashboards.Dashboard{{Stem: "bad", JSON: []byte("{")}}}, "bad.json"},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := Push(t.Context(), c.grafana, c.options)
			if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Push = %v, %v; want an error with %q", changes, err, c.text)
			}
			if name == "no right" {
				want := map[string]Action{"corkline": Failed, "a": NotApplied, "b": NotApplied}
				if diff := cmp.Diff(want, byName(changes)); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			}
		})
	}
}
