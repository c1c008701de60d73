{{/* What the daemon and its teardown may do on a node, and what of the node they see. */}}
{{- define "heddle.daemonContainer" -}}
image: {{ include "heddle.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- /* NET_ADMIN: links, addresses, routes, nftables. SYS_ADMIN: setns(2) into a Pod's network namespace, and a writable /proc/sys. NET_RAW: gratuitous ARP. */}}
  {{- include "heddle.unprivileged" (ternary (list "NET_ADMIN" "SYS_ADMIN") (list "NET_ADMIN" "NET_RAW" "SYS_ADMIN") .Values.teardown) | nindent 2 }}
resources:
  {{- toYaml .Values.daemon.resources | nindent 2 }}
volumeMounts:
  - {name: run-ovs, mountPath: /run/openvswitch}
  - {name: run-heddle, mountPath: /run/heddle}
  # Namespaces that the runtime makes later have to be seen too.
  - {name: netns, mountPath: /run/netns, mountPropagation: HostToContainer}
  - {name: cni-conf, mountPath: {{ .Values.cni.confDir | quote }}}
  - {name: cni-bin, mountPath: {{ .Values.cni.binDir | quote }}}
{{- end }}
