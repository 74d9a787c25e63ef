# SPDX-License-Identifier: Apache-2.0
"""A ledger in whose tables something stands that this release cannot read: a sentence and an exit code, everywhere."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.api.report import report_outcome
from agent_outcomes.cli import main
from agent_outcomes.ledger.book.refusals import ReportRefused
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.acceptances import acceptance_of, pending, plain_run

if TYPE_CHECKING:
    from pathlib import Path

DIFFERS, NO_LEDGER = 1, 10
REPORT = ("report", "--run-id", "b", "--success", "--no-retry")
COST = ("cost", "--run-id", "b", "--amount", "1", "--no-retry")
COMMANDS = (("status",), ("verify",), ("list",), ("show", "a"), ("export",), REPORT, COST)
UNUSABLE = (
    "DELETE FROM meta; INSERT INTO meta VALUES ('policy', 'majority')",
    "INSERT OR REPLACE INTO meta VALUES ('job_types_max', 'unlimited')",
    "INSERT OR REPLACE INTO meta VALUES ('spans', 'sometimes')",
    "UPDATE ledger_schema SET version_num = '9.1'",
    "UPDATE ledger_schema SET version_num = '0042'",
)
ROWS = (
    "UPDATE deliveries SET state = 'resting'",
    "UPDATE revisions SET change = 'split' WHERE revision = 1",
    "UPDATE runs SET status = 'vanished'",
    "UPDATE totals SET labels = '{' WHERE id = 1",
    "UPDATE totals SET labels = '7' WHERE id = 1",
    "UPDATE totals SET whole = 'many'",
    "UPDATE durations SET labels = labels || ']'",
    "UPDATE revisions SET posted = '[]'",
    "UPDATE revisions SET content = x'00'",
    "UPDATE resources SET attributes = 'x'",
    "UPDATE runs SET trace_id = 'text' WHERE id = 1",
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a ledger with a run that was reported on, and one that is pending."""
    made = tmp_path / "o.db"
    monkeypatch.setenv("AGENT_OUTCOMES_LEDGER", f"sqlite:///{made}")
    store = Store.open(read_location(f"sqlite:///{made}"))
    store.accept([acceptance_of(plain_run(1, run_id="a"), pending(1).outcome), pending(2, run_id="b")])
    store.close()
    report_outcome(run_id="a", success=True)
    _closed(made)
    return made


def _closed(path: Path) -> None:
    Store.open(read_location(f"sqlite:///{path}")).close()


def _changed(path: Path, statements: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(statements)
    connection.close()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("statements", UNUSABLE)
def test_settings_of_another_release(
    path: Path, statements: str, command: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the place and the fix, and nothing is written."""
    _changed(path, statements)
    assert main(["ledger", *command]) == NO_LEDGER
    said = capfd.readouterr().err
    assert said.startswith(f"ledger {path}: ")
    assert "upgrade otel-agent-outcomes" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("statements", UNUSABLE)
def test_a_report_to_such_a_ledger_does_not_pass_by_itself(path: Path, statements: str) -> None:
    """Or it would be tried for minutes."""
    _changed(path, statements)
    with pytest.raises(ReportRefused, match="upgrade otel-agent-outcomes") as refused:
        report_outcome(run_id="b", success=True)
    assert not refused.value.retryable


@pytest.mark.parametrize("statements", ROWS)
def test_rows_that_nobody_has_written(path: Path, statements: str, capfd: pytest.CaptureFixture[str]) -> None:
    """No command breaks off; `verify` names the first difference, where it is one of what it proves."""
    _changed(path, statements)
    for command in COMMANDS:
        code = main(["ledger", *command])
        said = capfd.readouterr().err
        assert code in {0, DIFFERS, NO_LEDGER}, (command, said)
        assert len(said.splitlines()) == int(code != 0), (command, said)
        assert (code == DIFFERS) == said.startswith("differs: ")
        assert code != DIFFERS or command == ("verify",)
        _closed(path)


@pytest.mark.parametrize("statements", [row for row in ROWS if "deliveries" not in row and "resources" not in row])
def test_verify_names_the_first_difference(path: Path, statements: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Of whatever kind the row is."""
    _changed(path, statements)
    assert main(["ledger", "verify"]) == DIFFERS
    assert capfd.readouterr().err.startswith("differs: ")


@pytest.mark.parametrize("command", [("status",), REPORT, COST], ids=lambda command: command[0])
@pytest.mark.parametrize("kind", ["absent", "text", "foreign"])
def test_what_is_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, command: tuple[str, ...]
) -> None:
    """Reports end as every other command does."""
    path = tmp_path / "none.db"
    if kind == "text":
        path.write_text("hello " * 1000, encoding="utf-8")
    if kind == "foreign":
        _changed(path, "CREATE TABLE recipes (name TEXT)")
    monkeypatch.setenv("AGENT_OUTCOMES_LEDGER", f"sqlite:///{path}")
    assert main(["ledger", *command]) == NO_LEDGER


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (("--until", "2000-01-01"), 0),
        (("--since", "2090-01-01"), 0),
        (("--since", "1h"), 1),
        (("--until", "9999-12-31"), 1),
        (("--since", "2000-01-01", "--limit", "1"), 1),
    ],
)
@pytest.mark.usefixtures("path")
def test_held_reports_of_a_time(options: tuple[str, ...], rows: int, capfd: pytest.CaptureFixture[str]) -> None:
    """They are listed by when they came."""
    assert main(["ledger", "report", "--run-id", "to come", "--success"]) == 0
    capfd.readouterr()
    assert main(["ledger", "list", "--state", "held", "--json", *options]) == 0
    assert len(capfd.readouterr().out.splitlines()) == rows


@pytest.mark.parametrize("state", ["held", "orphan"])
@pytest.mark.usefixtures("path")
def test_held_reports_are_of_no_agent_yet(state: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The option is refused by name."""
    assert main(["ledger", "list", "--state", state, "--agent", "support"]) == 2
    assert capfd.readouterr().err.startswith("--agent cannot be used with ")
