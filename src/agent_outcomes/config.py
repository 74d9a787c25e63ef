# SPDX-License-Identifier: Apache-2.0
"""Settings: the processor's arguments and the `AGENT_OUTCOMES_*` variables that mean the same, read in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.pricing import Prices

LIMIT_MAX: Final = 500
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
}


def read_settings(
    *,
    agents_max: int | None = None,
    job_types_max: int | None = None,
    labels_max: int | None = None,
    hide_message: bool | None = None,
    hide_metadata: bool | None = None,
    outcome_span: bool | None = None,
    handoffs: bool | None = None,
    evaluation_result: bool | None = None,
    prices: Prices | str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force: an argument if given, else its variable, else the default.

    Raises `SettingsError` naming the argument or variable if a value cannot be used.
    """
    variables = os.environ if environ is None else environ
    default = Settings()
    return Settings(
        agents_max=_limit("agents_max", agents_max, variables, default.agents_max),
        job_types_max=_limit("job_types_max", job_types_max, variables, default.job_types_max),
        labels_max=_limit("labels_max", labels_max, variables, default.labels_max),
        hide_message=_switch("hide_message", given=hide_message, variables=variables, default=default.hide_message),
        hide_metadata=_switch("hide_metadata", given=hide_metadata, variables=variables, default=default.hide_metadata),
        outcome_span=_switch("outcome_span", given=outcome_span, variables=variables, default=default.outcome_span),
        handoffs=_switch("handoffs", given=handoffs, variables=variables, default=default.handoffs),
        evaluation_result=_switch(
            "evaluation_result", given=evaluation_result, variables=variables, default=default.evaluation_result
        ),
        prices=_prices(prices, variables),
    )


def _prices(given: Prices | str | None, variables: Mapping[str, str]) -> Prices | str | None:
    name = "prices" if given is not None else VARIABLES["prices"]
    value = given if given is not None else variables.get(name, "").strip().lower()
    if value and value != GENAI_PRICES and not callable(value):
        takes = GENAI_PRICES if given is None else f"{GENAI_PRICES!r} or a function"
        message = f"{name}={str(value)[:80]} is not usable; give {takes}"
        raise SettingsError(message)
    return value or None


def _limit(name: str, given: int | None, variables: Mapping[str, str], default: int) -> int:
    text = variables.get(VARIABLES[name], "").strip()
    if given is not None:
        return _checked_limit(name, given)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX))):
        raise SettingsError(_limit_message(VARIABLES[name], text))
    return _checked_limit(VARIABLES[name], int(text))


def _checked_limit(name: str, limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= LIMIT_MAX:
        raise SettingsError(_limit_message(name, repr(limit)))
    return limit


def _limit_message(name: str, value: str) -> str:
    return f"{name}={value[:80]} is not usable; give a whole number from 0 to {LIMIT_MAX}"


def _switch(name: str, *, given: bool | None, variables: Mapping[str, str], default: bool) -> bool:
    if given is not None:
        return _checked_switch(name, given)
    text = variables.get(VARIABLES[name], "").strip().lower()
    if not text:
        return default
    if text not in _TRUE | _FALSE:
        raise SettingsError(_switch_message(VARIABLES[name], text))
    return text in _TRUE


def _checked_switch(name: str, switch: object) -> bool:
    # The text "false" would switch on.
    if not isinstance(switch, bool):
        raise SettingsError(_switch_message(name, repr(switch)))
    return switch


def _switch_message(name: str, value: str) -> str:
    return f"{name}={value[:80]} is not usable; give true or false"
