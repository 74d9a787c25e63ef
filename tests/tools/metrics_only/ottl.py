# SPDX-License-Identifier: Apache-2.0
"""Pieces of the collector's transformation language (OTTL): paths, literals, conditions, statements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX
from agent_outcomes.outcome.spellings import BOOLEAN_WORDS
from agent_outcomes.words import A2A_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BLANK: Final = r"^\s+|\s+$"
IN_ERROR: Final = "span.status.code == STATUS_CODE_ERROR"


def quoted(text: str) -> str:
    """The text as a string of OTTL, and of YAML."""
    return json.dumps(text)


def attribute(key: str) -> str:
    """The path of a span's attribute."""
    return f"span.attributes[{quoted(key)}]"


def cache(name: str, *keys: str) -> str:
    """The path of a variable, which lasts as long as the statements of one span; `keys` are expressions."""
    return f"span.cache[{quoted(name)}]" + "".join(f"[{key}]" for key in keys)


def assign(target: str, value: str, where: str = "") -> str:
    """The statement that sets a path."""
    return f"set({target}, {value})" + (f" where {where}" if where else "")


def replace_all(target: str, pattern: str, replacement: str) -> str:
    """The statement that replaces what a pattern finds."""
    return f"replace_pattern({target}, {quoted(pattern)}, {quoted(replacement)})"


def list_of(words: Iterable[str]) -> str:
    """A list of strings."""
    return f"[{', '.join(map(quoted, words))}]"


def is_one_of(words: Iterable[str], path: str) -> str:
    """Whether a path's value is one of the words."""
    return f"ContainsValue({list_of(words)}, {path})"


def map_of(entries: Mapping[str, str]) -> str:
    """A map whose values are expressions."""
    return "{" + ", ".join(f"{quoted(key)}: {value}" for key, value in entries.items()) + "}"


def map_of_words(entries: Mapping[str, str]) -> str:
    """A map of strings."""
    return map_of({key: quoted(value) for key, value in entries.items()})


def any_of(conditions: Iterable[str]) -> str:
    """Whether any condition holds."""
    return "(" + " or ".join(conditions) + ")"


def all_of(condition: str, other: str) -> str:
    """Both conditions."""
    return condition if other == "true" else f"{condition} and {other}"


def look_up(target: str, table: str, key: str, where: str = "") -> str:
    """The statement that takes a table's entry, where there is a key and the condition holds."""
    known = f"{key} != nil" + (f" and {where}" if where else "")
    return assign(target, f"{table}[{key}]", known)


def canonical(name: str, key: str, *, any_type: bool = False) -> Iterator[str]:
    """A word in the form in which the tables are keyed."""
    variable = cache(name)
    yield assign(variable, f"ToLowerCase({attribute(key)})", f"IsString({attribute(key)})")
    if any_type:
        yield assign(variable, f"String({attribute(key)})", f"{variable} == nil and {attribute(key)} != nil")
    yield replace_all(variable, BLANK, "")
    yield replace_all(variable, "[- ]", "_")
    yield replace_all(variable, f"^{A2A_PREFIX}", "")


def first_text(name: str, keys: Iterable[str]) -> Iterator[str]:
    """The first of the attributes that is a text, shortened."""
    variable = cache(name)
    for key in keys:
        path = attribute(key)
        yield assign(variable, path, f'{variable} == nil and IsString({path}) and {path} != ""')
    yield shortened(variable)


def shortened(variable: str) -> str:
    """The statement that cuts a text to the length of a label."""
    return replace_all(variable, f"(?s)^(.{{{LABEL_LENGTH_MAX}}}).+$", "$1")


def boolean_of(name: str, key: str) -> Iterator[str]:
    """The statements that read a bool, or the words true and false."""
    yield from canonical(f"{name}_word", key)
    yield assign(cache(name), attribute(key), f"IsBool({attribute(key)})")
    for word, meaning in BOOLEAN_WORDS.items():
        yield assign(cache(name), str(meaning).lower(), f"{cache(f'{name}_word')} == {quoted(word)}")
