package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// LoadBalancerLog of a node: the lines that else are sent by syslog, of all
// definitions in one file, as their numbers run through them.
const LoadBalancerLog = "var/log/avi/avi-serviceengines.log"

// place is where a node has a log, and how it is rotated there.
type place struct {
	path string // of the file, relative to the node's root
	link string // to the file, if there is one, relative to the node's root
	// stream of a container's log, whose lines the runtime writes a head before
	stream string
	backup func(path string, at time.Time) string // nil: numbers, the newest is 1
}

// places of logs by definition. What is not here has a file named after it.
func (o Options) place(definition string) place {
	switch definition {
	case "antrea-networkpolicy":
		return place{path: "var/log/antrea/networkpolicy/np.log", backup: lumberjack}
	case "ovs-vswitchd", "ovsdb-server":
		return place{path: "var/log/antrea/openvswitch/" + definition + ".log"}
	case "antrea-agent":
		return o.container("kube-system", "antrea-agent-"+o.id("agent")[:5], "antrea-agent", "stderr")
	case "antrea-controller":
		return o.container("kube-system", "antrea-controller-"+o.id("deployment")[:10]+"-"+o.id("controller")[:5], "antrea-controller", "stderr")
	case "ako", "amko": // whose lines have the runtime's head already
		return o.container("avi-system", definition+"-0", definition, "")
	}
	if IsLoadBalancer(definition) {
		return place{path: LoadBalancerLog}
	}
	return place{path: "var/log/" + definition + ".log"}
}

// IsLoadBalancer tells whether a definition reads what is sent by syslog.
func IsLoadBalancer(definition string) bool { return strings.HasPrefix(definition, "avi-") }

// Source is the agent's source that reads a definition's log.
func Source(definition string) string {
	if IsLoadBalancer(definition) {
		return "avi"
	}
	return definition
}

// container gives the place of a container's log as the kubelet lays it out.
func (o Options) container(namespace, pod, container, stream string) place {
	uid := o.id("uid " + pod)
	return place{
		path: fmt.Sprintf("var/log/pods/%s_%s_%s-%s-%s-%s-%s/%s/0.log",
			namespace, pod, uid[:8], uid[8:12], uid[12:16], uid[16:20], uid[20:32], container),
		link:   fmt.Sprintf("var/log/containers/%s_%s_%s-%s.log", pod, namespace, container, o.id(container)),
		stream: stream,
		backup: kubelet,
	}
}

// id of something on the node: 64 hexadecimal digits.
func (o Options) id(what string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", o.Seed, o.Node, what))
	return hex.EncodeToString(sum[:])
}

// lumberjack names a backup as gopkg.in/natefinch/lumberjack.v2 does.
func lumberjack(path string, at time.Time) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + at.Format("2006-01-02T15-04-05.000") + ext
}

// kubelet names a backup as the container log manager does.
func kubelet(path string, at time.Time) string { return path + "." + at.Format("20060102-150405") }
