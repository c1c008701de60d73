{{/* Labels that say what an object is. No version in them: they are in Pod templates, and a new one would restart Pods. */}}
{{- define "heddle.labels" -}}
app.kubernetes.io/name: heddle
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels of an object that is no Pod template: list of root context and component. */}}
{{- define "heddle.objectLabels" -}}
{{ include "heddle.labels" (last .) }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
helm.sh/chart: {{ (first .).Chart.Name }}-{{ (first .).Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "heddle.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "heddle.ovsImage" -}}
{{ .Values.ovs.image.repository }}:{{ .Values.ovs.image.tag }}
{{- end }}

{{- define "heddle.ovnCentralImage" -}}
{{ .Values.ovnCentral.image.repository | default .Values.ovs.image.repository }}:{{ .Values.ovnCentral.image.tag | default .Values.ovs.image.tag }}
{{- end }}

{{- define "heddle.tlsSecret" -}}
{{ .Values.tls.existingSecret | default "heddle-ovn-tls" }}
{{- end }}
