{{/* What contradicts itself. Each says what is wrong, why, and what would be right. */}}
{{- define "edgeway.checks" -}}
{{- include "edgeway.checkTimetable" . -}}
{{- include "edgeway.checkFiles" . -}}
{{- include "edgeway.checkReach" . -}}
{{- include "edgeway.checkReplicas" . -}}
{{- include "edgeway.checkEnvironment" . -}}
{{- include "edgeway.checkMounts" . -}}
{{- end -}}

{{- define "edgeway.checkTimetable" -}}
{{- $pause := int .Values.drain.pause -}}
{{- $deadline := int .Values.drain.deadline -}}
{{- $sleep := int .Values.preStop.sleepSeconds -}}
{{- $noticed := mul .Values.balancer.healthInterval (add .Values.balancer.unhealthyThreshold 1) -}}
{{- if lt $pause (int $noticed) -}}
{{- fail (printf "drain.pause is %ds, and the balancer needs %ds to see that a pod leaves (healthInterval × (unhealthyThreshold + 1)): requests would meet a closed port; set drain.pause to %d or more" $pause $noticed $noticed) -}}
{{- end -}}
{{- $request := .Values.env.REQUEST_TIMEOUT | default .Values.env.HTTPX_TIMEOUT | default 30 -}}
{{- with include "edgeway.seconds" $request -}}
{{- $longest := add (int64 .) 5 -}}
{{- if lt $deadline (int $longest) -}}
{{- fail (printf "drain.deadline is %ds, and requests may take %ss (REQUEST_TIMEOUT): the longest would be cut; set drain.deadline to %d or more" $deadline . $longest) -}}
{{- end -}}
{{- end -}}
{{- $needed := add $sleep $pause $deadline 10 -}}
{{- with .Values.terminationGracePeriodSeconds -}}
{{- if lt (int .) (int $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, and the drain takes %ds (preStop.sleepSeconds + drain.pause + drain.deadline + 10): pods would be killed with requests in flight; leave it out or set %d or more" (int .) $needed $needed) -}}
{{- end -}}
{{- end -}}
{{- if and $sleep (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "preStop.sleepSeconds needs Kubernetes 1.29, and this is %s; leave it at 0: SIGTERM itself begins with drain.pause" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}

{{- define "edgeway.checkFiles" -}}
{{- $root := . -}}
{{- if and .Values.config.files .Values.config.existingConfigMap -}}
{{- fail "config.files and config.existingConfigMap are both set; keep one" -}}
{{- end -}}
{{- if not .Values.config.existingConfigMap -}}
{{- range $name, $text := include "edgeway.files" . | fromYaml -}}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]*[.]ya?ml$" $name) -}}
{{- fail (printf "config.files: %s would not be read; a name ends with .yaml or .yml" $name) -}}
{{- end -}}
{{- if eq $name "zz-chart.yaml" -}}
{{- fail "config.files: zz-chart.yaml is the chart's own; take another name" -}}
{{- end -}}
{{- $file := fromYaml $text -}}
{{- if hasKey $file "Error" -}}
{{- fail (printf "config.files: %s: %s" $name $file.Error) -}}
{{- end -}}
{{- if hasKey (default dict $file.server) "drain" -}}
{{- fail (printf "config.files: %s has server.drain, and terminationGracePeriodSeconds is computed from the values drain.pause and drain.deadline; set those" $name) -}}
{{- end -}}
{{- range $at, $listener := default list $file.listeners -}}
{{- $kept := include "edgeway.seconds" (default "75s" $listener.keepalive_timeout) -}}
{{- $least := add $root.Values.balancer.idleTimeout 10 -}}
{{- if and $kept (lt (int64 $kept) $least) -}}
{{- fail (printf "config.files: %s: listeners[%d].keepalive_timeout is %vs, and the balancer reuses connections for balancer.idleTimeout, %vs: it would send requests into connections that are just being closed (502); set %vs or more, or lower the balancer's" $name $at $kept $root.Values.balancer.idleTimeout $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "edgeway.checkReach" -}}
{{- if and .Values.admin.service.enabled (ne .Values.admin.service.type "ClusterIP") -}}
{{- fail (printf "admin.service.type is %s, which publishes the operator's listener; it must be ClusterIP (kubectl port-forward reaches it from outside)" .Values.admin.service.type) -}}
{{- end -}}
{{- if and .Values.admin.service.enabled (not .Values.secretEnv.ADMIN_TOKEN) -}}
{{- fail "admin.service.enabled opens the operator's listener to the cluster, so it needs a token; name the secret that holds it: secretEnv.ADMIN_TOKEN: { name: …, key: … }" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.admin.service.enabled) -}}
{{- fail "serviceMonitor.enabled scrapes the admin port, which is the pod's own; set admin.service.enabled: true and secretEnv.ADMIN_TOKEN" -}}
{{- end -}}
{{- if eq (int .Values.admin.port) (int .Values.containerPort) -}}
{{- fail "admin.port and containerPort are the same; they are two listeners" -}}
{{- end -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- if eq .Values.service.type "LoadBalancer" -}}
{{- fail "ingress.enabled or httpRoute.enabled with service.type LoadBalancer opens two doors to the internet, and the rules of the one do not hold at the other; set service.type: ClusterIP" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty; name the host that callers use" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty; name the Gateway that the route belongs to" -}}
{{- end -}}
{{- end -}}

{{- define "edgeway.checkReplicas" -}}
{{- $none := list "0" "0%" -}}
{{- if and (has (toString .Values.strategy.maxUnavailable) $none) (has (toString .Values.strategy.maxSurge) $none) -}}
{{- fail "strategy.maxUnavailable and strategy.maxSurge are both 0: no rollout could begin; set maxSurge: 25%" -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d and maxReplicas %d; the least is at most the most" (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" .Values.resources) -}}
{{- fail "autoscaling counts in shares of resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- if .Values.podDisruptionBudget.enabled -}}
{{- $least := .Values.podDisruptionBudget.minAvailable -}}
{{- $replicas := ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- if and (ne (toString $least) "") (ne (toString .Values.podDisruptionBudget.maxUnavailable) "") -}}
{{- fail "podDisruptionBudget has minAvailable and maxUnavailable; keep one and set the other to \"\"" -}}
{{- end -}}
{{- if or (eq (toString $least) "100%") (and (regexMatch "^[0-9]+$" (toString $least)) (ge (int (toString $least)) (int $replicas))) -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %v of %v replicas: no node could ever be drained; set less" $least $replicas) -}}
{{- end -}}
{{- if has (toString .Values.podDisruptionBudget.maxUnavailable) $none -}}
{{- fail "podDisruptionBudget.maxUnavailable is 0: no node could ever be drained; set 1" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "edgeway.checkEnvironment" -}}
{{- $root := . -}}
{{- range $name := list "HOST" "PORT" "ADMIN_ADDRESS" "THREADS" -}}
{{- if or (hasKey $root.Values.env $name) (hasKey $root.Values.secretEnv $name) -}}
{{- fail (printf "env.%s is the chart's own; set %s" $name (get (dict "HOST" "listenHost" "PORT" "containerPort" "ADMIN_ADDRESS" "admin.port and admin.service.enabled" "THREADS" "threads") $name)) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "JWT_SECRET_KEY" "REDIS_PASSWORD" "ADMIN_TOKEN" -}}
{{- if hasKey $root.Values.env $name -}}
{{- fail (printf "env.%s is a secret, and values are kept in the release; put it into a Secret and name that: secretEnv.%s: { name: …, key: … }" $name $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.secretEnv -}}
{{- if hasKey $root.Values.env $name -}}
{{- fail (printf "%s is in env and in secretEnv; keep one" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "edgeway.checkMounts" -}}
{{- range .Values.extraVolumeMounts -}}
{{- if or .subPath .subPathExpr -}}
{{- fail (printf "extraVolumeMounts: %s has a subPath: such a mount never sees a change of its ConfigMap or Secret; mount the whole volume at a folder of its own" .name) -}}
{{- end -}}
{{- if hasPrefix "/etc/edgeway" .mountPath -}}
{{- fail (printf "extraVolumeMounts: %s is mounted at %s, where the configuration is; take another folder" .name .mountPath) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraVolumes -}}
{{- if .hostPath -}}
{{- fail (printf "extraVolumes: %s is a hostPath, which the restricted pod security standard forbids" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
