# SPDX-License-Identifier: Apache-2.0
"""What the build tools share: a cache outside the tree, one builder at a time, builds that can be watched and ended."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ANSWER_TIMEOUT_S: Final = 60
BUILD_TIMEOUT_S: Final = 45 * 60
KILL_TIMEOUT_S: Final = 10
LOG_TAIL_LINES: Final = 30


class BuildError(Exception):
    """Nothing usable came of it; the message says what to do."""


class ToolMissingError(BuildError):
    """What builds is missing or too old, and nothing is in the cache."""


def cache_folder(name: str) -> Path:
    """Return the cache folder `name`, below `$XDG_CACHE_HOME` or `~/.cache`; never raises, makes nothing."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).absolute() / "otel-agent-outcomes" / name


def answer(*command: str) -> str | None:
    """Return what `command` prints, None where it cannot be started, fails or hangs; never raises."""
    # Not the caller's folder: a go.mod there may name a toolchain of its own.
    folder = tempfile.gettempdir()
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def go_version() -> str | None:
    """Return Go's version and target as one word (`go1.26.8-linux-amd64`), None without Go."""
    words = (answer("go", "env", "GOVERSION", "GOOS", "GOARCH") or "").split()
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)) or None


def usable_go_version(oldest: tuple[int, int], what: str, way_out: str) -> str:
    """Return `go_version()`, raising ToolMissingError, which names `what` and `way_out`, where it is below `oldest`."""
    version = go_version()
    if version is None:
        message = f"Go is needed to build {what}, and there is no working `go` on PATH. {way_out}"
        raise ToolMissingError(message)
    numbers = re.match(r"(?:devel-)?go(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < oldest:
        message = f"Go is too old to build {what}: {version}. {way_out}"
        raise ToolMissingError(message)
    return version


@contextmanager
def only_one_builds(folder: Path, what: str) -> Iterator[None]:
    """Hold the build lock of a cache folder, waiting for another process that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process builds {what}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_build(command: Sequence[str], folder: Path, what: str, env: Mapping[str, str]) -> None:
    """Run one build step in `folder`, its log kept out of sight. Raises BuildError with the log's end if it fails."""
    log_path = folder / f"{what.replace(' ', '-')}.log"
    with log_path.open("wb") as log:
        # A session of its own, so that the compilers the builder starts can be ended with it.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            exit_code = _wait(process, what)
        finally:
            _end(process)
    if exit_code != 0:
        tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        message = f"building {what} failed ({' '.join(command)}: exit code {exit_code}):\n{tail}"
        raise BuildError(message)


def _wait(process: subprocess.Popen[bytes], what: str) -> int:
    """Wait for the exit code, showing the seconds on a terminal. Raises BuildError after 45 minutes."""
    on_terminal = sys.stderr.isatty()
    say(f"building {what}; the first time this takes minutes")
    began_s = time.monotonic()
    while (seconds := int(time.monotonic() - began_s)) < BUILD_TIMEOUT_S:
        try:
            exit_code = process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            if on_terminal:
                sys.stderr.write(f"\r  {seconds + 1} s")
                sys.stderr.flush()
            continue
        if on_terminal:
            sys.stderr.write("\r")
        return exit_code
    message = f"building {what} did not end within {BUILD_TIMEOUT_S // 60} minutes"
    raise BuildError(message)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=KILL_TIMEOUT_S)


def say(text: str) -> None:
    """Print one line for the person, apart from what the tool answers."""
    print(text, file=sys.stderr, flush=True)


def end_on_sigterm() -> None:
    """Let SIGTERM unwind Python, since by default it would end at once and the compilers would go on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
