"""The command line."""

import argparse
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from .client import Client, Unreachable
from .registry import Registry
from .report import Json, Outcome, Text
from .rule import Fail, Skip
from .rules import RULES

KEPT, BROKEN, USAGE, UNREACHABLE = range(4)

DESCRIPTION = """\
Asks a registry whether it keeps the rules of the MCP registry API (/v0.1): those of its OpenAPI description, of RFCs,
and those that clients such as VS Code rely on without a word of it anywhere. Any registry can be asked; it only reads,
unless --write is given."""

EPILOG = """\
exit codes:
  0  every rule that could be judged is kept
  1  a rule is broken
  2  wrong usage, or the registry lets nobody read without another token
  3  the registry does not answer

examples:
  conformance https://registry.example.com
      Read only, without a token.
  conformance http://127.0.0.1:8080 --write --token-file publisher.token --namespace com.example
      Publish, change and withdraw servers com.example/conformance-… too.
  conformance https://registry.example.com --only 'cursor-*' --only limit-one
      Some rules only.
  conformance --list
      All rules, with who demands them."""


def parser():
    parser = argparse.ArgumentParser(
        prog="conformance", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="base URL of the registry, without /v0.1")
    parser.add_argument("--api", default="/v0.1", metavar="PATH", help="where the API begins below URL (default /v0.1)")
    parser.add_argument("--token-file", metavar="FILE", help="file with a bearer token, sent with every request")
    parser.add_argument("--write", action="store_true", help="publish, change and withdraw servers too")
    parser.add_argument("--namespace", metavar="NS", help="where to publish: a namespace that the token may write to")
    parser.add_argument(
        "--only", action="append", metavar="RULE", help="judge this rule only; may be a pattern and be repeated"
    )
    parser.add_argument("--skip", action="append", default=[], metavar="RULE", help="leave this rule out; likewise")
    parser.add_argument("--output", choices=["text", "json"], default="text", help="for people, or for programs")
    parser.add_argument("--list", action="store_true", help="show the rules and end")
    return parser


def chosen(options, usage):
    """The rules to judge; a pattern that fits none is a mistake."""
    for pattern in [*(options.only or []), *options.skip]:
        if not any(fnmatchcase(id, pattern) for id in RULES):
            usage(f"no rule is called `{pattern}`: see --list")

    def wanted(rule):
        named = options.only is None or any(fnmatchcase(rule.id, pattern) for pattern in options.only)
        return named and not any(fnmatchcase(rule.id, pattern) for pattern in options.skip)

    rules = [rule for rule in RULES.values() if wanted(rule)]
    return rules if options.write or options.list else [rule for rule in rules if not rule.writes]


def read_token(options, usage):
    if not options.token_file:
        return None
    try:
        return Path(options.token_file).read_text().strip()
    except (OSError, UnicodeError) as error:
        usage(f"the token cannot be read: {error}")


def judge(rule, registry):
    try:
        rule.check(registry)
    except Skip as skip:
        return Outcome(rule, "SKIP", reason=str(skip))
    except Fail as fail:
        # A rule that compares several answers blames none: the last of them is the nearest.
        answer = fail.answer or registry.client.last
        return Outcome(rule, "FAIL", fail.expected, fail.got, answer.request.curl())
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # An answer of another shape than the rule took for granted; which shape it must have, other rules say.
        got = f"{type(error).__name__}: {error}"
        return Outcome(rule, "FAIL", "an answer of the described shape", got, registry.client.last.request.curl())
    return Outcome(rule, "PASS")


def judge_all(chosen, registry, report):
    outcomes = []
    for rule in chosen:
        outcomes.append(judge(rule, registry))
        report.add(outcomes[-1])
    return outcomes


def show_rules(rules):
    for rule in rules:
        print(f"{rule.id:<26} {'writes' if rule.writes else 'reads '}  {rule.sentence}  [{rule.source}]")
    print(f"\n{len(rules)} rules, {sum(rule.writes for rule in rules)} of which write.")


def main(arguments=None):
    command = parser()
    options = command.parse_args(arguments)
    rules = chosen(options, command.error)
    if options.list:
        show_rules(rules)
        return KEPT
    if not options.url or urlsplit(options.url).scheme not in ("http", "https") or not urlsplit(options.url).netloc:
        command.error("name the registry by its base URL, such as https://registry.example.com")
    if options.write and not (options.token_file and options.namespace):
        command.error("--write needs --token-file and --namespace")
    if not rules:
        command.error("no rule is left to judge; do those that were named need --write?")
    client = Client(options.url, options.api, read_token(options, command.error), options.token_file)
    return run(Registry(client, options.namespace), rules, Json() if options.output == "json" else Text())


def run(registry, rules, report):
    base = registry.client.base + registry.client.api
    try:
        if (status := registry.list(limit=1).status) in (401, 403):
            hint = "another one" if registry.client.token else "one with --token-file"
            print(
                f"conformance: {base} lets nobody read without a token (status {status}): give {hint}", file=sys.stderr
            )
            return USAGE
        report.begin(base)
        try:
            outcomes = judge_all(rules, registry, report)
        finally:
            registry.withdraw()
    except Unreachable as error:
        print(f"conformance: the registry does not answer: {error}", file=sys.stderr)
        return UNREACHABLE
    report.end(base, outcomes)
    return BROKEN if any(outcome.verdict == "FAIL" for outcome in outcomes) else KEPT
