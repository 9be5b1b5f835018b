"""Asks the conformance suite about a registry that is correct, and about the same one with each fault in turn.

The correct one keeps every rule, and none is skipped. With a fault, the rule that `faults.py` names is broken. And
every rule is broken by some fault: one that nothing can break would prove nothing.
"""

import argparse
import importlib
import json
import socket
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


class Suite:
    """The suite, as people call it."""

    def __init__(self, script):
        self.script = script

    def run(self, *arguments):
        command = [sys.executable, "-B", self.script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def ask(self, server, *arguments):
        """The exit code, and what came out by rule."""
        with token_file(server) as token:
            write = ["--write", "--token-file", token, "--namespace", NAMESPACE]
            done = self.run(server.base, *write, "--output", "json", *arguments)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{arguments}: exit code {done.returncode}: {done.stderr}")
        return done.returncode, {rule["id"]: rule for rule in json.loads(done.stdout)["rules"]}

    def rules(self):
        """The suite's own modules, to judge hundreds of times without hundreds of processes."""
        sys.path.insert(0, str(self.script.resolve().parent))
        return importlib.import_module("registry_conformance.cli")


@contextmanager
def token_file(server):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(server.token)
        file.flush()
        yield file.name


def closed_port():
    """A port at which nobody listens any more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def correct_problems(suite):
    with running() as server:
        code, rules = suite.ask(server)
    if code != 0:
        yield f"the correct registry: exit code {code}"
    for rule in rules.values():
        if rule["verdict"] != "PASS":
            yield f"the correct registry: {rule}"
    if unbroken := rules.keys() - set(FAULTS.values()):
        yield f"no fault breaks {sorted(unbroken)}"
    if unknown := set(FAULTS.values()) - rules.keys():
        yield f"no rule is called {sorted(unknown)}"


def call_problems(suite):
    """Exit codes, and what people see."""
    with running() as correct, running("limit-ignored") as faulty:
        expected = [
            (0, "1 kept, 0 broken, 0 skipped", [correct.base, "--only", "limit-kept"]),
            (1, "Broken: limit-kept", [faulty.base, "--only", "limit-*"]),
            (1, f"request   curl --include --path-as-is '{faulty.base}/v0.1/servers?limit=3'", [faulty.base]),
            (0, "rules, ", ["--list"]),
            (2, "name the registry", []),
            (2, "no rule is called", [correct.base, "--only", "nonsense"]),
            (2, "--write needs", [correct.base, "--write"]),
            (2, "cannot be read", [correct.base, "--token-file", "/nowhere/token"]),
            (3, "does not answer", [f"http://127.0.0.1:{closed_port()}"]),
        ]
        for code, part, arguments in expected:
            done = suite.run(*arguments)
            if done.returncode != code or part not in done.stdout + done.stderr:
                said = f"exit code {done.returncode}: {done.stdout}{done.stderr}"
                yield f"{arguments}: expected exit code {code} and `{part}`, got {said}"


def fault_problems(cli, fault, expected):
    with running(fault) as server, token_file(server) as token:
        client = cli.Client(server.base, "/v0.1", server.token, token)
        outcome = cli.judge(cli.RULES[expected], cli.Registry(client, NAMESPACE))
        client.close()
    print(f"{outcome.verdict}  {fault:<28} {expected}")
    if outcome.verdict != "FAIL" or not outcome.request.startswith("curl "):
        yield f"{fault}: {outcome.as_json()}"
    if server.token in outcome.request:
        yield f"{fault}: the request shows the token"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True, type=Path, help="the conformance suite")
    parser.add_argument("--fault", action="append", choices=FAULTS, metavar="NAME", help="this fault only")
    options = parser.parse_args()
    suite = Suite(options.suite)
    problems = [] if options.fault else [*correct_problems(suite), *call_problems(suite)]
    cli = suite.rules()
    for fault in options.fault or FAULTS:
        problems += fault_problems(cli, fault, FAULTS[fault])
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"the correct registry keeps every rule, and {len(options.fault or FAULTS)} faults break the rules they must")


if __name__ == "__main__":
    main()
