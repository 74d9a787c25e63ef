# SPDX-License-Identifier: Apache-2.0
"""However a process ends, and whenever it forks, what its runs amount to is in the ledger or is found in the spool."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.soak.issuing import writer_of
from tests.soak.judge import Stored
from tests.soak.processes import path

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0
# What each script begins with; `end` ends one more run.
HEAD = """
import atexit, os, sys, threading, time
from tests.soak.issuing import writer_of
from tests.soak.runs import acceptance
url = sys.argv[1]
def end(number):
    return writer.accept(acceptance(4, number))
"""


def run_script(url: str, script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HEAD + textwrap.dedent(script), url]
    environment = {**os.environ, "PYTHONPATH": path()}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/l.db"


ENDS = {
    "who does not wait for commits": (
        """
        writer = writer_of(url, sync=False)
        for number in range(30):
            end(number)
        """,
        range(30),
    ),
    "runs that end in exit functions, before and after the writer's own": (
        """
        atexit.register(lambda: end(1))
        writer = writer_of(url)
        atexit.register(lambda: end(2))
        end(0)
        """,
        range(3),
    ),
    "a run that a finalizer ends when the interpreter is being taken down": (
        """
        writer = writer_of(url)
        class Late:
            def __init__(self):
                self.end = end
            def __del__(self):
                self.end(1)
        late = Late()
        late.itself = late
        sys.modules["late"] = late
        end(0)
        """,
        range(2),
    ),
    "threads that go on while the interpreter ends": (
        """
        writer = writer_of(url)
        def work(first):
            for number in range(first, first + 5):
                end(number)
        for first in range(0, 20, 5):
            threading.Thread(target=work, args=(first,)).start()
        """,
        range(20),
    ),
    "an exception that nobody catches": (
        """
        writer = writer_of(url, sync=False)
        sys.excepthook = lambda *_: None
        atexit.register(lambda: os._exit(0))
        writer2 = writer
        atexit.register(writer.shutdown)
        end(0)
        raise RuntimeError
        """,
        range(1),
    ),
    "os._exit right after the commit": (
        """
        writer = writer_of(url)
        end(0)
        assert writer.flush(30.0)
        os._exit(0)
        """,
        range(1),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end(url: str, name: str) -> None:
    """All of its runs are there."""
    script, numbers = ENDS[name]
    done = run_script(url, script)
    assert Stored(url, 4).numbers == set(numbers), done.stderr


LOCKED = """
        import sqlite3
        writer = writer_of(url)
        end(0)
        assert writer.flush(30.0)
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
"""
# Ends of a process whose database is away.
AWAY = {
    "in good order": LOCKED + "        end(1)\n",
    "by a signal that flushes": LOCKED + "        end(1)\n        writer.flush(0.1)\n        os._exit(0)\n",
    "of a pool's worker": """
        import multiprocessing, sqlite3
        def work(number):
            return end(number)
        writer = writer_of(url)
        end(0)
        assert writer.flush(30.0)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            assert pool.map(work, [1]) == [False]
            pool.close()
            pool.join()
        other.execute("ROLLBACK")
        """,
}


@pytest.mark.parametrize("name", AWAY)
def test_an_end_while_the_database_is_away(url: str, name: str) -> None:
    """What had to wait is in a spool file, and in the ledger as soon as anybody opens it."""
    run_script(url, AWAY[name])
    writer = writer_of(url)
    until(lambda: Stored(url, 4).numbers == {0, 1})
    assert writer.shutdown()


def test_forks_while_the_ledger_is_being_opened(tmp_path: Path) -> None:
    """Neither modules half imported nor locks half taken are left to the children."""
    for attempt in range(4):
        url = f"sqlite:///{tmp_path}/{attempt}.db"
        run_script(
            url,
            f"""
            writer = writer_of(url)
            time.sleep({attempt} * 0.05)
            children = []
            for child in range(4):
                pid = os.fork()
                if pid == 0:
                    [end(10 * child + number) for number in range(3)]
                    os._exit(not writer.flush(30.0))
                children.append(pid)
            sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))
            """,
        )
        assert len(Stored(url, 4).numbers) == 12


def test_a_stuck_database_does_not_keep_the_process(url: str) -> None:
    """It ends in seconds all the same, and nothing is lost."""
    run_script(url, "writer = writer_of(url)\nend(0)\nassert writer.flush(30.0)\n")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        run_script(url, "writer = writer_of(url)\nend(1)\nend(2)\n")
        assert time.monotonic() - began_s < 20.0
        other.execute("ROLLBACK")
    writer = writer_of(url)
    until(lambda: Stored(url, 4).numbers == {0, 1, 2})
    assert writer.shutdown()
