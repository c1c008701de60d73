{{/* What the Pods of every workload have in common: they run before there is a Pod network, so in the nodes' own and without cluster DNS. */}}
{{- define "heddle.pod" -}}
hostNetwork: true
dnsPolicy: Default
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A container's rights: none. A list of capabilities may follow the word. */}}
{{- define "heddle.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- with . }}
  add: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Where the API server is, for client-go's in-cluster configuration. */}}
{{- define "heddle.apiServerEnv" -}}
{{- with .Values.apiServer }}{{- if .host }}
- {name: KUBERNETES_SERVICE_HOST, value: {{ .host | quote }}}
- {name: KUBERNETES_SERVICE_PORT, value: {{ .port | quote }}}
{{- end }}{{- end }}
{{- end }}

{{/* Health of a Go program, asked on the node's loopback: nobody else can reach it. */}}
{{- define "heddle.healthProbes" -}}
livenessProbe:
  httpGet: {host: 127.0.0.1, path: /healthz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {host: 127.0.0.1, path: /readyz, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* Probes of a program of OVS or OVN: a command that asks it. Each is several processes of runtime, so they are rare once it has started: the
startup probe makes the container ready a moment after it answers.

The answer comes from the loop that does everything else, so it is late when that is busy: a full copy of a large database to a node, or a full computation
of a large network, takes many seconds. Killing it costs more, the node's Pods their network in the worst case. So it takes minutes without an answer. */}}
{{- define "heddle.execProbes" -}}
startupProbe:
  exec: {command: {{ toJson . }}}
  timeoutSeconds: 12
  periodSeconds: 1
  failureThreshold: 300
livenessProbe:
  exec: {command: {{ toJson . }}}
  timeoutSeconds: 12
  periodSeconds: 60
  failureThreshold: 3
{{- end }}
