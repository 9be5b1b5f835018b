#!/usr/bin/env python3
"""Asks a Prometheus that scrapes a real cluster everything that the dashboard and the alerts ask.

check.py pages                  every alert has a test and a section in docs/alerts.md, and no section is left over
check.py healthy URL            every query of the dashboard has an answer, no alert has a reason
check.py broken URL ALERT...    exactly these alerts have a reason
"""

import json
import math
import os
import re
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "monitoring/grafana/dashboard.json"
ALERTS = ROOT / "monitoring/alerts.yml"
TESTS = ROOT / "monitoring/alerts_test.yml"
PAGE = ROOT / "docs/alerts.md"

# What is scraped and evaluated each second may take a while on a busy machine.
PATIENCE_S = 30
# What Grafana puts in. The window holds everything that the scenario does before it looks.
VARIABLES = {"$__rate_interval": "2m", "$node": ".*"}
METRIC = r"\b(?:hapi_[a-z_]+|process_[a-z_]+|up)"
# These labels are there once the first such event is; a healthy cluster need not have had one.
RARE = re.compile(r'\b(?:code|status)="[^"]*"')
# On a machine that other work overloads these tell the truth. They are then shown, and no fault.
SLOWNESS = {
    "HapiConnectsLate",
    "HapiDiskSlow",
    "HapiLeaderChanges",
    "HapiLeasesRunOut",
    "HapiNodeWithoutLease",
    "HapiNodeWithoutKey",
    "HapiSealsSlow",
    "HapiSealsWaitForLeases",
}
# So many hundredths of the last ten seconds, or of the last minute, somebody waited for a core or a disk.
MOST_PRESSURE = 40


class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **parameters):
        """The data of an answer; a query that cannot be evaluated raises, with the reason."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from error

    def numbers(self, query):
        """The values of an instant query. NaN is what a division by nothing gives, and no answer."""
        data = self.get("query", query=query)
        samples = [data] if data["resultType"] == "scalar" else data["result"]
        values = [float((sample["value"] if isinstance(sample, dict) else sample)[1]) for sample in samples]
        return [value for value in values if math.isfinite(value)]

    def alerts(self):
        """Every alert as Prometheus has read and evaluated it."""
        groups = self.get("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"]]


def targets():
    """Title and query of everything that the dashboard asks."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    for panel in panels + [inner for panel in panels for inner in panel.get("panels", [])]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield f"panel “{panel['title']}”", query


def questions(prometheus):
    """What must have an answer: the dashboard's queries, its list of nodes, and each series that an alert reads.

    An alert over a metric that does not exist never fires, and nothing else would tell.
    """
    yield from targets()
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            metric = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            yield f"variable {variable['name']}", f"count by ({metric[2]}) ({metric[1]})"
    for alert in prometheus.alerts():
        for series in re.findall(METRIC + r"\b(?:\{[^}]*\})?", alert["query"]):
            yield alert["name"], RARE.sub("", series)


def unanswered(prometheus):
    for about, query in questions(prometheus):
        try:
            if "$" in query:
                yield f"{about}: a variable is left in: {query}"
            elif not prometheus.numbers(query):
                yield f"{about}: no data: {query}"
        except ValueError as error:
            yield f"{about}: {error}: {query}"


def misjudged(prometheus, expected):
    """Alerts whose expressions have a result and should not, or the other way round."""
    for alert in prometheus.alerts():
        name = alert["name"]
        if alert["health"] != "ok":
            yield f"{name}: {alert.get('lastError') or 'not evaluated yet'}"
            continue
        try:
            found = bool(prometheus.numbers(alert["query"]))
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        if found and name in SLOWNESS - expected and is_overloaded():
            print(f"note: {name} has a reason on this overloaded machine", file=sys.stderr)
        elif found != (name in expected):
            yield f"{name}: {'has a reason on this cluster' if found else 'sees nothing'}: {alert['query']}"
        elif not found and alert["state"] != "inactive":
            yield f"{name}: is {alert['state']}"


def is_overloaded():
    """By the kernel's own account of who waits. The load average knows nothing of disks, and is a minute late."""
    try:
        texts = [Path(f"/proc/pressure/{what}").read_text() for what in ("cpu", "io")]
    except OSError:
        return os.getloadavg()[0] > os.cpu_count()
    waits = re.findall(r"^some avg10=([0-9.]+) avg60=([0-9.]+)", "\n".join(texts), re.MULTILINE)
    return any(float(share) > MOST_PRESSURE for wait in waits for share in wait)


def missing_pages():
    """An alert without a test or without a word on what to do, and words on an alert that is no more."""
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    runbooks = re.findall(r"runbook: (\S+)", ALERTS.read_text())
    sections = re.findall(r"^### (\w+)$", PAGE.read_text(), re.MULTILINE)
    if runbooks != [f"docs/alerts.md#{name.lower()}" for name in alerts]:
        yield "alerts.yml: each alert names its own section of docs/alerts.md, in one order"
    if sections != alerts:
        yield f"docs/alerts.md: the sections are not the alerts, in their order: {set(sections) ^ set(alerts)}"
    tested = set(re.findall(r'alertname="(\w+)"', TESTS.read_text()))
    for name in set(alerts) ^ tested:
        yield f"{name}: not both in alerts.yml and in alerts_test.yml"


def wait_for_none(faults):
    """Looks until there is no fault any more, and returns those that stay."""
    end = time.monotonic() + PATIENCE_S
    while found := list(faults()):
        if time.monotonic() > end:
            return found
        time.sleep(0.5)
    return []


def main(what, *arguments):
    if what == "pages":
        faults = list(missing_pages())
        done = "each alert has a test and a section"
    else:
        prometheus, expected = Prometheus(arguments[0]), set(arguments[1:])
        alerts = prometheus.alerts()
        if unknown := expected - {alert["name"] for alert in alerts}:
            sys.exit(f"error: no such alert: {unknown}")
        faults = wait_for_none(lambda: list(misjudged(prometheus, expected)))
        if what == "healthy":
            faults += wait_for_none(lambda: unanswered(prometheus))
            done = f"{len(list(targets()))} queries have answers, {len(alerts)} alerts are quiet"
        else:
            done = f"of {len(alerts)} alerts these have a reason: {' '.join(sorted(expected))}"
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    print(done)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["pages"], ["healthy"], ["broken"]):
        sys.exit(__doc__)
    main(*sys.argv[1:])
