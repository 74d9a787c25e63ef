# SPDX-License-Identifier: Apache-2.0
"""Free texts that must not leave: taken off an outcome wherever they, or a part of them, may stand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent_outcomes import semconv

if TYPE_CHECKING:
    from agent_outcomes.outcome.attribute_reader import Problem
    from agent_outcomes.outcome.model import Outcome


def without_texts(outcome: Outcome, hidden: frozenset[str]) -> Outcome:
    """The outcome without the texts of the attributes `hidden`: message, metadata or both.

    What was refused of them goes as well. Problems stay, but for the keys of metadata, which are its author's words.
    """
    refused = [text for text in outcome.refused if _attribute_of(text.partition("=")[0]) not in hidden]
    problems = [
        problem._replace(attribute=_attribute_of(problem.attribute)) if _is_about(problem, hidden) else problem
        for problem in outcome.problems
    ]
    return replace(
        outcome,
        message=None if semconv.AGENT_OUTCOME_MESSAGE in hidden else outcome.message,
        metadata=None if semconv.AGENT_OUTCOME_METADATA in hidden else outcome.metadata,
        refused=tuple(refused),
        problems=tuple(dict.fromkeys(problems)),
    )


def _is_about(problem: Problem, hidden: frozenset[str]) -> bool:
    return _attribute_of(problem.attribute) in hidden


def _attribute_of(key: str) -> str:
    """The attribute that the key stands for: that of all metadata for one of its flat keys."""
    return semconv.AGENT_OUTCOME_METADATA if key.startswith(semconv.METADATA_PREFIX) else key
