package provisioner

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/corkline/corkline/provisioner/kubeapi"
)

// What the API server holds objects to, in bytes and characters; see
// k8s.io/apimachinery/pkg/{util/validation,api/validation} and
// k8s.io/kubernetes/pkg/apis/core/validation.
const (
	maxData        = 1 << 20   // of all values of a ConfigMap or Secret
	maxAnnotations = 256 << 10 // of all keys and values of annotations
	maxLabelValue  = 63
	maxName        = 253
	maxNamespace   = 63
)

var (
	labelForm = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
	dnsForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	keyForm   = regexp.MustCompile(`^[-._A-Za-z0-9]{1,253}$`)
)

// faultsOf is what Kubernetes would refuse the object for, with the remedy.
func faultsOf(o kubeapi.Object) []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if name := o.Name(); len(name) > maxName || !dnsForm.MatchString(name) {
		add("the name %q is not a DNS name of lower-case letters, digits, - and . with at most %d characters; rename the file that it comes from", name, maxName)
	}
	if ns := o.Namespace(); len(ns) > maxNamespace || !dnsForm.MatchString(ns) || strings.Contains(ns, ".") {
		add("the namespace %q is not a DNS label of lower-case letters, digits and - with at most %d characters; see --namespace", ns, maxNamespace)
	}
	metadata := stringMap(o["metadata"])
	labels := stringMap(metadata["labels"])
	for _, key := range sortedKeys(labels) {
		if !qualified(key) {
			add("the label %q is not a name of at most %d letters, digits, -, _ and . with an optional DNS prefix and /; see --label", key, maxLabelValue)
		}
		value, isText := labels[key].(string)
		if !isText || len(value) > maxLabelValue || !labelForm.MatchString(value) {
			add("the value %q of label %s is not at most %d letters, digits, -, _ and . that begin and end with a letter or digit; put free text into an annotation (--annotation)", fmt.Sprint(labels[key]), key, maxLabelValue)
		}
	}
	annotations, size := stringMap(metadata["annotations"]), 0
	for _, key := range sortedKeys(annotations) {
		if !qualified(strings.ToLower(key)) {
			add("the annotation %q is not a name of at most %d letters, digits, -, _ and . with an optional DNS prefix and /; see --annotation and --folder-annotation", key, maxLabelValue)
		}
		size += len(key) + len(fmt.Sprint(annotations[key]))
	}
	if size > maxAnnotations {
		add("its annotations have %d bytes, and Kubernetes takes %d; shorten them (kubectl apply without --server-side puts the whole object into one)", size, maxAnnotations)
	}
	if o.APIVersion() == "v1" && (o.Kind() == "ConfigMap" || o.Kind() == "Secret") {
		if key, size := dataSize(o); size > maxData {
			add("its data has %d bytes, and Kubernetes takes %d; split the dashboard of %s into two, or push it to Grafana instead (corkline provision push)", size, maxData, key)
		}
		for _, key := range sortedKeys(stringMap(o["data"])) {
			if !keyForm.MatchString(key) {
				add("its data key %q is not at most %d letters, digits, -, _ and .", key, maxName)
			}
		}
	}
	return faults
}

// dataSize is the sum of the values as the API server counts it, with the key
// of the largest.
func dataSize(o kubeapi.Object) (largest string, total int) {
	most := -1
	for _, field := range []string{"data", "binaryData", "stringData"} {
		values := stringMap(o[field])
		for _, key := range sortedKeys(values) {
			value := fmt.Sprint(values[key])
			size := len(value)
			if field == "binaryData" || (field == "data" && o.Kind() == "Secret") {
				size = base64.StdEncoding.DecodedLen(len(strings.TrimRight(value, "=")))
			}
			if size > most {
				largest, most = key, size
			}
			total += size
		}
	}
	return largest, total
}

// qualified tells whether a label's or annotation's key is legal.
func qualified(key string) bool {
	if prefix, name, found := strings.Cut(key, "/"); found {
		if len(prefix) > maxName || !dnsForm.MatchString(prefix) {
			return false
		}
		key = name
	}
	return key != "" && len(key) <= maxLabelValue && labelForm.MatchString(key)
}
