#!/usr/bin/env bash
# What is made of other files, renewed: the chart's copies of conf/, and deploy/kubernetes/edgeway.yaml, which is the chart
# with its own values for those who do not use Helm.
#   scripts/manifests.sh HELM [FOLDER]    FOLDER: a copy of this project to write to, in place of this one
set -euo pipefail

helm=${1:?usage: scripts/manifests.sh HELM [FOLDER]}
root=${2:-$(cd "$(dirname "$0")/.." && pwd)}
chart=$root/helm/edgeway
plain=$root/deploy/kubernetes/edgeway.yaml

# A chart must hold everything it renders; a link out of it does not survive every tool.
copy() { if [ -e "$root/conf/$1" ]; then cp "$root/conf/$1" "$chart/files/$2"; fi; }
mkdir -p "$chart/files" "$(dirname "$plain")"
copy edgeway.yaml edgeway.yaml
copy observability/rules/edgeway.yml rules.yml
copy observability/grafana/edgeway.json dashboard.json

# Without Helm nobody manages it, and the namespace is that of `kubectl apply -n`. 1.25: fields that every cluster knows.
{
    cat <<'END'
# Edgeway on Kubernetes without Helm: the chart's own values, rendered. Do not edit: scripts/manifests.sh writes it.
#   kubectl create secret generic ts-portal-secrets --from-literal=jwt-secret="$(openssl rand -hex 32)"
#   kubectl apply -f edgeway.yaml
END
    "$helm" template ts-portal-api-gateway "$chart" --namespace without-helm --kube-version 1.25.0 |
        sed -e '/^ *namespace: without-helm$/d' -e '/^ *helm\.sh\/chart: /d' -e '/^ *app\.kubernetes\.io\/managed-by: /d' \
            -e '/^# Source: /d' -e 's/ *$//'
} >"$plain"
