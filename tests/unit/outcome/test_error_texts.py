# SPDX-License-Identifier: Apache-2.0
"""Errors as the providers, the stores, their clients and the frameworks write them: read right or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import yaml

from agent_outcomes.outcome.classification import classify
from agent_outcomes.outcome.exception_reader import facts_from_exception
from agent_outcomes.outcome.messages import told_by
from agent_outcomes.outcome.recorded import facts_from_recorded
from tests.chained_errors import error_class

Row = tuple[str, str | None, str]
ROWS: Final[list[Row]] = [
    tuple(row) for row in yaml.safe_load((Path(__file__).parent / "error_texts.yaml").read_text())
]
UNKNOWN: Final = "unknown"
# Of Python's packages and of Python itself.
PACKAGES: Final = frozenset(
    {
        *("openai", "anthropic", "groq", "google", "botocore", "mistralai", "cohere", "ollama", "huggingface_hub"),
        *("litellm", "semantic_kernel", "dspy", "pydantic_ai", "smolagents", "langgraph", "httpx", "claude_agent_sdk"),
        *("sqlite3", "pymysql", "django", "sqlalchemy", "kafka", "nats", "pika", "redis", "pymongo", "pyodbc", "shop"),
        *("Exception", "RuntimeError", "OSError", "ConnectionError", "ValueError"),
    }
)


def is_pythons(name: str | None) -> bool:
    return name is not None and name.partition(".")[0] in PACKAGES


def read(category: str) -> str:
    return "other" if category == UNKNOWN else category


@pytest.mark.parametrize(("category", "name", "message"), ROWS)
def test_recorded_on_a_span(category: str, name: str | None, message: str) -> None:
    """The class and the message together."""
    assert classify(facts_from_recorded(name or "", message)).category == read(category)


@pytest.mark.parametrize(("category", "name", "message"), [row for row in ROWS if is_pythons(row[1])])
def test_thrown(category: str, name: str, message: str) -> None:
    """An object of that class says the same."""
    assert classify(facts_from_exception(error_class(name)(message))).category == read(category)


@pytest.mark.parametrize(("category", "name", "message"), ROWS)
def test_a_wrapper_of_the_text_alone(category: str, name: str | None, message: str) -> None:
    """A text without its class, as a status or in another exception, says the same or nothing."""
    for text in (message, f"RuntimeError: {message}", f"{name}: {message}"):
        found = told_by(text)
        assert found is None or found.rule.category == category, text
