# SPDX-License-Identifier: Apache-2.0
"""What a stack trace's text says of an exception's causes, as Python, Java, .NET and JavaScript write it.

What was merely being handled when the exception arose ("During handling of the above exception") is no cause. A trace
that was cut says nothing of what is missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE_LENGTH_MAX: Final = 65_536
DEPTH_MAX: Final = 8
MEMBERS_MAX: Final = 128

_HEADER: Final = "Traceback (most recent call last):"
_CAUSED: Final = "The above exception was the direct cause of the following exception:"
_HANDLING: Final = "During handling of the above exception, another exception occurred:"
_BETWEEN: Final = Pattern(rf"^({re.escape(_CAUSED)}|{re.escape(_HANDLING)})$", re.MULTILINE)
# The lines between the exceptions of a group, `+-+` before the first; of more than Python prints it says how many.
_MEMBER: Final = Pattern(r"^ *\+-(\+?)-{4,} (\d+|\.\.\.) -{4,}$", re.MULTILINE)
_MEMBERS_END: Final = Pattern(r"^ *\+-{20,}$", re.MULTILINE)
_MARGIN: Final = Pattern(r"^ *[|+] ?", re.MULTILINE)
_RAISED: Final = Pattern(r"([A-Za-z_][\w.<>]*)(?::\s*|$)")

# Java's causes begin a line of their own, as some loggers' in JavaScript; .NET's and Node.js's are within the trace.
_CAUSE_FORMS: Final = (
    Pattern(r"^[Cc]aused by: ([\w.$]+)(?:: (.*))?$", re.MULTILINE),
    Pattern(r"(?:^| )---> (?:\(Inner Exception #0\) )?([\w.+`]+)(?: \([\w-]+\))?: (.*?)(?:<---)?$", re.MULTILINE),
    Pattern(r"\[cause\]: (?:Uncaught )?([A-Z]\w*)(?: \[\w+\])?(?:: (.*))?$", re.MULTILINE),
)
# What Node.js shows of an error beside its message, and where the stack of JavaScript begins.
_NODE_CODE: Final = Pattern(r"^ *code: '([A-Z][A-Z0-9_]+)',?$", re.MULTILINE)
_FRAME: Final = Pattern(r"^ +at ", re.MULTILINE)


class Thrown(NamedTuple):
    """An exception in a trace; `members` are those of a group, each with its causes behind it."""

    name: str
    message: str
    members: tuple[tuple[Thrown, ...], ...] = ()


def causes_in(trace: str) -> tuple[Thrown, ...]:
    """The exception that a trace is of and what it was raised from, outermost first; empty where that cannot be told.

    Of the exception itself Java's, .NET's and JavaScript's traces give no more than is said beside them: it is unnamed.
    """
    # Python puts the exception last, all others first.
    if _HEADER in trace:
        return tuple(_python_chain(trace[-TRACE_LENGTH_MAX:]))
    found = list(_others(trace[:TRACE_LENGTH_MAX]))[:DEPTH_MAX]
    return (Thrown("", ""), *found) if found else ()


def _python_chain(trace: str) -> Iterator[Thrown]:
    parts = _BETWEEN.split(trace)
    for number in range(len(parts) - 1, -1, -2):
        thrown = _python_exception(parts[number])
        if thrown is None:
            return
        yield thrown
        if number == 0 or parts[number - 1] != _CAUSED or len(parts) - number > 2 * DEPTH_MAX:
            return


def _python_exception(block: str) -> Thrown | None:
    own, *rest = _MEMBER.split(block)
    if not rest:
        return _raised_in(block)
    group = _raised_in(_MARGIN.sub("", own))
    opens, numbers, texts = rest[0::3], rest[1::3], rest[2::3]
    if group is None or "..." in numbers or len(texts) > MEMBERS_MAX:
        return group
    # What a group within the group holds stands among the others, so that it says nothing by itself.
    single = [text for text, inner in zip(texts, [*opens[1:], ""], strict=True) if not inner]
    members = [tuple(_python_chain(_MARGIN.sub("", _MEMBERS_END.sub("", text)))) for text in single]
    return group._replace(members=tuple(members)) if all(members) else group


def _raised_in(block: str) -> Thrown | None:
    """The exception at the end of a block: its first line that is not indented as frames are."""
    _, header, rest = block.partition(_HEADER)
    text = (rest if header else block).strip("\n")
    for line in text.split("\n"):
        if not line.strip() or line[0] == " ":
            continue
        found = _RAISED.match(line)
        return Thrown(found[1], text[text.index(line) + found.end() :].strip()) if found is not None else None
    return None


def _others(trace: str) -> Iterator[Thrown]:
    for form in _CAUSE_FORMS:
        for found in form.finditer(trace):
            yield Thrown(found[1], (found[2] or "").strip())
    if _FRAME.search(trace) is not None:
        for found in _NODE_CODE.finditer(trace):
            yield Thrown(found[1], "")
