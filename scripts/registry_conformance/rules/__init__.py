"""The rules, by subject. Importing a module registers its rules, which are judged in the order of these lines."""

# isort: off
from ..rule import RULES as RULES
from . import (  # noqa: F401
    lists,
    limits,
    paging,
    filters,
    search,
    versions,
    names,
    errors,
    http,
    browsers,
    health,
    validation,
    publishing,
    latest,
    status,
    editing,
    deleting,
)
