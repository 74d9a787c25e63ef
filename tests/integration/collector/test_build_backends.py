# SPDX-License-Identifier: Apache-2.0
"""The tool that builds the backends is careful: one builds, nobody sees half a build, and errors say what to do."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.integration.otelcol import ROOT
from tests.tools.build_backends import BACKENDS, PINS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends

TOOL = [sys.executable, "-m", "tests.tools.build_backends"]
TOOL_TIMEOUT_S = 60
EXECUTABLE = 0o700

# Stands in for Go; the build ends only after another process has said that it waits, so that the two really meet.
FAKE_GO = """\
#!/bin/sh
case "$1" in
env) printf '%s\\nlinux\\namd64\\n' "$FAKE_GO_VERSION"; exit 0 ;;
esac
echo built >> "$FAKE_COUNT"
[ -n "$FAKE_BROKEN" ] && { echo "no such module: boom"; exit 1; }
if [ -n "$FAKE_PARTNERS" ]; then
  tries=0
  until grep -q waiting "$FAKE_PARTNERS"/*.err; do
    tries=$((tries + 1)); [ $tries -gt 500 ] && exit 8
    sleep 0.02
  done
fi
while [ "$1" != -o ]; do shift; done
echo changed >> go.mod
printf '#!/bin/sh\\nexit 0\\n' > "$2"
chmod +x "$2"
"""


@pytest.fixture
def tool_env(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache and a stand-in for `go`, to see what the tool does around it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").write_text(FAKE_GO)
    (programs / "go").chmod(EXECUTABLE)
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "FAKE_GO_VERSION": "go1.26.0",
        "FAKE_COUNT": str(tmp_path / "count"),
    }


def _run_tool(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TOOL, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False
    )


def test_builds_once_for_all_who_ask(tool_env: dict[str, str], tmp_path: Path) -> None:
    """Three at once: one builds, all print the same path, no scrap stays, no pin changes; later, no Go is needed."""
    pins = {path: path.read_bytes() for path in PINS.rglob("*") if path.is_file()}
    env = tool_env | {"FAKE_PARTNERS": str(tmp_path)}
    with ExitStack() as stack:
        logs = [stack.enter_context((tmp_path / f"{number}.err").open("w")) for number in range(3)]
        running = [
            subprocess.Popen([*TOOL, "loki"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
            for log in logs
        ]
        printed = {process.communicate(timeout=TOOL_TIMEOUT_S)[0] for process in running}
    (path,) = printed
    assert (tmp_path / "count").read_text() == "built\n"
    assert not list((tmp_path / "cache").rglob("building-*"))
    assert {path: path.read_bytes() for path in PINS.rglob("*") if path.is_file()} == pins
    assert _run_tool(env | {"PATH": "/nonexistent"}, "loki").stdout == path


def test_prints_a_path_for_each_name_in_order(tool_env: dict[str, str]) -> None:
    """One line for each name, in the order asked; what shares a module is built apart."""
    done = _run_tool(tool_env, "promtool", "prometheus")
    assert done.returncode == 0, done.stderr
    assert [line.rpartition("/")[2] for line in done.stdout.split()] == ["promtool", "prometheus"]


@pytest.mark.parametrize(
    ("change", "exit_code", "said"),
    [
        ({"PATH": "/nonexistent"}, 3, "Set JAEGER_BIN, or: python -m tests.tools.build_backends jaeger"),
        ({"FAKE_GO_VERSION": "go1.25.9"}, 3, "go1.25.9"),
        ({"FAKE_BROKEN": "yes"}, 1, "no such module: boom"),
        ({"JAEGER_BIN": "/nonexistent/jaeger"}, 1, "JAEGER_BIN=/nonexistent/jaeger does not work"),
    ],
    ids=["no-go", "old-go", "failed-build", "wrong-jaeger-bin"],
)
def test_says_what_is_wrong(tool_env: dict[str, str], change: dict[str, str], exit_code: int, said: str) -> None:
    """Each failure has its exit code and reason, a missing Go the way out; nothing is cached."""
    done = _run_tool(tool_env | change, "jaeger")
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    found = _run_tool(tool_env | {"PATH": "/nonexistent"}, "jaeger")
    assert found.returncode == 3


def test_kafka_without_maven(tool_env: dict[str, str]) -> None:
    """Where Maven is missing, the message names it and the variable that does without."""
    done = _run_tool(tool_env | {"PATH": "/nonexistent"}, "kafka")
    assert done.returncode == 3
    assert "Maven" in done.stderr
    assert "KAFKA_LIB" in done.stderr


def test_takes_a_given_binary_first(tool_env: dict[str, str], tmp_path: Path) -> None:
    """A given binary is printed as it is, and nothing is built."""
    done = _run_tool(tool_env | {"LOKI_BIN": "/bin/true"}, "loki")
    assert (done.returncode, done.stdout) == (0, "/bin/true\n")
    assert not (tmp_path / "count").exists()


def test_refuses_an_unknown_name(tool_env: dict[str, str]) -> None:
    """A misspelled name is an error of the command line."""
    done = _run_tool(tool_env, "grafana")
    assert done.returncode == 2
    assert "no such backend: grafana" in done.stderr


def test_help_names_every_backend_and_variable(tool_env: dict[str, str]) -> None:
    """`--help` names them all, and has an example."""
    done = _run_tool(tool_env, "--help")
    assert done.returncode == 0
    for backend in BACKENDS.values():
        assert backend.name in done.stdout
        assert backend.variable in done.stdout
    assert "python -m tests.tools.build_backends prometheus promtool" in done.stdout
