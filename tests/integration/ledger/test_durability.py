# SPDX-License-Identifier: Apache-2.0
"""The proofs of `tests.soak` in short: real processes, real databases, SIGKILL, full and failing disks, outages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.soak import disk, fsyncs, kills, outage, workers
from tests.soak.fsyncs import Trace
from tests.soak.judge import judge
from tests.soak.proof import Proof

if TYPE_CHECKING:
    from tests.postgresql import PostgresqlServer

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork and no signals to speak of"),
]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the spool of a ledger on a server is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def kept(proof: Proof) -> None:
    told = "\n".join(proof.lines())
    print(told)
    assert proof.is_kept, told


def needed(tool: str) -> None:
    """CI has every tool; elsewhere one may be missing."""
    if shutil.which(tool) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{tool} is not installed")
        pytest.skip(f"{tool} is not installed (Debian: apt-get install {tool})")


def test_kills(ledger_url: str) -> None:
    """Whatever was acknowledged is there, once and right, and the ledger opens again at once."""
    kept(kills.prove(ledger_url, kills=10, outcomes=600, seed=5))


def test_fsync_before_each_acknowledgement(tmp_path: Path) -> None:
    """As the kernel sees it."""
    needed("strace")
    kept(fsyncs.prove(f"sqlite:///{tmp_path}/l.db", tmp_path, outcomes=60, seed=5))


def test_an_acknowledgement_without_an_fsync_is_seen() -> None:
    """The proof could fail: one sync began before the run was given, one failed, one is of another file."""
    lines = [
        "7 10.0 fdatasync(5</x/l.db-wal>) = 0 <0.300000>",
        r'8 10.1 write(1<pipe:[1]>, "b 4\n", 4) = 4 <0.000010>',
        "9 10.2 fdatasync(6</x/other>) = 0 <0.010000>",
        "9 10.3 fdatasync(5</x/l.db-wal>) = -1 EIO (Input/output error) <0.010000>",
        r'8 10.5 write(1<pipe:[1]>, "a 4\n", 4) = 4 <0.000010>',
        r'8 11.0 write(1<pipe:[1]>, "b 5\n", 4) = 4 <0.000010>',
        "9 11.1 fdatasync(5</x/l.db-wal> <unfinished ...>",
        "9 11.3 <... fdatasync resumed>) = 0 <0.200000>",
        r'8 11.4 write(1<pipe:[1]>, "a 5\n", 4) = 4 <0.000010>',
    ]
    assert Trace(lines, log="l.db-wal").unsynced() == [4]


def test_what_is_lost_or_wrong_is_seen(tmp_path: Path) -> None:
    """The judge could find fault: with a run that is not there, and one that is another's."""
    url = f"sqlite:///{tmp_path}/l.db"
    kept(kills.prove(url, kills=1, outcomes=20, seed=5))
    lost, wrong = Proof("lost"), Proof("wrong")
    judge(lost, url, 5, issued=range(21), acknowledged=[20])
    judge(wrong, url, 6, issued=range(20), acknowledged=range(20))
    assert {figure.name for figure in lost.figures if not figure.is_kept} == {"acknowledged and lost"}
    assert {"wrong", "totals that differ"} <= {figure.name for figure in wrong.figures if not figure.is_kept}


def test_a_full_disk(tmp_path: Path) -> None:
    """Nothing is acknowledged that is not there; when there is room again it goes on."""
    needed("unshare")
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("only root may mount a small file system")
    kept(disk.prove_full_apart(tmp_path, cycles=2, seed=5))


def test_a_failing_disk(tmp_path: Path) -> None:
    """Every third write and sync fails, then every eleventh."""
    needed("strace")
    kept(disk.prove_errors(f"sqlite:///{tmp_path}/l.db", tmp_path, every=(3, 11), seed=5))


@pytest.mark.parametrize("name", workers.SERVERS)
def test_workers(name: str, tmp_path: Path) -> None:
    """Everything that workers of forking servers end is there once."""
    kept(workers.prove(name, f"sqlite:///{tmp_path}/l.db", tmp_path, outcomes=120, chunk=10))


def test_workers_share_a_server(postgresql: str, tmp_path: Path) -> None:
    """The same on PostgreSQL."""
    kept(workers.prove("gunicorn", postgresql, tmp_path, outcomes=200, chunk=5))


def test_outage(postgresql_server: PostgresqlServer) -> None:
    """Runs that end while PostgreSQL is stopped or hangs wait for it once, and none is lost."""
    kept(outage.prove(postgresql_server, down_s=4.0, seed=5, p99_max_ms=50.0))


def test_help() -> None:
    """It shows examples and exit codes; a name that is not known is a mistake on the command line."""
    command = [sys.executable, "-m", "tests.soak"]
    help_ = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert "examples:" in help_.stdout
    assert "exit codes:" in help_.stdout
    unknown = subprocess.run([*command, "tornado"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert unknown.returncode == 2
