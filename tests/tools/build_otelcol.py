# SPDX-License-Identifier: Apache-2.0
"""Build the collector of `collector-config/builder-config.yaml` once, into a cache folder, and print the binary's path.

The cache is `otel-agent-outcomes/otelcol` below `$XDG_CACHE_HOME` (default `~/.cache`), one folder per manifest and Go
version. Several processes may ask at once: one builds, the others wait. Go's own settings (GOPROXY, GOSUMDB) apply.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.tools.cached_build import (
    BuildError,
    ToolMissingError,
    answer,
    cache_folder,
    end_on_sigterm,
    go_version,
    only_one_builds,
    run_build,
    say,
    usable_go_version,
)

MANIFEST: Final = Path(__file__).parents[2] / "collector-config" / "builder-config.yaml"
BINARY_NAME: Final = "otelcol-agent-outcomes"
BUILDER_MODULE: Final = "go.opentelemetry.io/collector/cmd/builder"
BUILDER_VERSION: Final = "v0.155.0"
OLDEST_GO: Final = (1, 25)
COMMAND: Final = "python -m tests.tools.build_otelcol"
NO_GO_EXIT_CODE: Final = 3

EPILOG: Final = f"""\
environment:
  OTELCOL_BIN      a collector binary to use as it is: nothing is built
  XDG_CACHE_HOME   where the cache folder lies (default ~/.cache); deleting the folder frees the disk

exit codes: 0 path printed, 1 failed, 2 bad arguments, 3 no Go, or one too old

example:
  OTELCOL_BIN="$({COMMAND})"
  "$OTELCOL_BIN" --config collector-config/pipeline.yaml
"""


def find_binary() -> Path | None:
    """Return a binary that needs no build: the one `OTELCOL_BIN` names, else a cached one, else None.

    Raises BuildError if `OTELCOL_BIN` names something that does not run.
    """
    if given := os.environ.get("OTELCOL_BIN"):
        path = Path(given).absolute()
        if not _runs(path):
            message = f"OTELCOL_BIN={given} does not run: `{given} --version` must exit with 0"
            raise BuildError(message)
        return path
    version = go_version()
    # Without Go any build of the same manifest will do.
    builds = [_target(version)] if version else sorted(_cache().glob(f"{_manifest_hash()}-*/{BINARY_NAME}"))
    return next((path for path in builds if _runs(path)), None)


def find_or_build() -> Path:
    """Return the binary's path, building it where there is none; blocks for minutes then.

    Raises ToolMissingError where a build is needed and Go is missing or too old, BuildError where it fails.
    """
    if found := find_binary():
        return found
    needed = ".".join(map(str, OLDEST_GO))
    way_out = f"Install Go {needed} or later, or set OTELCOL_BIN to a collector binary; then: {COMMAND}"
    target = _target(usable_go_version(OLDEST_GO, "the collector", way_out))
    with only_one_builds(_cache(), "the collector"):
        if not _runs(target):
            _build(target)
    return target


def _cache() -> Path:
    return cache_folder("otelcol")


def _manifest_hash() -> str:
    return hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:16]


def _target(version: str) -> Path:
    return _cache() / f"{_manifest_hash()}-{version}" / BINARY_NAME


def _runs(binary: Path) -> bool:
    return answer(str(binary), "--version") is not None


def _build(target: Path) -> None:
    began_s = time.monotonic()
    # Beside the target, so that the last step is a rename within one file system: nobody sees half a binary.
    with tempfile.TemporaryDirectory(prefix="building-", dir=_cache()) as work:
        folder = Path(work)
        _run([str(_builder(folder)), "--config", str(MANIFEST)], folder, "the collector")
        built = folder / BINARY_NAME / BINARY_NAME
        if not _runs(built):
            message = f"the build ended, but `{BINARY_NAME} --version` does not run"
            raise BuildError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        built.replace(target)
    size_mb = target.stat().st_size / 1e6
    say(f"built the collector in {time.monotonic() - began_s:.0f} s, {size_mb:.0f} MB")


def _builder(folder: Path) -> Path:
    """Return the collector builder's path; `folder` takes its files while it is being installed."""
    builder = _cache() / f"builder-{BUILDER_VERSION}"
    if answer(str(builder), "version") is None:
        _run(["go", "install", f"{BUILDER_MODULE}@{BUILDER_VERSION}"], folder, "the builder")
        (folder / "bin" / "builder").replace(builder)
    return builder


def _run(command: list[str], folder: Path, what: str) -> None:
    own = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -e=true", "GOWORK": "off", "GOBIN": str(folder / "bin")}
    run_build(command, folder, what, own)


def main() -> int:
    """Print the binary's path. Exit codes: 0, 1 for a failure named on stderr, 3 where it is that Go is missing."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=(__doc__ or "").partition("\n")[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    end_on_sigterm()
    try:
        binary = find_or_build()
    except BuildError as error:
        say(f"error: {error}")
        return NO_GO_EXIT_CODE if isinstance(error, ToolMissingError) else 1
    print(binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
