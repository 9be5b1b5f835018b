#!/usr/bin/env python3
"""Judges the manifests of examples/kubernetes, and prints the variables of the node as JSON.

Each document must fit the schema of its kind, with no field that the schema does not know. What no schema can say is
checked too: names that must agree, and what keeps a cluster from forming or a node from starting.
"""

import json
import sys

import kubernetes_validate
import yaml

# The oldest version that has all that is used.
VERSION = "1.30"
NAMESPACE = "registry"


def only(documents, kind, name=None):
    found = [d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def check_names(documents):
    stateful = only(documents, "StatefulSet")
    spec, labels = stateful["spec"], stateful["spec"]["template"]["metadata"]["labels"]
    pod = spec["template"]["spec"]
    (node,) = pod["containers"]
    ports = {port["name"] for port in node["ports"]}
    headless = only(documents, "Service", spec["serviceName"])["spec"]
    assert headless["clusterIP"] == "None" and headless["publishNotReadyAddresses"], "nodes would never meet"
    for service in (d for d in documents if d["kind"] == "Service"):
        assert service["spec"]["selector"] == labels, service["metadata"]["name"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    budget = only(documents, "PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"] == labels and budget["maxUnavailable"] == 1
    policy = only(documents, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == ports
    (rule,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert spec["selector"]["matchLabels"] == labels == rule["labelSelector"]["matchLabels"]
    mounted = {mount["name"] for mount in node["volumeMounts"]}
    offered = [v["name"] for v in pod["volumes"]] + [c["metadata"]["name"] for c in spec["volumeClaimTemplates"]]
    assert mounted == set(offered), f"{mounted} mounted, {offered} offered"


def check_life(documents):
    spec = only(documents, "StatefulSet")["spec"]
    pod = spec["template"]["spec"]
    (node,) = pod["containers"]
    paths = {probe: node[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}, paths
    assert spec["podManagementPolicy"] == "Parallel", "the first node would wait for ever"
    assert pod["enableServiceLinks"] is False, "a node refuses variables such as HAPI_REGISTRY_PORT"
    slept = node["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > slept + 20, "a node takes up to 20 s to stop"


def check_rights(documents):
    pod = only(documents, "StatefulSet")["spec"]["template"]["spec"]
    (node,) = pod["containers"]
    everywhere, here = pod["securityContext"], node["securityContext"]
    assert everywhere["runAsNonRoot"] and everywhere["runAsUser"] == everywhere["fsGroup"] == 65532
    assert here["readOnlyRootFilesystem"] and not here["allowPrivilegeEscalation"]
    assert here["capabilities"] == {"drop": ["ALL"]} and pod["automountServiceAccountToken"] is False
    assert "cpu" not in node["resources"]["limits"], "a node that is throttled loses its lease"


def variables(documents):
    """What the first pod gets, references to earlier ones replaced as Kubernetes does."""
    spec = only(documents, "StatefulSet")
    (node,) = spec["spec"]["template"]["spec"]["containers"]
    fields = {"metadata.name": f"{spec['metadata']['name']}-0", "metadata.namespace": NAMESPACE}
    known = {}
    for variable in node["env"]:
        text = variable.get("value")
        if text is None:
            text = fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for name, value in known.items():
            text = text.replace(f"$({name})", value)
        assert "$(" not in text, f"{variable['name']} names an unknown variable: {text}"
        known[variable["name"]] = text
    return known


def main(path):
    with open(path, encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    for document in documents:
        kubernetes_validate.validate(document, VERSION, strict=True)
    check_names(documents)
    check_life(documents)
    check_rights(documents)
    print(json.dumps(variables(documents)))


if __name__ == "__main__":
    main(*sys.argv[1:])
