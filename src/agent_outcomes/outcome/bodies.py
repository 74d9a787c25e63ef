# SPDX-License-Identifier: Apache-2.0
"""Foreign values looked into, by attributes and by keys: error objects, and the bodies that providers answer with.

Nothing here raises, whatever the values do when looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.text import asked, is_a

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANSWER_LENGTH_MAX: Final = 4096
_CODE_LENGTH_MAX: Final = 200
# The more specific one first: OpenAI's and Azure's `code`, Anthropic's `type`, Google's `status`.
_BODY_PATHS: Final = (
    ("error", "innererror", "code"),
    ("error", "code"),
    ("code",),
    ("error", "type"),
    ("error", "status"),
    ("type",),
)


def look(value: object, *path: str) -> object:
    """What a chain of attributes of a foreign object leads to, `None` if it leads nowhere or raises."""
    current: object = value
    for name in path:
        current = asked(getattr, current, name, None)
    return current


def found_at(value: object, *path: str) -> object:
    """What a path of attributes, or of keys where it comes to a dict, leads to; `None` if it leads nowhere."""
    current = value
    for name in path:
        current = dict.get(current, name) if is_a(current, dict) else look(current, name)
    return current


def codes_at(value: object, paths: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The texts at the ends of these paths, if they are short enough for a code."""
    for path in paths:
        code = found_at(value, *path)
        text = str.__str__(code) if is_a(code, str) else ""
        if 0 < len(text) <= _CODE_LENGTH_MAX:
            yield text


def codes_in(body: object) -> Iterator[str]:
    """What the body of an answer calls the error, in any of the places where that may stand."""
    return iter(()) if body is None else codes_at(body, _BODY_PATHS)


def read_body(text: str) -> object:
    """The object in a message, in JSON or as Python writes a dict, whatever closes it; `None` if there is none."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    body = asked(json.loads, text[start : end + 1])
    return asked(_literal, text[start : end + 1]) if body is None else body


def _literal(text: str) -> object:
    # Imported where it is needed: few failures are read from a message.
    from ast import literal_eval  # noqa: PLC0415 - as said

    return literal_eval(text)
