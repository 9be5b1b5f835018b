"""What a rule is.

A rule is a function that gets a `Registry`. It returns when the rule is kept, raises `Fail` when it is not, and `Skip`
when the registry gives no occasion to judge it. Rules stand by themselves: none needs another to have run before.
"""

from collections.abc import Callable
from dataclasses import dataclass


class Fail(Exception):
    """What was expected, and what came instead."""

    def __init__(self, expected, got, answer=None):
        super().__init__(f"expected {expected}, got {got}")
        self.expected, self.got, self.answer = expected, got, answer


class Skip(Exception):
    """Why the rule cannot be judged here."""


@dataclass(frozen=True)
class Rule:
    id: str
    sentence: str
    source: str
    writes: bool
    check: Callable


# All rules by id, in the order in which they are judged.
RULES = {}


def rule(id, sentence, source, writes=False):
    """Makes a rule of a function. `source` says who demands it: the OpenAPI description, an RFC, or a client."""

    def register(check):
        if id in RULES:
            raise ValueError(f"two rules are called {id}")
        RULES[id] = Rule(id, sentence, source, writes, check)
        return check

    return register
