"""Asks the conformance suite about a registry that is correct, and about the same one with each fault in turn.

The correct one keeps every rule, and none is skipped. With a fault, the rule that `faults.py` names is broken. And
every rule is broken by some fault: one that nothing can break would prove nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from faulty_registry.faults import FAULTS
from faulty_registry.server import NAMESPACE, Server


@contextmanager
def running(fault=None):
    server = Server(fault)
    # Looks for the end of its work often, since there are many of them.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(suite, server, *arguments):
    """The exit code of the suite and what it says, as people call it."""
    with tempfile.NamedTemporaryFile("w") as token:
        token.write(server.token)
        token.flush()
        write = ["--write", "--token-file", token.name, "--namespace", NAMESPACE]
        command = [sys.executable, suite, server.base, *write, "--output", "json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{arguments}: exit code {done.returncode}: {done.stderr}")
    report = json.loads(done.stdout)
    return done.returncode, {rule["id"]: rule for rule in report["rules"]}


def correct_problems(suite):
    with running() as server:
        code, rules = ask(suite, server)
    if code != 0:
        yield f"the correct registry: exit code {code}"
    for rule in rules.values():
        if rule["verdict"] != "PASS":
            yield f"the correct registry: {rule}"
    if unbroken := rules.keys() - set(FAULTS.values()):
        yield f"no fault breaks {sorted(unbroken)}"
    if unknown := set(FAULTS.values()) - rules.keys():
        yield f"no rule is called {sorted(unknown)}"


def fault_problems(suite, fault, expected):
    with running(fault) as server:
        code, rules = ask(suite, server, "--only", expected)
    verdict = rules[expected]["verdict"]
    print(f"{verdict}  {fault:<28} {expected}")
    if (code, verdict) != (1, "FAIL"):
        yield f"{fault}: {expected} says {verdict}, exit code {code}: {rules[expected]}"
    elif not rules[expected].get("request", "").startswith("curl "):
        yield f"{fault}: {expected} shows no request: {rules[expected]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True, type=Path, help="the conformance suite")
    parser.add_argument("--fault", action="append", choices=FAULTS, metavar="NAME", help="this fault only")
    options = parser.parse_args()
    problems = [] if options.fault else list(correct_problems(options.suite))
    for fault in options.fault or FAULTS:
        problems += fault_problems(options.suite, fault, FAULTS[fault])
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"the correct registry keeps every rule, and {len(options.fault or FAULTS)} faults break the rules they must")


if __name__ == "__main__":
    main()
