# SPDX-License-Identifier: Apache-2.0
"""What an exception says that stands on a span as an event: its class, its message, the causes in its stack trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agent_outcomes.outcome.classification import (
    ERROR_NAME_LENGTH_MAX,
    ErrorFacts,
    classify,
    deciding,
    find_named,
    find_rule,
    first,
    http_status_in,
    message_of_class,
)
from agent_outcomes.outcome.error_classes import CATCH_ALLS
from agent_outcomes.outcome.error_names import rule_of_code, segment_of, word_of
from agent_outcomes.outcome.errors import UNTRUSTED
from agent_outcomes.outcome.foreign_classes import VAGUE_CLASSES
from agent_outcomes.outcome.messages import is_untrusted, leading_status, may_refine, told_by
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.stack_traces import DEPTH_MAX, Thrown, causes_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_outcomes.outcome.errors import Classification
    from agent_outcomes.outcome.messages import Told


# As Koog writes `error.type` (its `extractActualErrorType`).
_JOINED: Final = Pattern(r"(\w+Exception)-(\w+(?:Exception|Error))", re.ASCII)


# Genkit names an error by the HTTP status that its own word stands for (`httpStatusCode`), and takes this one for what
# its clients could make no word of: nobody has answered with it.
_GENKIT_UNKNOWN: Final = ("500", "UNKNOWN: ")
_GENKIT_CLASS: Final = "GenkitError"


def facts_from_recorded(name: str, message: str = "", trace: str = "") -> ErrorFacts:
    """What `exception.type`, `exception.message` and `exception.stacktrace` say together. Never raises."""
    status, word = _GENKIT_UNKNOWN
    if name == status and message.startswith(word) and trace.startswith(_GENKIT_CLASS):
        name, message = _GENKIT_CLASS, message.removeprefix(word)
    chain = causes_in(trace)
    # A trace of something else, or one whose end was cut off, says nothing of this exception's causes.
    if chain and name and chain[0].name and word_of(chain[0].name) != word_of(name):
        chain = ()
    members = chain[0].members if chain else ()
    own, *causes = _joined(name or (chain[0].name if chain else ""))
    known = chain[1:] or tuple(Thrown(cause, "") for cause in causes)
    return _facts([*_along((Thrown(own, message, members), *known))][:DEPTH_MAX])


def _joined(name: str) -> tuple[str, ...]:
    """A class, and that of its cause where Koog has joined the two."""
    found = _JOINED.fullmatch(name)
    return (name,) if found is None else (found[1], found[2])


def _along(chain: Sequence[Thrown]) -> Iterator[Thrown]:
    """An exception and its causes; those of a group are the ones of the exception in it that decides what it means."""
    for thrown in chain:
        yield thrown
        if thrown.members:
            number = deciding([classify(_facts(member)) for member in thrown.members])
            if number is not None:
                yield from thrown.members[number]
            return


def _facts(chain: Sequence[Thrown]) -> ErrorFacts:
    told = [told_by(thrown.message, thrown.name) for thrown in chain]
    codes = (one.code for one in told if one is not None and one.code is not None)
    facts = ErrorFacts(
        lineages=tuple((_full_name(thrown)[:ERROR_NAME_LENGTH_MAX],) for thrown in chain if thrown.name),
        http_status=first(http_status_in(thrown.name) for thrown in chain),
        vendor_type=first(thrown.name or None for thrown in chain),
        vendor_code=next((code for code in codes if rule_of_code(code) is not None), None),
        told=first(told),
        leading=leading_status(chain[0].message),
    )
    beside = message_of_class(((thrown.name,), thrown.message) for thrown in chain)
    if beside is not None:
        return facts._replace(refined=beside)
    if chain[0].name in VAGUE_CLASSES:
        return facts._replace(refined=_refined(chain, told))
    named = find_named(facts)
    if named is not None and is_untrusted(named, told):
        return facts._replace(refined=UNTRUSTED)
    said = first(one for one in told if one is not None and one.is_said)
    return facts._replace(refined=said.rule) if said and named and may_refine(named, said.rule) else facts


def _full_name(thrown: Thrown) -> str:
    """The class as its own message names it, where an instrumentation has left its module away."""
    told = next((name for name in CATCH_ALLS if thrown.message.startswith(f"{name}: ")), thrown.name)
    return told if segment_of(told) == thrown.name else thrown.name


def _refined(chain: Sequence[Thrown], told: Sequence[Told | None]) -> Classification | None:
    """What stands beside a class that says less: its message, else its causes (of a name without a package none)."""
    beside = told[0]
    if beside is not None and not beside.is_vague:
        return beside.rule
    caused = find_rule(_facts(chain[1:])) if len(chain) > 1 and "." in chain[0].name else None
    return beside.rule if beside is not None and caused is None else caused
