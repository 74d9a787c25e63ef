# SPDX-License-Identifier: Apache-2.0
"""The command line where its standard output is full, closed or in another encoding: one line, and one exit code."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.acceptances import pending

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")  # noqa: PTH110

FAILED = 74
RUN_ID = "Z€ ⚙"
NOWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
SPANS = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "1" * 32,
                            "spanId": "2" * 16,
                            "name": RUN_ID,
                            "startTimeUnixNano": "1",
                            "endTimeUnixNano": "2",
                            "attributes": [
                                {"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}},
                                {"key": "agent.outcome.run_id", "value": {"stringValue": RUN_ID}},
                            ],
                        }
                    ]
                }
            ]
        }
    ]
}
COMMANDS = (
    "--help",
    "ledger status",
    "ledger show 'Z€ ⚙'",
    "ledger export",
    "ledger export --format parquet",
    "ledger verify",
    "ledger report --run-id 'Z€ ⚙' --success",
    "keys create --name ann --may read",
    "explain spans.json",
    "doctor --timeout 2",
    "serve --otlp-grpc none --otlp-http none --listen 127.0.0.1:0",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger of one run, and a file of spans."""
    store = Store.open(read_location(f"sqlite:///{tmp_path}/o.db"))
    store.accept([pending(1, run_id=RUN_ID)])
    store.close()
    (tmp_path / "spans.json").write_text(json.dumps(SPANS), encoding="utf-8")
    return tmp_path


def _ended(
    folder: Path, command: str, redirected: str = "", options: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    shell = f"exec {shlex.quote(sys.executable)} {options} -m agent_outcomes {command} {redirected}"
    return subprocess.run(  # noqa: S602 - the shell redirects and closes
        shell,
        shell=True,
        cwd=folder,
        env={
            **os.environ,
            **NOWHERE,
            "AGENT_OUTCOMES_LEDGER": f"sqlite:///{folder}/o.db",
            "XDG_STATE_HOME": str(folder),
            **environ,
        },
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "redirected"),
    [*((command, ">/dev/full") for command in COMMANDS), ("ledger verify", ">&-"), ("ledger export", ">&-")],
)
def test_output_that_cannot_be_written_is_said_in_one_line(folder: Path, command: str, redirected: str) -> None:
    """With an exit code that means nothing else."""
    done = _ended(folder, command, redirected)
    said = [line for line in done.stderr.splitlines() if not line.startswith(("the key of ", "{", "no agent run"))]
    assert done.returncode == FAILED, done.stderr
    assert len(said) == 1
    assert said[0].startswith("standard output cannot be written: ")


def test_an_unbuffered_output_as_well(folder: Path) -> None:
    """`python -u` writes each line at once."""
    done = _ended(folder, "ledger status", ">/dev/full", "-u")
    assert (done.returncode, len(done.stderr.splitlines())) == (FAILED, 1)


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("command", "code"),
    [("ledger show nope", 7), ("explain none.json", 2)],
)
def test_complaints_that_cannot_be_written_change_no_exit_code(
    folder: Path, command: str, code: int, redirected: str
) -> None:
    """It is all that is left to say it by."""
    assert _ended(folder, command, redirected).returncode == code


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("command", ["ledger show 'Z€ ⚙'", "explain spans.json"])
def test_what_an_encoding_lacks_is_escaped(folder: Path, command: str, encoding: str) -> None:
    """And what it has is written as it is."""
    done = _ended(folder, command, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    shown = RUN_ID.encode(encoding, "backslashreplace")
    assert shown.decode("utf-8", "replace") in done.stdout


def test_what_is_there_is_not_opened_in_the_place_of_a_closed_stream(folder: Path) -> None:
    """A database in the place of standard output would be written over."""
    done = _ended(folder, "ledger report --run-id 'Z€ ⚙' --success", ">&- 2>&- <&-")
    assert done.returncode == FAILED
    assert "recorded" not in done.stderr
    verified = _ended(folder, "ledger list --state reported --json")
    assert json.loads(verified.stdout)["run_id"] == RUN_ID
