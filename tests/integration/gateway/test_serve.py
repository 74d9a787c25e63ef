# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes serve` as a process: its start, its refusals, its health, its metrics, its end, and a kill."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent_outcomes._version import __version__
from agent_outcomes.doctor.findings import EXIT_CODES, Layer
from agent_outcomes.gateway_command.parser import RIGHTS
from agent_outcomes.ledger.keys import Right
from tests.integration.backends import wait_until
from tests.integration.gateway.agent_traces import issued_requests, post
from tests.integration.gateway.served import ENDED_IN_S, Served, environment
from tests.integration.ledger.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends

FREE: Final = ("--otlp-grpc=127.0.0.1:0", "--otlp-http=127.0.0.1:0", "--listen=127.0.0.1:0")


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "agent_outcomes", *arguments],
        capture_output=True,
        text=True,
        timeout=ENDED_IN_S,
        check=False,
        env=environment(**variables),
    )


def test_it_says_where_it_listens_and_ends_when_told(tmp_path: Path) -> None:
    """The first lines name all doors and the ledger; healthy, ready; SIGTERM ends it with 0; only JSON was logged."""
    with Served(tmp_path) as gateway:
        assert gateway.first_lines[0] == f"agent-outcomes {__version__} serves\n"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", gateway.url)
        assert gateway.ledger == f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
        assert gateway.ask("/healthz").body == {"status": "live", "version": __version__}
        ready = gateway.ask("/readyz")
        assert (ready.status, ready.body["status"], ready.body["reasons"]) == (200, "ready", [])
        assert gateway.stop() == 0
        assert {line["level"] for line in gateway.log()} <= {"info"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_it(tmp_path: Path, how: signal.Signals) -> None:
    """As a supervisor ends it, and as Ctrl-C does."""
    with Served(tmp_path) as gateway:
        assert gateway.stop(how) == 0


def test_its_own_metrics_are_prometheus_text(tmp_path: Path) -> None:
    """Every line is a type or a sample, and each part is there."""
    with Served(tmp_path) as gateway:
        answer = gateway.ask("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        sample = re.compile(r'agent_outcomes_gateway_\w+(\{\w+="[^"]*"\})? [0-9.e+-]+')
        lines = answer.body.splitlines()
        assert [line for line in lines if not line.startswith("# TYPE ") and not sample.fullmatch(line)] == []
        named = set(
            re.findall(r"agent_outcomes_gateway_(intake|assembly|signals|receiver|listen|otlp_http)_", answer.body)
        )
        assert named == {"intake", "assembly", "signals", "receiver", "listen", "otlp_http"}


def test_without_keys_only_loopback_is_served(tmp_path: Path) -> None:
    """An address that others reach is refused, and how to make a key is said; with one it is served to who has it."""
    state = f"--state-folder={tmp_path / 'state'}"
    refused = command("serve", state, "--otlp-grpc=none", "--otlp-http=none", "--listen=0.0.0.0:0")
    assert (refused.returncode, refused.stdout) == (12, "")
    assert "--listen 0.0.0.0:0" in refused.stderr
    assert "agent-outcomes keys create" in refused.stderr
    ledger = f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    made = command("keys", "create", "--ledger", ledger, "--name", "reader", "--may", "read")
    assert made.returncode == 0
    (key,) = made.stdout.split()
    with Served(tmp_path, "--listen=0.0.0.0:0") as gateway:
        assert gateway.ask("/healthz").status == 200
        assert gateway.ask("/v1/runs").status == 401
        assert gateway.ask("/metrics").status == 401
        assert gateway.ask("/v1/runs", headers={"authorization": f"Bearer {key}"}).status == 200
        assert gateway.ask("/v1/runs", headers={"x-api-key": f"{key}x"}).status == 401
        assert gateway.stop() == 0
        assert key not in gateway.log_path.read_text()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("--listen", "8321"), 2, "--listen=8321 is not usable; give HOST:PORT"),
        (("--ledger", "mysql://user:hunter2@x/y"), 2, "--ledger: ledger is not usable"),
        (("--verdict", "relevance"), 2, "--verdict=relevance is not usable"),
        (("--verdict", "relevance=often"), 2, "relevance"),
        (("--ledger", "sqlite:////nowhere/at/all/x.db"), 10, "its folder /nowhere/at/all is missing"),
        (("--state-folder", "/proc/x"), 10, "--state-folder"),
        (
            ("--deliver-to", "http://127.0.0.1:8321", "--listen", "127.0.0.1:8321"),
            2,
            "is where this gateway itself listens",
        ),
    ],
)
def test_what_it_cannot_start_with_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    """The option and the fix, without a traceback and without a secret."""
    own = [] if "--state-folder" in arguments else ["--state-folder", str(tmp_path)]
    free = [option for option in FREE if option.partition("=")[0] not in arguments]
    done = command("serve", *own, *free, *arguments)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    """Whichever door it is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--otlp-http", "--listen", "--otlp-grpc"):
            free = [other for other in FREE if not other.startswith(option)]
            done = command("serve", "--state-folder", str(tmp_path), *free, option, place)
            assert (done.returncode, done.stdout) == (11, "")
            assert f"{option} {place} cannot be listened on" in done.stderr
            assert len(done.stderr.splitlines()) == 1


def test_two_gateways_do_not_share_a_state_folder(tmp_path: Path) -> None:
    """The second one says so and leaves the first alone."""
    with Served(tmp_path) as gateway:
        done = command("serve", "--state-folder", str(tmp_path / "state"), *FREE)
        assert done.returncode == 10
        assert str(tmp_path / "state") in done.stderr
        assert gateway.ask("/healthz").status == 200


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Also while it waits for a request that does not come to its end."""
    with (
        Served(tmp_path) as gateway,
        socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as held,
    ):
        held.sendall(b"POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        held.sendall(b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert held.recv(100).startswith(b"HTTP/1.1 100")
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: _is_refused(gateway.url), timeout_s=10)
        assert gateway.stop() == 130


def _is_refused(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_comes_is_passed_on_unchanged_and_kept_as_well(tmp_path: Path) -> None:
    """To the endpoint of `--forward-to`, however it came; its own metrics count it."""
    (issued,) = issued_requests(3, 3, seed=11)
    with Receiver() as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        with Served(tmp_path, f"--forward-to={url}", "--settle-after=0.2") as gateway:
            assert post(gateway.otlp_http, "traces", gzip.compress(issued.body), {"content-encoding": "gzip"}) == 200
            gateway.wait_for(lambda: receiver.seen.traces)
            gateway.wait_for(lambda: len(gateway.runs()) == 3)
            assert "agent_outcomes_gateway_forward_forwarded_total 1\n" in gateway.ask("/metrics").body
            assert gateway.stop() == 0
        assert receiver.seen.traces == [ExportTraceServiceRequest.FromString(issued.body)]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_doctor_finds_a_gateway_well(tmp_path: Path, protocol: str) -> None:
    """As a receiver of all three signals and as the gateway that reports go to; a key that it does not know is said."""
    ledger = f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    with Served(tmp_path) as gateway:
        endpoint = gateway.otlp_grpc if protocol == "grpc" else gateway.otlp_http
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "AGENT_OUTCOMES_GATEWAY": gateway.url,
        }
        well = command("doctor", **variables)
        assert (well.returncode, "No broken layer found." in well.stdout) == (0, True), well.stdout
        assert f"version {__version__}, ready, no key is needed from here" in well.stdout
        assert command("keys", "create", "--ledger", ledger, "--name", "x", "--may", "ingest").returncode == 0
        gateway.wait_for(lambda: gateway.ask("/v1/runs").status == 401)
        refused = command("doctor", **variables, AGENT_OUTCOMES_GATEWAY_KEY="aok_hunter2")
        assert refused.returncode == EXIT_CODES[Layer.GATEWAY]
        assert "it does not know our key" in refused.stdout
        assert "hunter2" not in refused.stdout


def test_the_command_line_knows_the_ledger_s_rights() -> None:
    """Named once more there, so that `--help` needs no database."""
    assert set(RIGHTS) == {right.value for right in Right}


def test_help_needs_no_extra_and_names_every_option() -> None:
    """Nothing of a gateway is imported for it."""
    program = (
        "import sys\nfrom agent_outcomes.cli import main\n"
        "try:\n    main(['serve', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'starlette', 'uvicorn', 'sqlalchemy', 'msgspec', 'isal'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("\n[]\n")
    assert "--journal-max MIB" in done.stdout


def test_without_the_extra_it_says_what_to_install() -> None:
    """One line with the command."""
    program = (
        "import sys\nsys.modules['starlette'] = None\nfrom agent_outcomes import cli\n"
        "from agent_outcomes.gateway_command import requirements\n"
        "requirements.find_spec = lambda name: None if name == 'starlette' else name\n"
        "sys.exit(cli.main(['serve']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, env=environment()
    )
    assert done.returncode == 2
    assert done.stderr == "a gateway needs starlette: pip install 'otel-agent-outcomes[gateway]'\n"
