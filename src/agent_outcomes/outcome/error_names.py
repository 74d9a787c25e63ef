# SPDX-License-Identifier: Apache-2.0
"""One look-up for what an error is called: a class of any language, or a code of a provider or a protocol.

First by the name as it stands. Then by its last segment, whatever module, package or service it is qualified with and
however it is cased: `rate_limit_error`, `RateLimitError` and `com.openai.errors.RateLimitException` are one word, and
so are `StatusCode.UNAVAILABLE` and `Unavailable`. A name that holds a known word among others says nothing.
"""

from __future__ import annotations

import builtins
from functools import cache
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.codes import GRPC_RULES, HTTP_RULES
from agent_outcomes.outcome.error_classes import ERROR_RULES, PARENTS_OF_ALL
from agent_outcomes.outcome.errors import BAD_REQUEST, UPSTREAM
from agent_outcomes.outcome.foreign_classes import FOREIGN_RULES
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.vendor_codes import CODE_RULES, JSON_RPC_RULES, MCP_RULES, NETWORK_RULES, TYPE_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from re import Match

    from agent_outcomes.outcome.errors import Classification

    Index = Mapping[str, Classification]

HTTP_ERRORS: Final = range(400, 600)
_HTTP_SERVER_ERRORS: Final = range(500, 600)

# What stands around a class's own name, as regular expressions that Python's and Go's engines read alike: how Python
# shows a class, and what AWS adds to a code in a header.
AROUND: Final = r"^<class '(.*)'>$"
BEHIND: Final = r"^([^:]+):[^:].*$"
BEFORE: Final = r"^.*[.$+#/\\:*]"
BETWEEN: Final = r"[^a-z0-9]+"
SUFFIX: Final = r"(?:error|exception)$"

_AROUND: Final = Pattern(AROUND)
_BEHIND: Final = Pattern(BEHIND)
_BEFORE: Final = Pattern(BEFORE)
_BETWEEN: Final = Pattern(BETWEEN)
_SUFFIX: Final = Pattern(SUFFIX)
_PARTS: Final = Pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_CODE_TABLES: Final = (GRPC_RULES, CODE_RULES, NETWORK_RULES)
_NUMBERED: Final = {**JSON_RPC_RULES, **MCP_RULES}
# A name that is one of Python's own exceptions is that one, though a provider's code may sound like it: a file that
# must not be read is no matter of API keys.
PYTHONS_OWN: Final = frozenset(
    name for name, one in vars(builtins).items() if isinstance(one, type) and issubclass(one, BaseException)
)
SAYS_NOTHING: Final = frozenset({"", "error", "exception", "unknown", "unknownerror", "other"})


def rule_by_name(name: str) -> Classification | None:
    """The row of exactly this class or code."""
    return names().get(name)


def rule_by_word(name: str) -> Classification | None:
    """The row of the name's last segment, if all rows that end so say the same of status and retryability."""
    own = name.removeprefix("builtins.")
    if name in PARENTS_OF_ALL:
        return None
    if own in PYTHONS_OWN:
        return names().get(f"builtins.{own}")
    word = word_of(name)
    found = words().get(word)
    return stems().get(_SUFFIX.sub("", word)) if found is None else found


def rule_of_code(code: str) -> Classification | None:
    """What a code says that stands beside a class and an HTTP status, if it says more than these do."""
    return _NUMBERED.get(code) or _strong_codes().get(word_of(code))


def rule_of_type(code: str) -> Classification | None:
    """What a code says that stands beside a class and an HTTP status which say nothing.

    As it is written but for its case: `api_error` is a word of providers, `APIError` the parent of all their classes.
    """
    return TYPE_RULES.get(segment_of(code).lower()) or _grpc_codes().get(word_of(code))


def rule_of_http(status: int) -> Classification | None:
    """The row of an HTTP status; others of the server are the upstream's, others of the client bad requests."""
    if status in HTTP_RULES:
        return HTTP_RULES[status]
    if status in _HTTP_SERVER_ERRORS:
        return UPSTREAM
    return BAD_REQUEST if status in HTTP_ERRORS else None


def segment_of(name: str) -> str:
    """The last segment of a name, without the module, package or service before it."""
    return str(_BEFORE.sub("", _BEHIND.sub(_first, _AROUND.sub(_first, name))))


def word_of(name: str) -> str:
    """The last segment of a name in lower case, letters and digits alone."""
    return str(_BETWEEN.sub("", segment_of(name).lower()))


@cache
def names() -> Index:
    """The rows by full name or code, as written in the tables."""
    index = {name: rule for rule, spelled in (*FOREIGN_RULES, *ERROR_RULES) for name in spelled}
    return {**index, **JSON_RPC_RULES}


@cache
def words() -> Index:
    """The rows by word; those of classes before those of codes."""
    classes = _uncontradicted(
        (word_of(name), rule) for rule, spelled in (*ERROR_RULES, *FOREIGN_RULES) for name in spelled
    )
    codes = {word_of(code): rule for table in _CODE_TABLES for code, rule in table.items()}
    return {word: rule for word, rule in {**codes, **classes}.items() if word not in SAYS_NOTHING}


@cache
def stems() -> Index:
    """The rows by word without `Error` or `Exception` at its end, where two words or more are left of it."""
    tables = (*((name, rule) for rule, spelled in (*ERROR_RULES, *FOREIGN_RULES) for name in spelled), *_codes())
    return _uncontradicted((_SUFFIX.sub("", word_of(name)), rule) for name, rule in tables if _has_two_words(name))


@cache
def _strong_codes() -> Index:
    tables = (CODE_RULES, NETWORK_RULES)
    return {word_of(code): rule for table in tables for code, rule in table.items()}


@cache
def _grpc_codes() -> Index:
    return {word_of(code): rule for code, rule in GRPC_RULES.items()}


def _codes() -> Iterable[tuple[str, Classification]]:
    return ((code, rule) for table in _CODE_TABLES for code, rule in table.items())


def _has_two_words(name: str) -> bool:
    bare = _BEFORE.sub("", name)
    parts = [part.lower() for part in _PARTS.findall(bare)]
    return len([part for part in parts if part not in SAYS_NOTHING]) > 1


def _first(found: Match[str]) -> str:
    return found[1]


def _uncontradicted(rows: Iterable[tuple[str, Classification]]) -> Index:
    index: dict[str, Classification] = {}
    contradicted: set[str] = set()
    for word, rule in rows:
        kept = index.setdefault(word, rule)
        if (kept.status, kept.retryable) != (rule.status, rule.retryable):
            contradicted.add(word)
    return {word: rule for word, rule in index.items() if word not in contradicted}
