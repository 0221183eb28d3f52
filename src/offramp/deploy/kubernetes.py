"""kubernetes.yaml: a Deployment and a Service for each tier, on the nodes that have its label."""

import shlex
from typing import Any

from offramp.bundle.manifest import Manifest
from offramp.deploy.line import CERTS_FOLDER, PORT, SCRATCH_FOLDER, USER, Station, deployment_name, image_name, stations
from offramp.deploy.names import label
from offramp.deploy.text import yaml_text

TIER_LABEL = "offramp.io/tier"
# Others than its owner may not read a key.
_SECRET_MODE = 0o440


def kubernetes(bundle: Manifest) -> str:
    """The file for `kubectl apply`: a namespace, and two objects for each tier."""
    line = stations(bundle)
    name = deployment_name(bundle)
    documents: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
    for station in line:
        documents += [_deployment(bundle, station), _service(bundle, station)]
    return _head(name, line) + yaml_text(documents)


def _head(name: str, line: tuple[Station, ...]) -> str:
    lines = [
        "Each tier runs on a node that is labeled for it, from an image in a registry that the nodes know;",
        "kustomize's `images` puts the registry before `offramp-tier`. Before the tiers can start:",
        f"  kubectl create namespace {name}",
        "  offramp certs BUNDLE --out certs",
        *(
            f"  kubectl --namespace {name} create secret generic {_secret(station)} --from-file="
            + shlex.quote(f"certs/{station.tier}")
            for station in line
        ),
        *(f"  kubectl label node NODE {TIER_LABEL}={station.label}" for station in line),
    ]
    return "".join(f"# {line}\n" for line in lines)


def _deployment(bundle: Manifest, station: Station) -> dict[str, Any]:
    labels = _labels(bundle, station)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(bundle, station),
        "spec": {
            "replicas": 1,
            # Two at once would both take the tier's work.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod(bundle, station)},
        },
    }


def _pod(bundle: Manifest, station: Station) -> dict[str, Any]:
    return {
        "nodeSelector": {"kubernetes.io/os": "linux", TIER_LABEL: station.label},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(bundle, station)],
        "volumes": [
            {"name": "certs", "secret": {"secretName": _secret(station), "defaultMode": _SECRET_MODE}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }


def _container(bundle: Manifest, station: Station) -> dict[str, Any]:
    least, most = station.memory_mib
    listens = {"tcpSocket": {"port": "tier"}, "timeoutSeconds": 3}
    return {
        "name": "worker",
        "image": image_name(bundle, station),
        "args": station.arguments,
        "ports": [{"name": "tier", "containerPort": PORT}],
        # It listens once its partitions are loaded. Whether its neighbors are up says nothing of its own health.
        "startupProbe": {**listens, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**listens, "periodSeconds": 5},
        "livenessProbe": {**listens, "periodSeconds": 10, "failureThreshold": 3},
        "resources": {
            "requests": {"cpu": "250m", "memory": f"{least}Mi"},
            "limits": {"cpu": "2", "memory": f"{most}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "certs", "mountPath": CERTS_FOLDER, "readOnly": True},
            {"name": "scratch", "mountPath": SCRATCH_FOLDER},
        ],
    }


def _service(bundle: Manifest, station: Station) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(bundle, station),
        "spec": {"selector": _labels(bundle, station), "ports": [{"name": "tier", "port": PORT, "targetPort": "tier"}]},
    }


def _metadata(bundle: Manifest, station: Station) -> dict[str, Any]:
    return {"name": station.label, "namespace": deployment_name(bundle), "labels": _labels(bundle, station)}


def _labels(bundle: Manifest, station: Station) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "offramp",
        "app.kubernetes.io/instance": label(f"bundle-{bundle.deployment}"),
        TIER_LABEL: station.label,
    }


def _secret(station: Station) -> str:
    return f"certs-{station.label}"
