# SPDX-License-Identifier: Apache-2.0
"""Build the collector of `collector-config/builder-config.yaml` once, into a cache folder, and print the binary's path.

The cache is `otel-agent-outcomes/otelcol` below `$XDG_CACHE_HOME` (default `~/.cache`), one folder per manifest and Go
version. Several processes may ask at once: one builds, the others wait. Go's own settings (GOPROXY, GOSUMDB) apply.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
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
    from collections.abc import Iterator, Sequence

MANIFEST: Final = Path(__file__).parents[2] / "collector-config" / "builder-config.yaml"
BINARY_NAME: Final = "otelcol-agent-outcomes"
BUILDER_MODULE: Final = "go.opentelemetry.io/collector/cmd/builder"
BUILDER_VERSION: Final = "v0.155.0"
OLDEST_GO: Final = (1, 25)
COMMAND: Final = "python tests/tools/build_otelcol.py"
ANSWER_TIMEOUT_S: Final = 60
BUILD_TIMEOUT_S: Final = 45 * 60
KILL_TIMEOUT_S: Final = 10
LOG_TAIL_LINES: Final = 30
NO_GO_EXIT_CODE: Final = 3

EPILOG: Final = """\
environment:
  OTELCOL_BIN      a collector binary to use as it is: nothing is built
  XDG_CACHE_HOME   where the cache folder lies (default ~/.cache); deleting the folder frees the disk

exit codes: 0 path printed, 1 failed, 2 bad arguments, 3 no Go, or one too old

example:
  OTELCOL_BIN="$(python tests/tools/build_otelcol.py)"
  "$OTELCOL_BIN" --config collector-config/pipeline.yaml
"""


class CollectorBuildError(Exception):
    """No usable collector binary; the message says what to do."""


class GoMissingError(CollectorBuildError):
    """There is no Go, or one too old, and nothing in the cache."""


def find_binary() -> Path | None:
    """Return a binary that needs no build: the one `OTELCOL_BIN` names, else a cached one, else None.

    Raises CollectorBuildError if `OTELCOL_BIN` names something that does not run.
    """
    if given := os.environ.get("OTELCOL_BIN"):
        path = Path(given).absolute()
        if not _runs(path):
            message = f"OTELCOL_BIN={given} does not run: `{given} --version` must exit with 0"
            raise CollectorBuildError(message)
        return path
    go_version = _go_version()
    builds = [_target(go_version)] if go_version else sorted(_cache().glob(f"{_manifest_hash()}-*/{BINARY_NAME}"))
    return next((path for path in builds if _runs(path)), None)


def find_or_build() -> Path:
    """Return the binary's path, building it where there is none; blocks for minutes then.

    Raises GoMissingError where a build is needed and Go is missing or too old, CollectorBuildError where it fails.
    """
    if found := find_binary():
        return found
    go_version = _usable_go_version()
    _cache().mkdir(parents=True, exist_ok=True)
    with _only_one_builds():
        target = _target(go_version)
        if not _runs(target):
            _build(target)
    return target


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).absolute() / "otel-agent-outcomes" / "otelcol"


def _manifest_hash() -> str:
    return hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:16]


def _target(go_version: str) -> Path:
    return _cache() / f"{_manifest_hash()}-{go_version}" / BINARY_NAME


def _runs(binary: Path) -> bool:
    return _answer(str(binary), "--version") is not None


def _answer(*command: str) -> str | None:
    """Return what `command` prints, None where it cannot be started, fails or hangs."""
    # Not the caller's folder: a go.mod there may name a toolchain of its own.
    folder = tempfile.gettempdir()
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def _go_version() -> str | None:
    """Return Go's version and target as one word (`go1.26.8-linux-amd64`), None without Go."""
    words = (_answer("go", "env", "GOVERSION", "GOOS", "GOARCH") or "").split()
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)) or None


def _usable_go_version() -> str:
    go_version = _go_version()
    needed = ".".join(str(part) for part in OLDEST_GO)
    way_out = f"Install Go {needed} or later, or set OTELCOL_BIN to a collector binary; then: {COMMAND}"
    if go_version is None:
        message = f"Go is needed to build the collector, and there is no working `go` on PATH. {way_out}"
        raise GoMissingError(message)
    numbers = re.match(r"(?:devel-)?go(\d+)\.(\d+)", go_version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_GO:
        message = f"Go is too old to build the collector: {go_version}. {way_out}"
        raise GoMissingError(message)
    return go_version


@contextmanager
def _only_one_builds() -> Iterator[None]:
    with (_cache() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process builds the collector; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(target: Path) -> None:
    began_s = time.monotonic()
    # Beside the target, so that the last step is a rename within one file system: nobody sees half a binary.
    with tempfile.TemporaryDirectory(prefix="building-", dir=_cache()) as work:
        folder = Path(work)
        _run([str(_builder(folder)), "--config", str(MANIFEST)], folder, "collector")
        built = folder / BINARY_NAME / BINARY_NAME
        if not _runs(built):
            message = f"the build ended, but `{BINARY_NAME} --version` does not run"
            raise CollectorBuildError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        built.replace(target)
    size_mb = target.stat().st_size / 1e6
    _say(f"built the collector in {time.monotonic() - began_s:.0f} s, {size_mb:.0f} MB")


def _builder(folder: Path) -> Path:
    """Return the collector builder's path; `folder` takes its files while it is being installed."""
    builder = _cache() / f"builder-{BUILDER_VERSION}"
    if _answer(str(builder), "version") is None:
        _run(["go", "install", f"{BUILDER_MODULE}@{BUILDER_VERSION}"], folder, "builder")
        (folder / "bin" / "builder").replace(builder)
    return builder


def _run(command: Sequence[str], folder: Path, what: str) -> None:
    own = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -e=true", "GOWORK": "off", "GOBIN": str(folder / "bin")}
    log_path = folder / f"{what}.log"
    with log_path.open("wb") as log:
        # A session of its own, so that the compilers the builder starts can be ended with it.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | own,
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
        message = f"building the {what} failed ({' '.join(command)}: exit code {exit_code}):\n{tail}"
        raise CollectorBuildError(message)


def _wait(process: subprocess.Popen[bytes], what: str) -> int:
    """Wait for the exit code, showing the seconds on a terminal. Raises CollectorBuildError after 45 minutes."""
    on_terminal = sys.stderr.isatty()
    _say(f"building the {what}; the first time this takes minutes")
    for second in range(BUILD_TIMEOUT_S):
        try:
            exit_code = process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            if on_terminal:
                sys.stderr.write(f"\r  {second + 1} s")
                sys.stderr.flush()
            continue
        if on_terminal:
            sys.stderr.write("\r")
        return exit_code
    message = f"building the {what} did not end within {BUILD_TIMEOUT_S // 60} minutes"
    raise CollectorBuildError(message)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=KILL_TIMEOUT_S)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Print the binary's path. Exit codes: 0, 1 for a failure named on stderr, 3 where it is that Go is missing."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    # By default the signal ends Python at once, and the compilers would go on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        binary = find_or_build()
    except CollectorBuildError as error:
        _say(f"error: {error}")
        return NO_GO_EXIT_CODE if isinstance(error, GoMissingError) else 1
    print(binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
