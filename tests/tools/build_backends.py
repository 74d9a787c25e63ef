# SPDX-License-Identifier: Apache-2.0
"""Build the backends that the tests and `make stack` start, once, into a cache folder, and print their paths.

Each backend is one Go module of `tests/tools/backends`, pinned by its go.sum (Kafka: Maven's pom.xml). The cache is
`otel-agent-outcomes/backends` below `$XDG_CACHE_HOME` (default `~/.cache`), one folder per backend, pins and Go
version. Several processes may ask at once: one builds, the others wait. Go's own GOPROXY applies.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
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

PINS: Final = Path(__file__).parent / "backends"
OLDEST_GO: Final = (1, 26)
COMMAND: Final = "python -m tests.tools.build_backends"
TOOL_MISSING_EXIT_CODE: Final = 3
# A few versions are missing from the checksum database; go.sum pins every one of them all the same.
GO_ENV: Final = {"CGO_ENABLED": "0", "GOSUMDB": "off", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}

EPILOG: Final = f"""\
environment:
  PROMETHEUS_BIN, PROMTOOL_BIN, VICTORIA_METRICS_BIN, JAEGER_BIN, LOKI_BIN   a binary to use as it is: nothing is built
  KAFKA_LIB        a folder with Kafka's jars to use as it is
  XDG_CACHE_HOME   where the cache folder lies (default ~/.cache); deleting the folder frees the disk

Cold, on two cores: Prometheus 2 min, promtool 1 min, VictoriaMetrics 20 s, Jaeger 4 min, Loki 5 min, Kafka 20 s.

exit codes: 0 paths printed, one a line in the order asked, 1 failed, 2 bad arguments, 3 no Go or Maven, or too old a Go

example:
  {COMMAND} prometheus promtool
"""


@dataclass(frozen=True, slots=True)
class GoBackend:
    """A binary built from a Go module of its own; `version` is the argument that makes it say its version and end."""

    name: str
    module: str
    package: str
    variable: str
    version: str = "--version"
    tags: str = ""

    def usable(self, path: Path) -> bool:
        """Whether the binary at `path` runs."""
        return answer(str(path), self.version) is not None

    def key(self) -> str:
        """Return what a cached build depends on, Go's version apart."""
        return _digest(self.module, self.package, self.tags)

    def build(self, folder: Path) -> Path:
        """Build in `folder`, which holds a copy of the module's pins, and return the binary's path."""
        flags = ["-mod=mod", "-trimpath", "-ldflags=-s -w", *([f"-tags={self.tags}"] if self.tags else [])]
        run_build(["go", "build", *flags, "-o", self.name, self.package], folder, self.name, GO_ENV)
        return folder / self.name


@dataclass(frozen=True, slots=True)
class JarBackend:
    """A folder of jars that Maven fetches; `jar` must be among them."""

    name: str
    module: str
    jar: str
    variable: str

    def usable(self, path: Path) -> bool:
        """Whether the folder holds the jar."""
        return (path / self.jar).is_file()

    def key(self) -> str:
        """Return what a cached folder depends on."""
        return _digest(self.module)

    def build(self, folder: Path) -> Path:
        """Fetch in `folder`, which holds a copy of the pom.xml, and return the path of the jars' folder."""
        output = folder / self.name
        run_build(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={output}"], folder, self.name, {}
        )
        return output


Backend = GoBackend | JarBackend

BACKENDS: Final[dict[str, Backend]] = {
    backend.name: backend
    for backend in (
        GoBackend(
            "prometheus",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/prometheus",
            "PROMETHEUS_BIN",
            tags="remove_all_sd",
        ),
        GoBackend(
            "promtool",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/promtool",
            "PROMTOOL_BIN",
            tags="remove_all_sd",
        ),
        GoBackend(
            "victoria-metrics",
            "victoriametrics",
            "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics",
            "VICTORIA_METRICS_BIN",
        ),
        GoBackend("jaeger", "jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger", "JAEGER_BIN", version="version"),
        GoBackend("loki", "loki", "github.com/grafana/loki/v3/cmd/loki", "LOKI_BIN"),
        JarBackend("kafka", "kafka", "kafka_2.13-4.0.0.jar", "KAFKA_LIB"),
    )
}


def find(name: str) -> Path | None:
    """Return a build of the backend `name` that is there: the one its variable names, else a cached one, else None.

    Raises BuildError if the variable names something that does not run.
    """
    backend = BACKENDS[name]
    if given := os.environ.get(backend.variable):
        path = Path(given).absolute()
        if not backend.usable(path):
            message = f"{backend.variable}={given} does not work as {name}"
            raise BuildError(message)
        return path
    version = go_version() if isinstance(backend, GoBackend) else None
    if isinstance(backend, GoBackend) and version is None:
        # Without Go any build of the same pins will do.
        builds = sorted(cache_folder("backends").glob(f"{name}-{backend.key()}-*/{name}"))
    else:
        builds = [_target(backend, version)]
    return next((path for path in builds if backend.usable(path)), None)


def find_or_build(name: str) -> Path:
    """Return the path of the backend `name`, building it where there is none; blocks for minutes then.

    Raises ToolMissingError where a build is needed and Go or Maven is missing, BuildError where it fails.
    """
    if found := find(name):
        return found
    backend = BACKENDS[name]
    way_out = f"Set {backend.variable}, or: {COMMAND} {name}"
    version = None
    if isinstance(backend, GoBackend):
        version = usable_go_version(OLDEST_GO, name, f"Install Go {'.'.join(map(str, OLDEST_GO))} or later. {way_out}")
    elif shutil.which("mvn") is None:
        message = f"Maven is needed to fetch {name}, and there is no `mvn` on PATH. Install it. {way_out}"
        raise ToolMissingError(message)
    target = _target(backend, version)
    with only_one_builds(cache_folder("backends"), "a backend"):
        if not backend.usable(target):
            _build(backend, target)
    return target


def _target(backend: Backend, version: str | None) -> Path:
    folder = "-".join(part for part in (backend.name, backend.key(), version) if part)
    return cache_folder("backends") / folder / backend.name


def _digest(module: str, *words: str) -> str:
    pins = b"".join(path.read_bytes() for path in sorted((PINS / module).iterdir()))
    return hashlib.sha256(pins + "\n".join(words).encode()).hexdigest()[:16]


def _build(backend: Backend, target: Path) -> None:
    began_s = time.monotonic()
    # Beside the target, so that the last step is a rename within one file system: nobody sees half a build.
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache_folder("backends")) as work:
        # A copy, since `-mod=mod` may write to go.mod.
        folder = Path(shutil.copytree(PINS / backend.module, Path(work) / "module"))
        built = backend.build(folder)
        if not backend.usable(built):
            message = f"the build of {backend.name} ended, but what it made does not work"
            raise BuildError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        built.replace(target)
    say(f"built {backend.name} in {time.monotonic() - began_s:.0f} s")


def main() -> int:
    """Print the paths. Exit codes: 0, 1 for a failure named on stderr, 3 where it is that Go or Maven is missing."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=(__doc__ or "").partition("\n")[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BACKENDS)}; all of them by default")
    names = parser.parse_args().names or list(BACKENDS)
    if unknown := [name for name in names if name not in BACKENDS]:
        parser.error(f"no such backend: {', '.join(unknown)}")
    end_on_sigterm()
    try:
        for name in names:
            print(find_or_build(name), flush=True)
    except BuildError as error:
        say(f"error: {error}")
        return TOOL_MISSING_EXIT_CODE if isinstance(error, ToolMissingError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
