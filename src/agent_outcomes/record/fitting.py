# SPDX-License-Identifier: Apache-2.0
"""An event's attributes within its provider's limits: nothing is cut that must not be, and every cut is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes import semconv
from agent_outcomes.outcome.attribute_reader import Problem
from agent_outcomes.record.evaluations import EVALUATION_NAME
from agent_outcomes.semconv import ProblemKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.record.record import AttributeValue

# Amounts in text, which cut short would be other amounts; and of a currency the amount that is none without it.
_AMOUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    semconv.AGENT_OUTCOME_VALUE_DECIMAL: (),
    semconv.AGENT_OUTCOME_COST_DECIMAL: (),
    semconv.AGENT_OUTCOME_COST_BREAKDOWN: (),
    semconv.AGENT_COST_AMOUNT_DECIMAL: (),
    semconv.AGENT_OUTCOME_CURRENCY: (semconv.AGENT_OUTCOME_VALUE, semconv.AGENT_OUTCOME_VALUE_DECIMAL),
    semconv.AGENT_OUTCOME_COST_CURRENCY: (semconv.AGENT_OUTCOME_COST, semconv.AGENT_OUTCOME_COST_DECIMAL),
}
# Cut short they would be those of something else, and a receiver that drops repeats would drop it.
_IDS: Final = frozenset(
    {
        semconv.LOG_RECORD_UID,
        semconv.AGENT_OUTCOME_ID,
        semconv.AGENT_OUTCOME_SUPERSEDES,
        semconv.AGENT_OUTCOME_RUN_ID,
        semconv.AGENT_HANDOFF_ID,
        semconv.AGENT_HANDOFF_CALLER_ID,
        semconv.GEN_AI_AGENT_ID,
        semconv.GEN_AI_CONVERSATION_ID,
        EVALUATION_NAME,
    }
)
# Of an outcome, a handoff and an evaluation, in this order.
_KEPT_LAST: Final = (
    semconv.AGENT_OUTCOME_STATUS,
    semconv.LOG_RECORD_UID,
    semconv.AGENT_HANDOFF_ID,
    EVALUATION_NAME,
)


def fit(
    attributes: Mapping[str, AttributeValue], text_length_max: int | None, attributes_max: int | None
) -> tuple[Mapping[str, AttributeValue], list[Problem]]:
    """An event's attributes as they may be handed over, and what the limits take from them; the given are not changed.

    Of what would be cut, amounts with their currencies and ids are left out, and everything where the limit is too
    short to name the cut. Over the limit on their number the SDK drops the first attributes, so that problems, status
    and what tells events apart are put last.
    """
    if text_length_max is None and (attributes_max is None or len(attributes) <= attributes_max):
        return attributes, []
    cut = [key for key, value in attributes.items() if _is_cut(value, text_length_max)]
    problems = [Problem(ProblemKind.TEXT_TRUNCATED, key) for key in cut if key != _PROBLEMS]
    fitted = dict(attributes)
    for problem in problems:
        _shorten(fitted, problem.attribute, text_length_max or 0)
    # One more than it has: the list of problems may have to be added.
    if attributes_max is not None and len(fitted) + bool(problems) > attributes_max:
        problems.append(Problem(ProblemKind.ATTRIBUTES_DROPPED))
    if not problems and not cut:
        return attributes, []
    listed = fitted.pop(_PROBLEMS, ())
    fitted[_PROBLEMS] = _named((*(listed if isinstance(listed, tuple) else ()), *map(str, problems)), text_length_max)
    for key in _KEPT_LAST:
        if key in fitted:
            fitted[key] = fitted.pop(key)
    return fitted, problems


_PROBLEMS: Final = semconv.AGENT_OUTCOME_PROBLEMS


def _shorten(fitted: dict[str, AttributeValue], key: str, length_max: int) -> None:
    """Leave out what must not be cut; of the texts that were refused those that fit are kept."""
    if key == semconv.AGENT_OUTCOME_REFUSED:
        refused = fitted[key]
        whole = tuple(text for text in refused if len(text) <= length_max) if isinstance(refused, tuple) else ()
        fitted.pop(key)
        if whole:
            fitted[key] = whole
    elif key in _IDS or key in _AMOUNTS or length_max < len(ProblemKind.TEXT_TRUNCATED.value):
        for name in (key, *_AMOUNTS.get(key, ())):
            fitted.pop(name, None)


def _named(texts: tuple[str, ...], length_max: int | None) -> tuple[str, ...]:
    """Problems by kind and attribute, or by kind alone where both would be cut; each once."""
    if length_max is None:
        return texts
    return tuple(dict.fromkeys(text if len(text) <= length_max else text.partition(":")[0] for text in texts))


def _is_cut(value: AttributeValue, length_max: int | None) -> bool:
    if length_max is None:
        return False
    if isinstance(value, str):
        return len(value) > length_max
    return isinstance(value, tuple) and any(len(text) > length_max for text in value)
