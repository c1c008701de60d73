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
