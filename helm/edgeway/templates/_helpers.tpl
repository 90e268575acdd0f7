{{/* The name of everything. */}}
{{- define "edgeway.fullname" -}}
{{- default (printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride)) .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* What a Deployment selects. It can never change, so nothing stands here that does: no version, no chart. */}}
{{- define "edgeway.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "edgeway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app: {{ include "edgeway.fullname" . }}
{{ include "edgeway.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "edgeway.metadata" -}}
name: {{ include "edgeway.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "edgeway.labels" . | nindent 2 }}
{{- end -}}

{{- define "edgeway.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "edgeway.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "edgeway.image" -}}
{{- if .Values.image.digest -}}
{{- .Values.image.repository }}@{{ .Values.image.digest -}}
{{- else -}}
{{- .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{/* The files of the configuration's folder, as a map: name to text. */}}
{{- define "edgeway.files" -}}
{{- if .Values.config.files -}}
{{- toYaml .Values.config.files -}}
{{- else -}}
{{- toYaml (dict "edgeway.yaml" (.Files.Get "files/edgeway.yaml")) -}}
{{- end -}}
{{- end -}}

{{/* A value of the environment as text: large numbers would else become 1e+06. */}}
{{- define "edgeway.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{- . | toString -}}
{{- end -}}
{{- end -}}

{{/* A length of time of the configuration in whole seconds; nothing, where it is a variable. */}}
{{- define "edgeway.seconds" -}}
{{- $text := toString . -}}
{{- if regexMatch "^[0-9]+s?$" $text -}}
{{- trimSuffix "s" $text -}}
{{- else if regexMatch "^[0-9]+ms$" $text -}}
{{- div (int64 (trimSuffix "ms" $text)) 1000 -}}
{{- else if regexMatch "^[0-9]+m$" $text -}}
{{- mul (int64 (trimSuffix "m" $text)) 60 -}}
{{- else if regexMatch "^[0-9]+h$" $text -}}
{{- mul (int64 (trimSuffix "h" $text)) 3600 -}}
{{- end -}}
{{- end -}}

{{/* How long the kubelet waits before it kills: never less than the drain needs. */}}
{{- define "edgeway.grace" -}}
{{- $needed := add .Values.preStop.sleepSeconds .Values.drain.pause .Values.drain.deadline 10 -}}
{{- .Values.terminationGracePeriodSeconds | default $needed -}}
{{- end -}}
