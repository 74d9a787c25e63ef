# SPDX-License-Identifier: Apache-2.0
"""The README of the API: each of its lines is run against a gateway, and its tables are the code's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from agent_outcomes import report_outcome
from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.http_api.problems import STATUS_OF
from agent_outcomes.ledger.book.reports import RunReference
from tests.acceptances import pending
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

README: Final = Path("examples/gateway/README.md")
ADDRESS: Final = "http://127.0.0.1:8321"
BLOCK: Final = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)
REQUEST: Final = re.compile(r"curl [^\n]*?(?:-X (\w+) )?\"\$GATEWAY(/[^\"?]*)")


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(README.read_text(encoding="utf-8")) if found == language]


def test_every_line_does_what_it_says(kept: Store, tmp_path: Path) -> None:
    """In their order, as they stand; and then the one from Python."""
    bash = shutil.which("bash")
    assert bash is not None
    assert shutil.which("curl") is not None
    kept.accept([pending(1, run_id="lead-1"), pending(2, run_id="evt-1")])
    with api_of(kept) as url:
        script = "set -eu\n" + "\n".join(blocks("sh")).replace(ADDRESS, url)
        script = re.sub("since=[0-9]+d", "since=2020-01-01", script)
        done = subprocess.run(
            [bash, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (example,) = blocks("python")
        exec(compile(example.replace(ADDRESS, url), README.name, "exec"), {"report_outcome": report_outcome})  # noqa: S102
    history = kept.run(RunReference(run_id="ticket-4711"))
    changes = [row.change and row.change.value for row in history.revisions]
    assert changes == [None, "reported", "corrected", "retracted", "cost", "reported"]
    waiting = {row.reference for row in kept.held()}
    assert waiting == {"run_id:ticket-4712", "trace_id:0af7651916cd43dd8448eb211c80319c"}
    assert (tmp_path / "outcomes.csv").read_text().startswith("outcome_id,revision")
    assert (tmp_path / "outcomes.jsonl").read_text().count("\n") > len(changes)
    assert (tmp_path / "served-openapi.json").read_bytes() + b"\n" == Path("examples/gateway/openapi.json").read_bytes()


def test_there_is_a_line_for_each_request() -> None:
    """Of each path one at least, with each of its methods, but for those of the other systems' own clients."""
    shown = {(method or "GET", path) for block in blocks("sh") for method, path in REQUEST.findall(block)}
    left_out = {"reveniumAmendment", "reveniumClientOutcome", "reveniumClientAmendment", "agentLatticeReport"}
    for operation in OPERATIONS:
        if operation.name not in left_out:
            path = re.compile(re.sub(r"\\{\w+:key\\}", "[^/]+", re.escape(operation.path)))
            assert any(method == operation.method and path.fullmatch(called) for method, called in shown), (
                operation.name
            )


def test_the_table_has_every_code() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    told = {code: int(status) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert told == {str(code): status for code, status in STATUS_OF.items()}
