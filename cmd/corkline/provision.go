package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/datasources"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/provisioner"
	"github.com/corkline/corkline/provisioner/kubeapi"
)

type provisionCmd struct {
	Render  renderCmd  `cmd:"" help:"Write the manifests of dashboards and datasources."`
	Diff    diffCmd    `cmd:"" help:"Show what apply would change in the cluster."`
	Apply   applyCmd   `cmd:"" help:"Apply the manifests to the cluster (server-side), and prune what is gone."`
	Push    pushCmd    `cmd:"" help:"Push dashboards and datasources to a Grafana over its HTTP API."`
	Buckets bucketsCmd `cmd:"" help:"Wait for S3, make the buckets that Loki needs, and prove that they work."`
	Verify  verifyCmd  `cmd:"" help:"Run the queries of every panel, and tell which have data."`
}

// exitError is an error with an exit code other than 1.
type exitError struct {
	error
	code int
}

// ExitCode implements kong.ExitCoder.
func (e exitError) ExitCode() int { return e.code }

// Unwrap gives the error itself.
func (e exitError) Unwrap() error { return e.error }

// storeFlags describe one server; passwords come from the environment or a
// file, never from an argument, which every process can read.
type storeFlags struct {
	URL string `env:"URL" placeholder:"URL" help:"URL."`
	accessFlags
}

// accessFlags are what a server asks for beside the request.
type accessFlags struct {
	Tenant       string `env:"TENANT" placeholder:"NAME" help:"Tenant, for the header X-Scope-OrgID."`
	User         string `env:"USER" placeholder:"NAME" help:"User of basic authentication; the password is in the variable $CORKLINE_…_PASSWORD or a file."`
	PasswordFile string `env:"PASSWORD_FILE" type:"path" placeholder:"FILE" help:"File with the password."`
	CAFile       string `env:"CA_FILE" type:"path" placeholder:"FILE" help:"PEM of the authority that signs its certificate."`
	CertFile     string `env:"CERT_FILE" type:"path" placeholder:"FILE" help:"PEM of a client certificate."`
	KeyFile      string `env:"KEY_FILE" type:"path" placeholder:"FILE" help:"PEM of the client certificate's key."`
	SkipVerify   bool   `env:"SKIP_VERIFY" help:"Accept any certificate."`
}

func (f storeFlags) store(name string) (datasources.Store, error) {
	s := datasources.Store{URL: f.URL, Tenant: f.Tenant, User: f.User, SkipVerify: f.SkipVerify}
	if f.URL == "" {
		return datasources.Store{}, nil // whatever else the environment has
	}
	var err error
	if f.User != "" {
		if s.Password, err = password("CORKLINE_"+strings.ToUpper(name)+"_PASSWORD", f.PasswordFile); err != nil {
			return datasources.Store{}, err
		}
	}
	for _, m := range []struct {
		file string
		into *string
	}{{f.CAFile, &s.CA}, {f.CertFile, &s.Cert}, {f.KeyFile, &s.Key}} {
		if m.file == "" {
			continue
		}
		text, err := os.ReadFile(m.file)
		if err != nil {
			return datasources.Store{}, fmt.Errorf("read the TLS material of %s: %w", name, err)
		}
		*m.into = string(text)
	}
	return s, nil
}

// password reads a file, or else the environment.
func password(variable, file string) (string, error) {
	if file == "" {
		return os.Getenv(variable), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read a password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

type storesFlags struct {
	Prometheus   storeFlags `embed:"" prefix:"prometheus-" envprefix:"CORKLINE_PROMETHEUS_" group:"Prometheus"`
	Loki         storeFlags `embed:"" prefix:"loki-" envprefix:"CORKLINE_LOKI_" group:"Loki"`
	Alertmanager storeFlags `embed:"" prefix:"alertmanager-" envprefix:"CORKLINE_ALERTMANAGER_" group:"Alertmanager"`
}

func (f storesFlags) stores() (datasources.Stores, error) {
	var s datasources.Stores
	for _, store := range []struct {
		name  string
		flags storeFlags
		into  *datasources.Store
	}{{"prometheus", f.Prometheus, &s.Prometheus}, {"loki", f.Loki, &s.Loki}, {"alertmanager", f.Alertmanager, &s.Alertmanager}} {
		var err error
		if *store.into, err = store.flags.store(store.name); err != nil {
			return datasources.Stores{}, err
		}
	}
	return s, nil
}

type boardFlags struct {
	Dashboard []string `type:"path" placeholder:"FILE" sep:"none" help:"Dashboard of your own beside the shipped ones; may be given more than once."`
	Shipped   bool     `default:"true" negatable:"" help:"Take the dashboards that come with corkline (default)."`
}

func (f boardFlags) dashboards() ([]dashboards.Dashboard, error) {
	var all []dashboards.Dashboard
	if f.Shipped {
		all = dashboards.All()
	}
	for _, file := range f.Dashboard {
		d, err := provisioner.LoadDashboard(file)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

type manifestFlags struct {
	boardFlags
	storesFlags
	Namespace        string            `short:"n" env:"CORKLINE_NAMESPACE" placeholder:"NAME" help:"Namespace in which Grafana's sidecars look; default is the kubeconfig's or the pod's."`
	Instance         string            `default:"corkline" placeholder:"NAME" help:"Tells this installation's objects from those of another in the namespace (default corkline)."`
	Folder           string            `default:"Corkline" placeholder:"NAME" help:"Folder of the dashboards (default Corkline); empty for none."`
	FolderAnnotation string            `default:"grafana_folder" placeholder:"KEY" help:"Annotation that names the folder (default grafana_folder), as folderAnnotation in Grafana's chart."`
	DashboardLabel   string            `default:"grafana_dashboard=1" placeholder:"KEY=VALUE" help:"Label that the dashboards' sidecar looks for (default grafana_dashboard=1)."`
	DatasourceLabel  string            `default:"grafana_datasource=1" placeholder:"KEY=VALUE" help:"Label that the datasources' sidecar looks for (default grafana_datasource=1)."`
	Label            map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Label for all objects; may be given more than once."`
	Annotation       map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Annotation for all objects; may be given more than once."`
	Manifest         []string          `type:"path" placeholder:"FILE" sep:"none" help:"YAML with further namespaced objects, such as a PrometheusRule; may be given more than once."`
}

func (f manifestFlags) render(namespace string) ([]kubeapi.Object, error) {
	o := provisioner.RenderOptions{
		Namespace: namespace, Instance: f.Instance, Folder: f.Folder, FolderAnnotation: f.FolderAnnotation,
		Labels: f.Label, Annotations: f.Annotation,
	}
	var err error
	if o.DashboardLabel, err = provisioner.ParseLabel(f.DashboardLabel); err != nil {
		return nil, err
	}
	if o.DatasourceLabel, err = provisioner.ParseLabel(f.DatasourceLabel); err != nil {
		return nil, err
	}
	if o.Dashboards, err = f.dashboards(); err != nil {
		return nil, err
	}
	if o.Datasources, err = f.stores(); err != nil {
		return nil, err
	}
	for _, file := range f.Manifest {
		objects, err := provisioner.LoadManifests(file)
		if err != nil {
			return nil, err
		}
		o.Manifests = append(o.Manifests, objects...)
	}
	return provisioner.Render(o)
}

type renderCmd struct {
	manifestFlags
	Out string `type:"path" placeholder:"FILE" help:"Write to this file, which only you may read, instead of standard output."`
}

// Help is shown below the command's flags.
func (c *renderCmd) Help() string {
	return `Examples:
  corkline provision render -n monitoring > dashboards.yaml
  corkline provision render -n monitoring --prometheus-url=http://prometheus:9090 --loki-url=http://loki:3100 --loki-tenant=network
  corkline provision render -n monitoring --no-shipped --dashboard=mine.json --label=team=network

The same flags give the same bytes. The Secret of the datasources holds their
passwords. Apply it with kubectl apply --server-side: without, kubectl stores
a copy of each object in an annotation, which is too small for big dashboards.`
}

// Run writes the manifests.
func (c *renderCmd) Run() error {
	if c.Namespace == "" {
		return errors.New("render needs to know the namespace: give --namespace NAME")
	}
	objects, err := c.render(c.Namespace)
	if err != nil {
		return err
	}
	if c.Out == "" {
		return provisioner.WriteYAML(os.Stdout, objects)
	}
	file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the manifests: %w", err)
	}
	// One that was there keeps its mode otherwise.
	return errors.Join(file.Chmod(0o600), provisioner.WriteYAML(file, objects), file.Close())
}

type clusterFlags struct {
	Kubeconfig string `type:"path" placeholder:"FILE" help:"Kubeconfig; default is $KUBECONFIG, then ~/.kube/config, then the pod's service account."`
	Context    string `placeholder:"NAME" help:"Context of the kubeconfig; default is its current one."`
}

func (f clusterFlags) connect() (*kubeapi.Client, error) {
	return kubeapi.Connect(kubeapi.Options{Kubeconfig: f.Kubeconfig, Context: f.Context, UserAgent: "corkline/" + version})
}

type planFlags struct {
	manifestFlags
	clusterFlags
	Prune          bool `default:"true" negatable:"" help:"Delete what is ours and no longer rendered (default)."`
	ForceConflicts bool `help:"Take over fields that others manage."`
}

func (f planFlags) plan(ctx context.Context) (*provisioner.Plan, error) {
	client, err := f.connect()
	if err != nil {
		return nil, err
	}
	namespace := f.Namespace
	if namespace == "" {
		namespace = client.Namespace
	}
	objects, err := f.render(namespace)
	if err != nil {
		return nil, err
	}
	return provisioner.NewPlan(ctx, client, objects, provisioner.PlanOptions{
		Namespace: namespace, Instance: f.Instance, Prune: f.Prune, Force: f.ForceConflicts,
	})
}

type diffCmd struct{ planFlags }

// Help is shown below the command's flags.
func (c *diffCmd) Help() string {
	return `Examples:
  corkline provision diff -n monitoring
  corkline provision diff -n monitoring --loki-url=http://loki:3100 --no-prune

Takes the flags of apply, and changes nothing: the API server makes a dry run of
every change, which needs the rights to make it. Values of Secrets are not
shown. The exit code is 0 when nothing differs, 1 when something does, and 2
when it could not be found out.`
}

// Run prints the difference.
func (c *diffCmd) Run(ctx context.Context) error {
	plan, err := c.plan(ctx)
	if err != nil {
		return exitError{err, 2}
	}
	text, err := plan.Diff()
	if err != nil {
		return exitError{err, 2}
	}
	fmt.Print(text)
	if plan.Differs() {
		return errSilent
	}
	return nil
}

type applyCmd struct {
	planFlags
	DryRun bool   `help:"Let the API server try every change, and change nothing."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is shown below the command's flags.
func (c *applyCmd) Help() string {
	return `Examples:
  corkline provision apply -n monitoring --prometheus-url=http://prometheus:9090 --loki-url=http://loki:3100
  corkline provision apply -n monitoring --dry-run
  corkline provision apply -n monitoring --manifest=rules.yaml -o json

Every change is first tried in a dry run, so that what the API server refuses is
found before anything is changed. If one fails nevertheless, the table tells what
was applied and what was not. What an earlier run applied in the namespace, with
the same --instance, and this one does not is deleted, unless --no-prune is given.
A Role with get, list, create, patch and delete on configmaps and secrets is
enough.`
}

// Run applies, and prints what became of each object.
func (c *applyCmd) Run(ctx context.Context) error {
	plan, err := c.plan(ctx)
	if err != nil {
		return fmt.Errorf("%w\nnothing was changed", err)
	}
	if c.DryRun {
		fmt.Fprintln(os.Stderr, "dry run: nothing was changed")
		return printChanges(os.Stdout, c.Output, plan.Changes)
	}
	changes, err := plan.Apply(ctx)
	return errors.Join(printChanges(os.Stdout, c.Output, changes), err)
}

func printChanges(w io.Writer, output string, changes []provisioner.Change) error {
	if output == "json" {
		return printJSON(w, changes)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tNAME\tACTION")
	for _, c := range changes {
		fmt.Fprintf(t, "%s\t%s\t%s\n", c.Kind, c.Name, c.Action)
	}
	return t.Flush()
}

func printJSON[T any](w io.Writer, list []T) error {
	if list == nil {
		list = []T{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(list); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

type pushCmd struct {
	boardFlags
	storesFlags
	URL          string `name:"grafana-url" required:"" env:"CORKLINE_GRAFANA_URL" placeholder:"URL" help:"URL of Grafana."`
	TokenFile    string `env:"CORKLINE_GRAFANA_TOKEN_FILE" type:"path" placeholder:"FILE" help:"File with a service account's token; or put the token into $CORKLINE_GRAFANA_TOKEN."`
	User         string `env:"CORKLINE_GRAFANA_USER" placeholder:"NAME" help:"User, when there is no token; the password is in $CORKLINE_GRAFANA_PASSWORD or a file."`
	PasswordFile string `env:"CORKLINE_GRAFANA_PASSWORD_FILE" type:"path" placeholder:"FILE" help:"File with the password."`
	Folder       string `default:"Corkline" placeholder:"NAME" help:"Folder of the dashboards (default Corkline); empty for none."`
	FolderUID    string `default:"corkline" placeholder:"UID" help:"What Grafana knows the folder by (default corkline)."`
	DryRun       bool   `help:"Only say what would be done."`
	Output       string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is shown below the command's flags.
func (c *pushCmd) Help() string {
	return `Examples:
  CORKLINE_GRAFANA_TOKEN=… corkline provision push --grafana-url=https://grafana.example
  corkline provision push --grafana-url=http://localhost:3000 --user=admin --password-file=pw --loki-url=http://loki:3100
  corkline provision push --grafana-url=http://localhost:3000 --token-file=token --dashboard=mine.json --dry-run

Dashboards and the folder need the role Editor, datasources Admin. What is there
already is left alone; a dashboard that was changed in Grafana is overwritten,
and its history keeps the change.`
}

// Run pushes, and prints what became of each object.
func (c *pushCmd) Run(ctx context.Context) error {
	g := provisioner.Grafana{URL: c.URL, User: c.User}
	var err error
	if g.Token, err = password("CORKLINE_GRAFANA_TOKEN", c.TokenFile); err != nil {
		return err
	}
	if c.User != "" {
		if g.Password, err = password("CORKLINE_GRAFANA_PASSWORD", c.PasswordFile); err != nil {
			return err
		}
	}
	o := provisioner.PushOptions{Folder: c.Folder, FolderUID: c.FolderUID, DryRun: c.DryRun}
	if o.Dashboards, err = c.dashboards(); err != nil {
		return err
	}
	if o.Datasources, err = c.stores(); err != nil {
		return err
	}
	changes, err := provisioner.Push(ctx, g, o)
	if len(changes) == 0 {
		return err
	}
	if c.DryRun {
		fmt.Fprintln(os.Stderr, "dry run: nothing was changed")
	}
	return errors.Join(printChanges(os.Stdout, c.Output, changes), err)
}

type bucketsCmd struct {
	clusterFlags
	Endpoint          string        `required:"" env:"CORKLINE_S3_ENDPOINT" placeholder:"URL" help:"URL of the S3 store, such as http://minio:9000."`
	Region            string        `default:"us-east-1" env:"CORKLINE_S3_REGION" placeholder:"NAME" help:"Region (default us-east-1)."`
	Bucket            []string      `default:"chunks,ruler,admin" placeholder:"NAME" help:"Buckets (default chunks,ruler,admin)."`
	Credentials       string        `env:"CORKLINE_S3_CREDENTIALS" type:"path" xor:"credentials" placeholder:"PATH" help:"Mounted Secret (a folder), MinIO's config.env or AWS's credentials file."`
	CredentialsSecret string        `env:"CORKLINE_S3_CREDENTIALS_SECRET" xor:"credentials" placeholder:"[NAMESPACE/]NAME" help:"Secret to read from the Kubernetes API."`
	CAFile            string        `env:"CORKLINE_S3_CA_FILE" type:"path" placeholder:"FILE" help:"PEM of a private authority that signs the store's certificate."`
	SkipVerify        bool          `env:"CORKLINE_S3_SKIP_VERIFY" help:"Accept any certificate."`
	Wait              time.Duration `default:"5m" placeholder:"DURATION" help:"How long to wait until the store answers (default 5m)."`
	Output            string        `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is shown below the command's flags.
func (c *bucketsCmd) Help() string {
	return `Examples:
  CORKLINE_S3_ACCESS_KEY=… CORKLINE_S3_SECRET_KEY_FILE=key corkline provision buckets --endpoint=http://minio:9000
  corkline provision buckets --endpoint=https://minio.minio --credentials=/etc/minio --ca-file=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt
  corkline provision buckets --endpoint=https://minio.minio --credentials-secret=minio/tenant-env --bucket=loki-chunks,loki-ruler

Credentials are looked for in --credentials or --credentials-secret, then in
$CORKLINE_S3_ACCESS_KEY and …_SECRET_KEY (or …_FILE), $AWS_ACCESS_KEY_ID and
$AWS_SECRET_ACCESS_KEY, $MINIO_ROOT_USER and $MINIO_ROOT_PASSWORD. A Secret may
have them as accesskey and secretkey, CONSOLE_ACCESS_KEY and CONSOLE_SECRET_KEY,
rootUser and rootPassword, the names above, or in config.env. In each bucket an
object is written, read, listed and deleted. Running it again changes nothing.`
}

// Run makes the buckets, and prints what became of each.
func (c *bucketsCmd) Run(ctx context.Context) error {
	s := provisioner.S3{Endpoint: c.Endpoint, Region: c.Region, SkipVerify: c.SkipVerify}
	var err error
	if s.Credentials, err = c.credentials(ctx); err != nil {
		return err
	}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return fmt.Errorf("read the CA of S3: %w", err)
		}
		s.CA = string(text)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Wait, fmt.Errorf("no answer within %s (--wait)", c.Wait))
	defer cancel()
	var last atomic.Value
	last.Store("")
	done := local.NewProgress(os.Stderr).Track("making buckets", func() string { return last.Load().(string) })
	buckets, err := provisioner.Buckets(ctx, s, c.Bucket, func(reason string) { last.Store("waiting: " + reason) })
	last.Store("")
	done()
	if len(buckets) == 0 {
		return err
	}
	return errors.Join(c.print(os.Stdout, buckets), err)
}

func (c *bucketsCmd) credentials(ctx context.Context) (provisioner.Credentials, error) {
	switch {
	case c.Credentials != "":
		return provisioner.LoadCredentials(c.Credentials)
	case c.CredentialsSecret != "":
		client, err := c.connect()
		if err != nil {
			return provisioner.Credentials{}, err
		}
		namespace, name, found := strings.Cut(c.CredentialsSecret, "/")
		if !found {
			namespace, name = client.Namespace, c.CredentialsSecret
		}
		secret, err := client.Get(ctx, kubeapi.Object{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"namespace": namespace, "name": name},
		})
		if err != nil {
			return provisioner.Credentials{}, err
		}
		return provisioner.CredentialsFromSecret(secret)
	}
	credentials, found, err := provisioner.CredentialsFromEnv()
	if err == nil && !found {
		err = errors.New("find the S3 credentials: none in the environment; see --help for where they may be")
	}
	return credentials, err
}

func (c *bucketsCmd) print(w io.Writer, buckets []provisioner.Bucket) error {
	if c.Output == "json" {
		return printJSON(w, buckets)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BUCKET\tACTION\tPROVEN")
	for _, b := range buckets {
		fmt.Fprintf(t, "%s\t%s\t%s\n", b.Name, b.Action, strings.Join(b.Proven, " "))
	}
	return t.Flush()
}

type verifyCmd struct {
	boardFlags
	storesFlags
	Range        time.Duration     `default:"1h" placeholder:"DURATION" help:"Back from now (default 1h)."`
	Var          map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"Value of a dashboard variable instead of its default; may be given more than once."`
	FailOnNoData bool              `help:"Exit with 1 also when a panel has no data."`
	Wait         time.Duration     `placeholder:"DURATION" help:"Ask again for so long while panels have errors or no data."`
	Output       string            `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is shown below the command's flags.
func (c *verifyCmd) Help() string {
	return `Examples:
  corkline provision verify --prometheus-url=http://localhost:9090 --loki-url=http://localhost:3100
  corkline provision verify --prometheus-url=… --loki-url=… --var=cluster=production --fail-on-no-data
  corkline provision verify --no-shipped --dashboard=mine.json --prometheus-url=… -o json

Asks the datasources themselves, without Grafana, with the variables at their
defaults. The exit code is 1 when a query is refused or not answered.`
}

const verifyAgain = 2 * time.Second

// Run asks, and prints what each panel has.
func (c *verifyCmd) Run(ctx context.Context) error {
	boards, err := c.dashboards()
	if err != nil {
		return err
	}
	stores, err := c.stores()
	if err != nil {
		return err
	}
	results, err := c.verify(ctx, boards, stores)
	if err != nil {
		return err
	}
	if err := c.print(os.Stdout, results); err != nil {
		return err
	}
	broken, empty := count(results, provisioner.Broken), count(results, provisioner.NoData)
	if broken > 0 || (c.FailOnNoData && empty > 0) {
		return fmt.Errorf("of %d panels, %d have errors and %d no data", len(results), broken, empty)
	}
	return nil
}

// verify repeats until all is well, or --wait is over.
func (c *verifyCmd) verify(ctx context.Context, boards []dashboards.Dashboard, stores datasources.Stores) ([]provisioner.PanelResult, error) {
	var at atomic.Value
	at.Store("")
	done := local.NewProgress(os.Stderr).Track(fmt.Sprintf("verifying %d dashboards", len(boards)), func() string { return at.Load().(string) })
	defer done()
	defer at.Store("")
	o := provisioner.VerifyOptions{
		Range: c.Range, Variables: c.Var,
		Progress: func(dashboard, panel string) { at.Store(dashboard + ": " + panel) },
	}
	end := time.NewTimer(c.Wait)
	defer end.Stop()
	tick := time.NewTicker(verifyAgain)
	defer tick.Stop()
	for {
		results, err := provisioner.Verify(ctx, boards, stores, o)
		if err != nil || count(results, provisioner.Broken)+count(results, provisioner.NoData) == 0 {
			return results, err
		}
		select {
		case <-end.C:
			return results, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func count(results []provisioner.PanelResult, s provisioner.State) int {
	n := 0
	for _, r := range results {
		if r.State == s {
			n++
		}
	}
	return n
}

func (c *verifyCmd) print(w io.Writer, results []provisioner.PanelResult) error {
	if c.Output == "json" {
		return printJSON(w, results)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DASHBOARD\tPANEL\tSTATE\tSERIES\tREASON")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", r.Dashboard, r.Panel, r.State, r.Series, r.Reason)
	}
	return t.Flush()
}
