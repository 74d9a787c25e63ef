# SPDX-License-Identifier: Apache-2.0
"""Which evaluations are business verdicts, and what they say: rules as texts NAME=RULE, and their answers.

An evaluation without a rule is none: most of them judge an answer's quality and not the job that was done.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.words import STATUS_VALUES, canonical_word

RULES_MAX: Final = 100
VERDICT_NAME_LENGTH_MAX: Final = 256
_SCORE: Final = Pattern(r"score\s*(>=|<=|>|<|=)\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)")
_LABEL: Final = "label:"
_PASS: Final = "pass"  # noqa: S105 - a rule
_SHOWN_MAX: Final = 80
_TAKES: Final = "write NAME=score>=0.8 (or >, <, <=, =), NAME=label:good|fine or NAME=pass"
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_PASSED: Final[Mapping[str, bool]] = {"success": True, "failure": False, "invalid_output": False}


class VerdictError(ValueError):
    """A rule that cannot be read; the message names it and says how one is written."""


class Evaluation(NamedTuple):
    """One evaluation as it was sent; `identifier` tells it from others of the same name, if its sender does."""

    name: str
    score: float | None = None
    label: str | None = None
    explanation: str | None = None
    identifier: str | None = None


class ScoreRule(NamedTuple):
    """A success if the score compares so with the bound."""

    comparison: str
    bound: float

    def judge(self, evaluation: Evaluation) -> bool | None:
        """Success or not; `None` without a score."""
        score = evaluation.score
        return None if score is None or math.isnan(score) else _COMPARISONS[self.comparison](score, self.bound)


class LabelRule(NamedTuple):
    """A success if the label is one of these, whatever the case of its letters."""

    labels: frozenset[str]

    def judge(self, evaluation: Evaluation) -> bool | None:
        """Success or not; `None` without a label."""
        return None if evaluation.label is None else evaluation.label.strip().casefold() in self.labels


class PassRule(NamedTuple):
    """A success if the evaluation says that it was passed: a label such as pass or fail, else a score of 1 or 0."""

    def judge(self, evaluation: Evaluation) -> bool | None:
        """Success or not; `None` if neither label nor score says so."""
        if evaluation.label is not None:
            word = STATUS_VALUES.get(canonical_word(evaluation.label))
            return None if word is None else _PASSED.get(word)
        return {1.0: True, 0.0: False}.get(evaluation.score) if evaluation.score is not None else None


Rule = ScoreRule | LabelRule | PassRule
Verdicts = Mapping[str, Rule]
"""The rules by the names of the evaluations that they are about, exactly as these are sent."""


def parse_verdicts(texts: Iterable[str]) -> Verdicts:
    """The rules that these texts are. Raises `VerdictError`, also where two are about the same evaluation."""
    rules: dict[str, Rule] = {}
    for text in texts:
        name, rule = _parse(text)
        if name in rules:
            message = f"verdict {_shown(text)}: there is another rule for {_shown(name)}; give one"
            raise VerdictError(message)
        rules[name] = rule
    if len(rules) > RULES_MAX:
        message = f"{len(rules)} verdicts are more than the {RULES_MAX} that a gateway takes"
        raise VerdictError(message)
    return rules


def _parse(text: str) -> tuple[str, Rule]:
    name, is_named, rule = (part.strip() for part in text.partition("="))
    if not is_named or not name or len(name) > VERDICT_NAME_LENGTH_MAX:
        message = f"verdict {_shown(text)}: it has no name; {_TAKES}"
        raise VerdictError(message)
    if rule == _PASS:
        return name, PassRule()
    found = _SCORE.fullmatch(rule)
    if found is not None and math.isfinite(float(found[2])):
        return name, ScoreRule(found[1], float(found[2]))
    labels = frozenset(label.strip().casefold() for label in rule.removeprefix(_LABEL).split("|"))
    if rule.startswith(_LABEL) and "" not in labels:
        return name, LabelRule(labels)
    message = f"verdict {_shown(text)}: {_shown(rule)} is no rule; {_TAKES}"
    raise VerdictError(message)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}...")
