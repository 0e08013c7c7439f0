package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/dashboards/view"
	"github.com/corkline/corkline/datasources"
)

// viewStop is what open answers get at the end.
const viewStop = 3 * time.Second

type viewCmd struct {
	Prometheus       string        `env:"CORKLINE_PROMETHEUS_URL" placeholder:"URL" help:"Prometheus, or what speaks its API (Mimir, Thanos, VictoriaMetrics)."`
	Loki             string        `env:"CORKLINE_LOKI_URL" placeholder:"URL" help:"Loki."`
	Listen           string        `default:"127.0.0.1:3030" placeholder:"ADDRESS" help:"Address and port of the page (default 127.0.0.1:3030); port 0 chooses one."`
	Dashboards       string        `type:"path" placeholder:"DIR" help:"Show the boards (*.json) of this folder in place of those that come with corkline."`
	ScrapeInterval   time.Duration `default:"15s" placeholder:"DURATION" help:"How often Prometheus scrapes (default 15s); rates are taken over four times of it at least."`
	PrometheusAccess accessFlags   `embed:"" prefix:"prometheus-" envprefix:"CORKLINE_PROMETHEUS_" group:"Prometheus"`
	LokiAccess       accessFlags   `embed:"" prefix:"loki-" envprefix:"CORKLINE_LOKI_" group:"Loki"`
}

// Help is shown below the command's flags.
func (c *viewCmd) Help() string {
	return `Examples:
  corkline view --prometheus=http://127.0.0.1:9090 --loki=http://127.0.0.1:3100
  corkline view --prometheus=https://mimir.example.com/prometheus --prometheus-tenant=net
  corkline view --prometheus=http://127.0.0.1:9090 --dashboards=./boards

The page is drawn by the libraries that Grafana publishes; no Grafana is needed.
It listens on loopback, and knows no users: whoever reaches it reads all that
Prometheus and Loki have. Only queries are passed on to them, nothing that
writes. The password of --prometheus-user is in $CORKLINE_PROMETHEUS_PASSWORD or
a file, that of --loki-user likewise.

Exit codes: 0 it was stopped (Ctrl-C), 1 it could not start or go on.`
}

// Run serves the page until ctx ends.
func (c *viewCmd) Run(ctx context.Context, log *slog.Logger) error {
	if c.Prometheus == "" && c.Loki == "" {
		return errors.New("name what the boards show: --prometheus=URL, --loki=URL, or both")
	}
	boards := dashboards.All()
	if c.Dashboards != "" {
		var err error
		if boards, err = view.Load(c.Dashboards); err != nil {
			return err
		}
	}
	o := view.Options{Boards: boards, Version: version, ScrapeInterval: c.ScrapeInterval, Log: log}
	for _, s := range []struct {
		name, url string
		access    accessFlags
		into      *view.Store
	}{{"prometheus", c.Prometheus, c.PrometheusAccess, &o.Prometheus}, {"loki", c.Loki, c.LokiAccess, &o.Loki}} {
		store, err := storeFlags{URL: s.url, accessFlags: s.access}.store(s.name)
		if err != nil {
			return err
		}
		if store == (datasources.Store{}) {
			continue
		}
		s.into.URL = s.url
		if s.into.Transport, err = store.Transport(); err != nil {
			return fmt.Errorf("use --%s: %w", s.name, err)
		}
	}
	v, err := startViewer(c.Listen, o, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d boards: %s/ (Ctrl-C stops)\n", len(boards), v.URL)
	select {
	case <-ctx.Done():
	case err = <-v.ended:
	}
	return errors.Join(err, v.stop())
}

// viewer is a page that is served.
type viewer struct {
	URL    string
	server *http.Server
	ended  chan error    // gets why it ended by itself
	done   chan struct{} // is closed then
}

// startViewer listens and serves. fail is told when it ends by itself; nil
// tells nobody.
func startViewer(listen string, o view.Options, fail func(error)) (*viewer, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the page: %w", listen, err)
	}
	addr, err := netip.ParseAddrPort(listener.Addr().String())
	if err == nil {
		o.AnyHost = !addr.Addr().Unmap().IsLoopback()
	}
	handler, err := view.Handler(o)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	v := &viewer{URL: "http://" + listener.Addr().String(), server: view.Server(handler), ended: make(chan error, 1), done: make(chan struct{})}
	go func() {
		err := v.server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		} else {
			err = fmt.Errorf("serve the page: %w", err)
			if fail != nil {
				fail(err)
			}
		}
		v.ended <- err
		close(v.done)
	}()
	return v, nil
}

// stop lets open answers end, for a moment, and waits for the server.
func (v *viewer) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), viewStop)
	defer cancel()
	if err := v.server.Shutdown(ctx); err != nil {
		if err := v.server.Close(); err != nil {
			return fmt.Errorf("stop the page: %w", err)
		}
	}
	<-v.done
	return nil
}
