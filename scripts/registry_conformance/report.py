"""What came out, for people and for programs."""

import json
import textwrap
from collections import Counter
from dataclasses import dataclass

WIDTH = 118


@dataclass(frozen=True)
class Outcome:
    rule: object
    # PASS, FAIL or SKIP.
    verdict: str
    expected: str = ""
    got: str = ""
    # The last request that the rule looked at, as a line for a shell.
    request: str = ""
    # Why a rule was skipped.
    reason: str = ""

    def as_json(self):
        known = {
            "id": self.rule.id,
            "sentence": self.rule.sentence,
            "source": self.rule.source,
            "writes": self.rule.writes,
        }
        rest = {name: getattr(self, name) for name in ("expected", "got", "request", "reason") if getattr(self, name)}
        return known | {"verdict": self.verdict} | rest


def numbers(outcomes):
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {verdict: counts[verdict] for verdict in ("PASS", "FAIL", "SKIP")}


class Text:
    """One line for a rule as soon as it is judged, and the difference below the line if there is one."""

    def begin(self, base):
        print(f"The rules of the MCP registry API at {base}\n")

    def add(self, outcome):
        rule = outcome.rule
        print(f"{outcome.verdict}  {rule.id:<26} {rule.sentence}  [{rule.source}]", flush=True)
        for name in ("expected", "got", "request", "reason"):
            if text := getattr(outcome, name):
                print(f"        {name:<9} {text}")

    def end(self, base, outcomes):
        passed, failed, skipped = numbers(outcomes).values()
        print(f"\n{passed} kept, {failed} broken, {skipped} skipped, of {len(outcomes)} rules.")
        if broken := [outcome.rule.id for outcome in outcomes if outcome.verdict == "FAIL"]:
            print(textwrap.fill("Broken: " + " ".join(broken), WIDTH, subsequent_indent="  ", break_on_hyphens=False))


class Json:
    """One object at the end."""

    def begin(self, base):
        pass

    def add(self, outcome):
        pass

    def end(self, base, outcomes):
        report = {"base": base, "summary": numbers(outcomes), "rules": [outcome.as_json() for outcome in outcomes]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
