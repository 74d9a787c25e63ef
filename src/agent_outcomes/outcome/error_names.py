# SPDX-License-Identifier: Apache-2.0
"""One look-up for what an error is called: a class of any language, or a code of a provider or a protocol.

First by the name as it stands. Then by its last segment, however it is cased: `rate_limit_error`, `RateLimitError` and
`com.openai.errors.RateLimitException` are one word, and so are `StatusCode.UNAVAILABLE` and `Unavailable`. Another
library's class may be called the same and mean something else (`tarfile.ReadError`, `queue.ShutDown`), so that behind
a module the segment decides only under the root of a row that ends so, or where the word means one thing everywhere.
A name that holds a known word among others says nothing, but for a class that ends in what happened to it.
"""

from __future__ import annotations

import builtins
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from agent_outcomes.outcome.codes import GRPC_RULES, HTTP_RULES
from agent_outcomes.outcome.error_classes import CATCH_ALLS, ERROR_RULES, PARENTS_OF_ALL
from agent_outcomes.outcome.errors import BAD_REQUEST, RATE_LIMIT, TIMEOUT, UPSTREAM
from agent_outcomes.outcome.foreign_classes import FOREIGN_RULES
from agent_outcomes.outcome.name_words import (
    CODE_QUALIFIERS,
    EVERYWHERE,
    NO_ENDING,
    RATE_LIMIT_ENDING,
    SHARED_ROOTS,
    SUCCESSORS,
    TIMEOUT_ENDING,
    TOO_COMMON,
)
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.store_classes import STORE_RULES
from agent_outcomes.outcome.store_codes import STORE_NAMES, STORE_RULES_BY_CODE
from agent_outcomes.outcome.vendor_codes import (
    CODE_RULES,
    JSON_RPC_RULES,
    MCP_RULES,
    NETWORK_RULES,
    SQLSTATE_RULES,
    TYPE_RULES,
)
from agent_outcomes.semconv import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from re import Match

    from agent_outcomes.outcome.errors import Classification

    Index = Mapping[str, Classification]
    RootIndex = Mapping[tuple[str, str], Classification]

_Key = TypeVar("_Key", str, "tuple[str, str]")

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
_SEGMENTS: Final = Pattern(r"[.$+#/\\:*]+")
_PARTS: Final = Pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
CLASS_RULES: Final = (*ERROR_RULES, *STORE_RULES)
ENDINGS: Final = ((TIMEOUT_ENDING, TIMEOUT), (RATE_LIMIT_ENDING, RATE_LIMIT))
_CODE_TABLES: Final = (GRPC_RULES, CODE_RULES, NETWORK_RULES, STORE_NAMES)
_NUMBERED: Final = {**JSON_RPC_RULES, **MCP_RULES, **SQLSTATE_RULES, **STORE_RULES_BY_CODE}
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
    """The row of the name's last segment, where that says what it says in the tables."""
    own = name.removeprefix("builtins.")
    if name in PARENTS_OF_ALL or name in CATCH_ALLS or name in TYPE_RULES:
        return None
    if own in PYTHONS_OWN:
        return names().get(f"builtins.{own}")
    before, word = _qualifier_of(name), word_of(name)
    if not before:
        return None if word in TOO_COMMON else _of_bare(word)
    return rule_under_root(name) or _of_code(before, word) or _of_everywhere(word)


def rule_under_root(name: str) -> Classification | None:
    """The row that ends so and has the same root: packages re-export and move their classes."""
    return roots().get((_root_of(_qualifier_of(name)), word_of(name)))


def rule_by_ending(name: str) -> Classification | None:
    """What a class says by the words that its name ends in, where it has no row and nothing else tells."""
    segment = segment_of(name)
    if name in CATCH_ALLS or NO_ENDING.search(segment) is not None:
        return None
    return next((rule for ending, rule in ENDINGS if ending.match(segment) is not None), None)


def rule_of_code(code: str) -> Classification | None:
    """What a code says that stands beside a class and an HTTP status, if it says more than these do."""
    return _NUMBERED.get(code) or strong_codes().get(word_of(code))


def rule_of_type(code: str) -> Classification | None:
    """What a code says that stands beside a class and an HTTP status which say nothing.

    As it is written but for its case: `api_error` is a word of providers, `APIError` the parent of all their classes.
    """
    return TYPE_RULES.get(code.lower()) or GRPC_RULES.get(code)


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


def is_known_word(text: str) -> bool:
    """Whether all of a text is the word of a row, whatever stands between its parts."""
    return _BETWEEN.sub("", text.lower()) in words()


@cache
def names() -> Index:
    """The rows by full name or code, as written in the tables."""
    index = {name: rule for rule, spelled in (*FOREIGN_RULES, *CLASS_RULES) for name in spelled}
    return {**index, **JSON_RPC_RULES}


@cache
def words() -> Index:
    """The rows by word; those of classes before those of codes."""
    classes = _uncontradicted(
        (word_of(name), rule) for rule, spelled in (*CLASS_RULES, *FOREIGN_RULES) for name in spelled
    )
    codes = {word_of(code): rule for table in _CODE_TABLES for code, rule in table.items()}
    return {word: rule for word, rule in {**codes, **classes}.items() if word not in SAYS_NOTHING}


@cache
def stems() -> Index:
    """The rows by word without `Error` or `Exception` at its end, where two words or more are left of it."""
    tables = (*((name, rule) for rule, spelled in (*CLASS_RULES, *FOREIGN_RULES) for name in spelled), *_codes())
    return _uncontradicted((_SUFFIX.sub("", word_of(name)), rule) for name, rule in tables if _has_two_words(name))


@cache
def roots() -> RootIndex:
    """The rows by the root of their module and their word."""
    tables = ((name, rule) for rule, spelled in (*CLASS_RULES, *FOREIGN_RULES) for name in spelled)
    rows = (((_root_of(_qualifier_of(name)), word_of(name)), rule) for name, rule in tables)
    return _uncontradicted((key, rule) for key, rule in rows if key[0] and key[1] not in SAYS_NOTHING)


@cache
def strong_codes() -> Index:
    """The codes that are no words of several meanings."""
    tables = (CODE_RULES, NETWORK_RULES, STORE_NAMES)
    return {word_of(code): rule for table in tables for code, rule in table.items()}


@cache
def grpc_codes() -> Index:
    """The codes of gRPC by their word."""
    return {word_of(code): rule for code, rule in GRPC_RULES.items()}


def _codes() -> Iterable[tuple[str, Classification]]:
    return ((code, rule) for table in _CODE_TABLES for code, rule in table.items())


def _has_two_words(name: str) -> bool:
    bare = _BEFORE.sub("", name)
    parts = [part.lower() for part in _PARTS.findall(bare)]
    return len([part for part in parts if part not in SAYS_NOTHING]) > 1


def _of_bare(word: str) -> Classification | None:
    """The row of a word that stands alone; in another spelling only of what means one thing everywhere."""
    found = words().get(word)
    return _of_everywhere(word) if found is None else found


def _of_everywhere(word: str) -> Classification | None:
    """The row of a word of which no library makes something else, and never that a run was stopped."""
    if EVERYWHERE.search(word) is None:
        return None
    found = words().get(word)
    found = stems().get(_SUFFIX.sub("", word)) if found is None else found
    return found if found is not None and is_failure(found) else None


def _of_code(before: str, word: str) -> Classification | None:
    """The row of a code behind the name of a vendor or of an enumeration."""
    if CODE_QUALIFIERS["grpc"].search(before) is not None:
        return grpc_codes().get(word)
    is_code = any(CODE_QUALIFIERS[kind].search(before) is not None for kind in ("vendor", "dotted"))
    found = strong_codes().get(word) if is_code else None
    return found if found is not None and is_failure(found) else None


def is_failure(rule: Classification) -> bool:
    """Whether a run that ends so was neither stopped nor waits."""
    return rule.status is not Status.CANCELLED and not rule.paused


def _qualifier_of(name: str) -> str:
    """What stands before the last segment: nothing before one that an address or a shape's namespace precedes."""
    shown = str(_BEHIND.sub(_first, _AROUND.sub(_first, name)))
    before = shown[: len(shown) - len(_BEFORE.sub("", shown))]
    return "" if before.endswith(("#", "/")) or before == "*" else before


def _root_of(before: str) -> str:
    """The package that a qualifier begins with; two segments of it where the first is a domain's."""
    parts = [part for part in _SEGMENTS.split(before) if part]
    root = ".".join(parts[: 2 if parts and parts[0] in SHARED_ROOTS else 1])
    return SUCCESSORS.get(root, root)


def _first(found: Match[str]) -> str:
    return found[1]


def _uncontradicted(rows: Iterable[tuple[_Key, Classification]]) -> Mapping[_Key, Classification]:
    index: dict[_Key, Classification] = {}
    contradicted: set[_Key] = set()
    for word, rule in rows:
        kept = index.setdefault(word, rule)
        if (kept.status, kept.retryable) != (rule.status, rule.retryable):
            contradicted.add(word)
    return {word: rule for word, rule in index.items() if word not in contradicted}
