# SPDX-License-Identifier: Apache-2.0
"""Calls of the Python API that cannot be meant as they stand, as errors that say what to write instead.

Raised where the call is made and before anything of it has been done. No value is quoted but a single word, as it may
be a customer's.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from agent_outcomes.foreign_exceptions import class_name
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.outcome.spellings import STATUS_WORDS, TYPE_WORDS
from agent_outcomes.outcome.text import is_a, own_value
from agent_outcomes.words import canonical_word

_WORD: Final = Pattern(r"[A-Za-z][A-Za-z_-]{0,31}", re.ASCII)
_FACTORY_HINTS: Final = 'message="..." or output=...'


def no_outcome(call: str, given: object) -> TypeError:
    """The error of a call that was given something else where an `Outcome` is taken."""
    keyword = _keyword_for(given, of_run=True)
    return TypeError(f"{call}() takes an Outcome or keywords, not {type_name(given)}; write {keyword}?")


def no_result(given: object) -> str:
    """What a function of the result returned where it was to return an `Outcome`, for a log: no value is quoted."""
    keyword = _keyword_for(given, of_run=False) if is_a(given, bool) else 'label="..."'
    return f"returned {type_name(given)}, neither an Outcome nor None; write Outcome.success({keyword})?"


def wrong_field(name: str, given: object, wanted: str) -> TypeError:
    """The error of an `Outcome` that was not made by a factory and holds what none of them would have put there."""
    message = f"Outcome.{name} is {type_name(given)}, not {wanted}; make it with a factory, as Outcome.success(...)"
    return TypeError(message)


def positional(factory: str, given: object) -> TypeError:
    """The error of a factory that was given a value without saying what it is."""
    message = f"Outcome.{factory}() takes keywords only; write {_keyword_for(given, of_run=False)}, {_FACTORY_HINTS}?"
    return TypeError(message)


def no_exception(given: object, call: str, hint: str = "") -> TypeError:
    """The error of a call, or an argument of it, that was given something else where an exception is taken."""
    return TypeError(f"{call} takes an exception, not {type_name(given)}{hint}")


def no_failure(given: object) -> TypeError:
    """The error of `Outcome.failure` that was given neither an exception nor a text."""
    return TypeError(f"Outcome.failure() takes an exception or its message as text, not {type_name(given)}")


def said_twice() -> TypeError:
    """The error of `Outcome.failure` that was given its message in two ways."""
    return TypeError("Outcome.failure() was given its message twice, by position and as message=; write one of them")


def no_provider(call: str, given: object) -> TypeError:
    """The error of a call that was given something else where a tracer provider is taken."""
    return TypeError(f"{call}(tracer_provider=) takes a TracerProvider, not {type_name(given)}")


def type_name(given: object) -> str:
    """The name of a value's type, short; a class that is given itself is named as such."""
    return f"the class {_last_name(given)}" if is_a(given, type) else _last_name(type(given))


def _last_name(cls: type) -> str:
    return class_name(cls).rpartition(".")[2][:64]


def _keyword_for(given: object, *, of_run: bool) -> str:
    value = own_value(given)
    if isinstance(value, bool):
        return f"success={value}"
    if isinstance(value, int | float | Decimal):
        return "value=..."
    if isinstance(value, BaseException):
        return "Outcome.from_exception(error)"
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        return 'label="..."'
    word = canonical_word(value)
    if of_run and word in STATUS_WORDS:
        return f'status="{word}"'
    return f'type="{word}"' if word in TYPE_WORDS else f'label="{value}"'
