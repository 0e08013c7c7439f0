{{- define "corkline.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "corkline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "corkline.name" .) .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "corkline.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels that select the pods of a component: (list $ "agent"). They never change. */}}
{{- define "corkline.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "corkline.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "corkline.labels" -}}
{{- $ := index . 0 -}}
{{ include "corkline.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "corkline.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* The configuration file. What the chart sets wins; the schema refuses it in the values. */}}
{{- define "corkline.config" -}}
{{- $ovs := dict "enabled" .Values.ovs.enabled }}{{ if .Values.ovs.enabled }}{{ $ovs = set $ovs "run_dir" .Values.ovs.runFolder }}{{ end -}}
{{- $collectors := dict "conntrack" (dict "enabled" .Values.conntrack.enabled) "ovs" $ovs -}}
{{ mustMergeOverwrite (deepCopy .Values.config) (dict "cluster" .Values.cluster "listen" ":9440" "state_dir" "/var/lib/corkline" "collectors" $collectors) | toYaml }}
{{- end }}

{{/* Ports of the syslog receivers, each once: "TCP 5514" in a line. */}}
{{- define "corkline.syslogPorts" -}}
{{- $ports := list }}
{{- range .Values.config.sources }}
{{- with .syslog }}
{{- with .udp }}{{ $ports = append $ports (printf "UDP %s" (regexFind "[0-9]+$" .)) }}{{ end }}
{{- with .tcp }}{{ $ports = append $ports (printf "TCP %s" (regexFind "[0-9]+$" .)) }}{{ end }}
{{- with .tls }}{{ $ports = append $ports (printf "TCP %s" (regexFind "[0-9]+$" .listen)) }}{{ end }}
{{- end }}
{{- end }}
{{- $ports = uniq $ports | sortAlpha }}
{{- /* Kubernetes merges a pod's ports by their number alone (kubernetes/kubernetes#39188). */}}
{{- range $ports }}
{{- $number := index (splitList " " .) 1 }}
{{- if and (hasPrefix "TCP" .) (has (printf "UDP %s" $number) $ports) }}
{{- fail (printf "config.sources: port %s is for both UDP and TCP, and no upgrade could change that; take another one for TCP" $number) }}
{{- end }}
{{- end }}
{{- $ports | join "\n" }}
{{- end }}

{{- define "corkline.provision.namespace" -}}
{{ default .Release.Namespace .Values.provision.namespace }}
{{- end }}

{{/* A volume named ca, from a value with configMap, secret and key; nothing without one. */}}
{{- define "corkline.caVolume" -}}
{{- if .configMap }}
- name: ca
  configMap: {name: {{ .configMap | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- else if .secret }}
- name: ca
  secret: {secretName: {{ .secret | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- end }}

{{/* Job of the provisioner that Pod Security level restricted admits:
     (dict "root" $ "name" "…" "hook" "…" "weight" "…" "args" (list …) "volumes" "…" "mounts" "…" "envFrom" "secret") */}}
{{- define "corkline.job" -}}
{{- $ := .root -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "corkline.fullname" $ }}-{{ .name }}
  namespace: {{ $.Release.Namespace }}
  labels: {{- include "corkline.labels" (list $ "provisioner") | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-weight: {{ .weight | quote }}
    # One that failed stays, for its log.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 3
  activeDeadlineSeconds: {{ $.Values.provision.activeDeadlineSeconds }}
  template:
    metadata:
      labels: {{- include "corkline.labels" (list $ "provisioner") | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ include "corkline.fullname" $ }}-provisioner
      {{- with $.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: provision
          image: {{ include "corkline.image" $ | quote }}
          imagePullPolicy: {{ $.Values.image.pullPolicy }}
          args: {{- toYaml .args | nindent 12 }}
          {{- with .envFrom }}
          envFrom: [{secretRef: {name: {{ . | quote }}}}]
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          resources: {{- toYaml $.Values.provision.resources | nindent 12 }}
          {{- with .mounts }}
          volumeMounts: {{- . | nindent 12 }}
          {{- end }}
      {{- with .volumes }}
      volumes: {{- . | nindent 8 }}
      {{- end }}
      {{- with $.Values.provision.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $.Values.provision.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
