{{- define "lockstep.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "lockstep.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: endpoint
{{- end }}

{{- define "lockstep.labels" -}}
{{ include "lockstep.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "lockstep.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "lockstep.name" .) }}
{{- end }}

{{- define "lockstep.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "lockstep.scheme" -}}
{{ if .Values.tls.secret }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{/* Seconds that a pod has from the first notice of its end: pause, the endpoint's own drain, which takes up to twice its
length, running requests, the end itself. */}}
{{- define "lockstep.graceSeconds" -}}
{{- $limits := .Values.serving.limits | default dict -}}
{{- $running := 30 -}}
{{- if hasKey $limits "grace_s" }}{{ $running = $limits.grace_s }}{{ end -}}
{{- add .Values.drain.pauseSeconds (mul 2 (ceil ($limits.drain_s | default 0) | int)) (ceil $running | int) 10 -}}
{{- end }}

{{/* serving.yaml: what values say, and what follows from running in a pod. */}}
{{- define "lockstep.serving" -}}
{{- $security := deepCopy (.Values.serving.security | default dict) -}}
{{- if .Values.auth.apiKeysSecret }}{{ $_ := set $security "api_keys" "/etc/lockstep/keys/keys.yaml" }}{{ end -}}
{{- if .Values.auth.anonymous }}{{ $_ := set $security "allow_anonymous" true }}{{ end -}}
{{- if .Values.tls.secret -}}
{{- $own := dict "certificate" "/etc/lockstep/tls/tls.crt" "key" "/etc/lockstep/tls/tls.key" -}}
{{- $_ := set $security "tls" (mergeOverwrite (deepCopy ($security.tls | default dict)) $own) -}}
{{- else -}}
{{- $_ := set $security "plaintext" true -}}
{{- end -}}
{{- if not (or $security.allow_anonymous $security.api_keys $security.jwt) -}}
{{- fail "nobody could ask: set auth.apiKeysSecret, serving.security.jwt or auth.anonymous" -}}
{{- end -}}
{{- $mtls := $security.mtls | default dict -}}
{{- if and $mtls (ne (toString $mtls.require) "false") -}}
{{- fail "serving.security.mtls needs require: false here: the kubelet shows no certificate, so no pod would become ready; let the gateway ask for certificates" -}}
{{- end -}}
{{- $serving := deepCopy .Values.serving -}}
{{- $_ := set $serving "host" "0.0.0.0" -}}
{{- $_ := set $serving "port" 8080 -}}
{{- $_ := set $serving "security" $security -}}
{{- toYaml $serving -}}
{{- end }}
