package faults

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/corkline/corkline/tests/rig"
)

// The API server of Kubernetes is away, where a pod would look for it: the agent
// starts, reads, ships, is killed and starts again. Provisioning says what it
// misses, and is no part of the agent. Then something listens there that never
// answers, and the agent does not ask it.
func TestRow16APIServerAway(t *testing.T) {
	l := newLab(t, 16, "the API server is away, at the start and later; provisioning fails")
	address := rig.Addr(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	l.agent.Env = []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port, "NODE_NAME=node-1"}
	l.append("np.log", 1000)
	l.agent.Start()
	l.agent.Balances("antrea-networkpolicy", 1000)
	l.kill()
	l.append("np.log", 1000)
	l.agent.Start()
	l.agent.Balances("antrea-networkpolicy", 1000)

	l.write("kubeconfig", `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
  clusters: [{name: c, cluster: {server: "https://`+address+`"}}], users: [{name: u, user: {token: t}}]}`)
	provision := exec.CommandContext(t.Context(), stack.Binary, "provision", "apply", "--kubeconfig", l.path("kubeconfig"), "--loki-url", stack.Loki.URL)
	if stdout, stderr, code := rig.Run(t, provision); code == 0 || !strings.Contains(stderr, "connection refused") {
		t.Errorf("corkline provision apply: exit code %d\n%s%s", code, stdout, stderr)
	}
	l.append("np.log", 1000)
	l.agent.Balances("antrea-networkpolicy", 2000)

	asked := deafServer(t, address)
	l.kill()
	l.agent.Start()
	l.append("np.log", 1000)
	l.agent.Balances("antrea-networkpolicy", 1000)
	l.agent.Stop()
	if n := asked.Load(); n != 0 {
		t.Errorf("the agent has asked the API server %d times", n)
	}
	l.arrived()
	l.row.Note = "the agent connects to no API server. **Not tested**: stale names, as it reads none from the API yet; and 24 h, since without a question none can time out"
}

// deafServer takes connections and says nothing. It counts them.
func deafServer(t *testing.T, address string) *atomic.Int64 {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %s", err)
				}
				return
			}
			n.Add(1)
			context.AfterFunc(t.Context(), func() { _ = conn.Close() }) // it was held until then
		}
	}()
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return &n
}
