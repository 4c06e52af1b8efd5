"""Finds names in rendered objects that nothing has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.k8s.manifests import OUTSIDE_SECRETS, Object, Rendered, pod


def dangling(rendered: Rendered) -> list[str]:
    """Return one sentence for each name that refers to nothing."""
    return [*_of_pods(rendered), *_of_services(rendered), *_of_targets(rendered)]


def _of_pods(rendered: Rendered) -> Iterator[str]:
    issued = {one["spec"]["secretName"] for one in rendered.all("Certificate")}
    for workload in rendered.workloads():
        name, spec = workload["metadata"]["name"], pod(workload)["spec"]
        if not rendered.has("ServiceAccount", spec["serviceAccountName"]):
            yield f"{name}: service account {spec['serviceAccountName']}"
        volumes = {}
        for volume in spec.get("volumes", []):
            volumes[volume["name"]] = volume
            if "configMap" in volume and not rendered.has("ConfigMap", volume["configMap"]["name"]):
                yield f"{name}: config map {volume['configMap']['name']}"
            if "secret" in volume and volume["secret"]["secretName"] not in issued | OUTSIDE_SECRETS:
                yield f"{name}: secret {volume['secret']['secretName']}"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not rendered.has("PersistentVolumeClaim", claim):
                yield f"{name}: claim {claim}"
        used = set()
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            used |= {mount["name"] for mount in container.get("volumeMounts", [])}
            for source in container.get("envFrom", []):
                if not rendered.has("ConfigMap", source["configMapRef"]["name"]):
                    yield f"{name}: variables of {source['configMapRef']['name']}"
        for missing in used - volumes.keys():
            yield f"{name}: volume {missing} is mounted and not there"
        for unused in volumes.keys() - used:
            yield f"{name}: volume {unused} is there and not mounted"


def _of_services(rendered: Rendered) -> Iterator[str]:
    for service in rendered.all("Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        chosen = [w for w in rendered.workloads() if selects(spec["selector"], w)]
        if len(chosen) != 1:
            yield f"service {name} selects {len(chosen)} workloads"
            continue
        named = {
            port["name"]
            for container in pod(chosen[0])["spec"]["containers"]
            for port in container.get("ports", [])
        }
        for port in spec["ports"]:
            if port["targetPort"] not in named:
                yield f"service {name}: no port {port['targetPort']}"


def _of_targets(rendered: Rendered) -> Iterator[str]:
    for scaler in rendered.all("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if not rendered.has(target["kind"], target["name"]):
            yield f"autoscaler: {target['kind']} {target['name']}"
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        for one in rendered.all(kind):
            labels = one["spec"]["selector"]["matchLabels"]
            if not any(selects(labels, w) for w in rendered.workloads()):
                yield f"{kind} {one['metadata']['name']} selects nothing"
    for ingress in rendered.all("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                if not rendered.has("Service", path["backend"]["service"]["name"]):
                    yield f"ingress: service {path['backend']['service']['name']}"
    for binding in rendered.all("RoleBinding"):
        if not rendered.has("Role", binding["roleRef"]["name"]):
            yield f"role binding: role {binding['roleRef']['name']}"
        for subject in binding["subjects"]:
            if not rendered.has("ServiceAccount", subject["name"]):
                yield f"role binding: service account {subject['name']}"


def selects(labels: dict[str, Any], workload: Object) -> bool:
    """Whether labels choose this workload's pods."""
    held = pod(workload)["metadata"]["labels"]
    return bool(labels) and all(held.get(key) == value for key, value in labels.items())
