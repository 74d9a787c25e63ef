# SPDX-License-Identifier: Apache-2.0
"""Settings: the processor's arguments and the `AGENT_OUTCOMES_*` variables that mean the same, read in one place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from agent_outcomes import semconv
from agent_outcomes.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agent_outcomes.pricing import Prices

PREFIX: Final = "AGENT_OUTCOMES_"
LIMIT_MAX: Final = 500
SECONDS_MAX: Final = 604_800
_SECONDS: Final = Pattern(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
GENAI_PRICES: Final = "genai-prices"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names the setting and what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits on label values and what to leave off events.

    At most `agents_max` agent names, `job_types_max` job types and `labels_max` outcome labels become metric labels;
    further ones count under `_OTHER`. `hide_message` and `hide_metadata` keep those two texts off events.
    `outcome_span` adds a zero-length child span with the outcome's attributes to every run, `handoffs` an event for
    every agent called within a run, `evaluation_result` the outcome as events of the GenAI conventions.
    `prices` says what model calls cost that report only tokens: a function, or the word for the package genai-prices.
    A run still open after `stale_after_s` seconds is reported as it stands; never if that is 0.
    """

    agents_max: int = 100
    job_types_max: int = 50
    labels_max: int = 50
    hide_message: bool = False
    hide_metadata: bool = False
    outcome_span: bool = False
    handoffs: bool = False
    evaluation_result: bool = False
    prices: Prices | str | None = None
    stale_after_s: float = 0.0

    @property
    def hidden(self) -> frozenset[str]:
        """The attributes whose texts must not leave."""
        message = {semconv.AGENT_OUTCOME_MESSAGE} if self.hide_message else set()
        return frozenset(message | ({semconv.AGENT_OUTCOME_METADATA} if self.hide_metadata else set()))


class SettingsArguments(TypedDict, total=False):
    """The settings as keyword arguments; `None` stands for one that is not given."""

    agents_max: int | None
    job_types_max: int | None
    labels_max: int | None
    hide_message: bool | None
    hide_metadata: bool | None
    outcome_span: bool | None
    handoffs: bool | None
    evaluation_result: bool | None
    prices: Prices | str | None
    stale_after_s: float | None


VARIABLES: Final[Mapping[str, str]] = {
    "agents_max": "AGENT_OUTCOMES_AGENTS_MAX",
    "job_types_max": "AGENT_OUTCOMES_JOB_TYPES_MAX",
    "labels_max": "AGENT_OUTCOMES_LABELS_MAX",
    "hide_message": "AGENT_OUTCOMES_HIDE_MESSAGE",
    "hide_metadata": "AGENT_OUTCOMES_HIDE_METADATA",
    "outcome_span": "AGENT_OUTCOMES_OUTCOME_SPAN",
    "handoffs": "AGENT_OUTCOMES_HANDOFFS",
    "evaluation_result": "AGENT_OUTCOMES_EVALUATION_RESULT",
    "prices": "AGENT_OUTCOMES_PRICES",
    "stale_after_s": "AGENT_OUTCOMES_STALE_AFTER_S",
}


def read_settings(*, environ: Mapping[str, str] | None = None, **arguments: Unpack[SettingsArguments]) -> Settings:
    """The settings in force: an argument if given, else its variable, else the default.

    Raises `SettingsError` naming the argument or variable if a value cannot be used.
    """
    variables = os.environ if environ is None else environ
    given: Mapping[str, Any] = arguments
    return Settings(**{name: _read(name, default, given.get(name), variables) for name, default in _defaults().items()})


def lenient_settings(
    options: Mapping[str, object], complain: Callable[[str], object], environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force where nobody could catch an error: what cannot be used is named and left out of account.

    An option if it can be used, else its variable, else the default. `complain` gets one sentence for each option or
    variable that is not usable or not known. Never raises.
    """
    variables = os.environ if environ is None else environ
    for name in sorted(options.keys() - VARIABLES.keys()):
        complain(_unknown_message(f"option {name[:80]}", name, VARIABLES.keys()))
    for name in sorted({name for name in variables if name.startswith(PREFIX)} - set(VARIABLES.values())):
        complain(_unknown_message(name[:80], name, VARIABLES.values()))
    return Settings(
        **{
            name: _usable(name, default, options.get(name), variables, complain)
            for name, default in _defaults().items()
        }
    )


def _usable(
    name: str, default: object, given: object, variables: Mapping[str, str], complain: Callable[[str], object]
) -> Any:
    used: Any = default
    messages: list[str] = []
    for option in (None,) if given is None else (given, None):
        try:
            used = _read(name, default, option, variables)
            break
        except SettingsError as error:
            messages.append(str(error))
    for message in messages:
        complain(f"{message}; {str(used).lower()} is used")
    return used


def _unknown_message(what: str, name: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 - for a mistake only

    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
    return f"{what} is not known; {hint}"


def _defaults() -> Mapping[str, Any]:
    return {field.name: field.default for field in fields(Settings)}


def _read(name: str, default: object, given: object, variables: Mapping[str, str]) -> Any:
    """One setting: a price list, or else a switch, a limit or a time as its default is."""
    check, parse = _KINDS[type(default)]
    if given is not None:
        return check(name, given)
    variable = VARIABLES[name]
    text = variables.get(variable, "").strip()
    if not text:
        return default
    return parse(variable, text)


def _prices(variable: str, text: str) -> str:
    word = text.lower()
    if word != GENAI_PRICES:
        raise SettingsError(_prices_message(variable, word, GENAI_PRICES))
    return word


def _checked_prices(name: str, prices: object) -> object:
    if prices != GENAI_PRICES and not callable(prices):
        raise SettingsError(_prices_message(name, str(prices), f"{GENAI_PRICES!r} or a function"))
    return prices


def _prices_message(name: str, value: str, takes: str) -> str:
    return f"{name}={value[:80]} is not usable; give {takes}"


def _limit(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX))):
        raise SettingsError(_limit_message(variable, text))
    return _checked_limit(variable, int(text))


def _checked_limit(name: str, limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= LIMIT_MAX:
        raise SettingsError(_limit_message(name, repr(limit)))
    return limit


def _limit_message(name: str, value: str) -> str:
    return f"{name}={value[:80]} is not usable; give a whole number from 0 to {LIMIT_MAX}"


def _switch(variable: str, text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise SettingsError(_switch_message(variable, word))
    return word in _TRUE


def _checked_switch(name: str, switch: object) -> bool:
    # The text "false" would switch on.
    if not isinstance(switch, bool):
        raise SettingsError(_switch_message(name, repr(switch)))
    return switch


def _switch_message(name: str, value: str) -> str:
    return f"{name}={value[:80]} is not usable; give true or false"


def _seconds(variable: str, text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise SettingsError(_seconds_message(variable, text))
    return _checked_seconds(variable, float(text))


def _checked_seconds(name: str, seconds: object) -> float:
    # The comparison refuses NaN, too.
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= SECONDS_MAX:
        raise SettingsError(_seconds_message(name, repr(seconds)))
    return float(seconds)


def _seconds_message(name: str, value: str) -> str:
    return f"{name}={value[:80]} is not usable; give a number of seconds from 0 (off) to {SECONDS_MAX}"


# How a setting is checked and how its variable is read, by the type of its default.
_KINDS: Final[Mapping[type, tuple[Callable[[str, object], Any], Callable[[str, str], Any]]]] = {
    bool: (_checked_switch, _switch),
    int: (_checked_limit, _limit),
    float: (_checked_seconds, _seconds),
    type(None): (_checked_prices, _prices),
}
