# SPDX-License-Identifier: Apache-2.0
"""Zero-code inside servers and workers: real programs, each run counted once, nothing lost when they are stopped."""

from __future__ import annotations

import signal
import socket
import urllib.request
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from tests.integration.backends import wait_until
from tests.integration.zero_code import DEADLINE_S, Application, agents, run_counts

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.otelcol import Collector

REQUESTS = 12
WORKERS = 2
# No provider is set and nothing of ours is started: as if run without `opentelemetry-instrument`.
DISABLED = {
    "OTEL_PYTHON_DISTRO": "none",
    "OTEL_PYTHON_CONFIGURATOR": "none",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*",
}
# Before 0.63 (SDK 1.42) `opentelemetry-instrument` leaves processes alone that the program starts anew.
FOLLOWS_CHILDREN = Version(version("opentelemetry-instrumentation")) >= Version("0.63b0")
GRPC = pytest.mark.parametrize("protocol", ["grpc"])
HTTP = pytest.mark.parametrize("protocol", ["http/protobuf"])

WEB = """
import os
import app

app.run("startup")

def wsgi(environ, start_response):
    app.run("request")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        open(f"serving-{os.getpid()}", "w").close()
    elif scope["type"] == "http":
        app.run("request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@pytest.fixture
def app(protocol: str, collector: Collector, tmp_path: Path) -> Application:
    made = Application.made_in(tmp_path, collector, protocol)
    (tmp_path / "web.py").write_text(WEB)
    return made


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket of our own to serve on: no port to guess, and requests wait until the server is there."""
    with socket.create_server(("127.0.0.1", 0), backlog=REQUESTS) as made:
        made.set_inheritable(True)
        yield made


def ask(listening: socket.socket) -> int:
    """One request, on a connection of its own; the process id that answered."""
    host, port = listening.getsockname()
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=DEADLINE_S) as answer:
        return int(answer.read())


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """End a server as its supervisor would; what it returned and logged."""
    process.terminate()
    try:
        _, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    return process.returncode, err


GUNICORN = {
    "preload": ["--preload", "web:wsgi"],
    "no preload": ["web:wsgi"],
    "uvicorn worker": ["-k", "uvicorn_worker.UvicornWorker", "web:asgi"],
}


@pytest.mark.parametrize(
    ("options", "protocol"), [*((options, "grpc") for options in GUNICORN), ("preload", "http/protobuf")]
)
def test_gunicorn(collector: Collector, app: Application, listening: socket.socket, options: str) -> None:
    """Two forked workers: each counts its own requests, and a run before the fork is the parent's alone."""
    command = ["gunicorn", "-w", str(WORKERS), "-b", f"fd://{listening.fileno()}", *GUNICORN[options]]
    process = app.start(*command, pass_fds=[listening.fileno()])
    try:
        answered = Counter(ask(listening) for _ in range(REQUESTS))
        if options == "uvicorn worker":
            # Until it serves, SIGTERM has the default action in this one: the process ends, and nothing can be told.
            wait_until(lambda: len(list(app.folder.glob("serving-*"))) == WORKERS)
    finally:
        code, err = stop(process)
    assert code == 0, err
    # The collector answers before it has written.
    wait_until(lambda: Counter(agents(collector))["request"] >= REQUESTS)
    wait_until(lambda: sum(run_counts(collector)) >= len(agents(collector)))
    found = Counter(agents(collector))
    assert found["request"] == REQUESTS
    if options == "preload":
        assert found["startup"] == 1
        assert run_counts(collector) == sorted([1, *answered.values()])
    else:
        # The second worker may have been stopped while it loaded the application.
        idle = found["startup"] - len(answered)
        assert idle in (0, 1)
        assert run_counts(collector) == sorted([1] * idle + [count + 1 for count in answered.values()])
    assert len(collector.spans()) == sum(found.values())
    assert "agent outcomes" not in err


@GRPC
def test_uvicorn_workers(collector: Collector, app: Application, listening: socket.socket) -> None:
    """Two spawned workers, which uvicorn ends by raising SIGTERM in them: nothing is lost."""
    command = ["uvicorn", "--workers", str(WORKERS), "--fd", str(listening.fileno()), "web:asgi"]
    process = app.start(*command, pass_fds=[listening.fileno()])
    try:
        answered = Counter(ask(listening) for _ in range(REQUESTS))
    finally:
        code, err = stop(process)
    assert code == 0, err
    found = Counter(agents(collector))
    if not FOLLOWS_CHILDREN:
        assert not found
        return
    assert found["request"] == REQUESTS
    assert len(answered) <= found["startup"] <= WORKERS
    assert sum(run_counts(collector)) == REQUESTS + found["startup"] == len(collector.spans())


INSTALLING = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from agent_outcomes import install

trace.set_tracer_provider(TracerProvider())
install()
from web import asgi
"""


@HTTP
def test_install_in_an_application_that_uvicorn_serves(
    collector: Collector, app: Application, listening: socket.socket
) -> None:
    """The application calls `install()` when uvicorn has set its signal handlers already: nothing is lost either."""
    (app.folder / "installing.py").write_text(INSTALLING)
    command = ["uvicorn", "--fd", str(listening.fileno()), "installing:asgi"]
    process = app.start(*command, pass_fds=[listening.fileno()], **DISABLED)
    try:
        ask(listening)
    finally:
        code, err = stop(process)
    assert code == -signal.SIGTERM, err
    assert (agents(collector), run_counts(collector)) == (["startup", "request"], [2])


TASKS = """
import os
from pathlib import Path
from celery import Celery
from celery.signals import worker_ready
import app as agent

folder = Path(__file__).parent
queue = folder / "queue"
queue.mkdir(exist_ok=True)
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": queue / "c"}

@app.task
def work(number):
    agent.run("task")
    (folder / f"done-{number}").write_text(str(os.getpid()))

@worker_ready.connect
def send_all(**_):
    for number in range(12):
        work.delay(number)
"""


@GRPC
def test_celery(collector: Collector, app: Application) -> None:
    """Two prefork workers, which end by `os._exit`: every task's run arrives, counted by the worker that did it."""
    (app.folder / "tasks.py").write_text(TASKS)
    command = ["celery", "-A", "tasks", "worker", "-c", "2", "--without-gossip", "--without-mingle"]
    process = app.start(*command)
    try:
        wait_until(lambda: len(list(app.folder.glob("done-*"))) == REQUESTS, timeout_s=DEADLINE_S)
        done = Counter(path.read_text() for path in app.folder.glob("done-*"))
    finally:
        code, err = stop(process)
    assert code == 0, err
    assert agents(collector) == ["task"] * REQUESTS
    assert run_counts(collector) == sorted(done.values())
    assert len(collector.spans()) == REQUESTS
    assert "agent outcomes" not in err


NOTEBOOK = """
from jupyter_client.manager import KernelManager

manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
for cell in ("import app", "app.run('cell')", "app.run('cell')"):
    assert client.execute_interactive(cell, timeout=60)["content"]["status"] == "ok"
client.stop_channels()
manager.shutdown_kernel()
"""


@HTTP
def test_jupyter(collector: Collector, app: Application) -> None:
    """A kernel of a Jupyter started under `opentelemetry-instrument`: cells' runs arrive when it is shut down."""
    done = app.python(NOTEBOOK, HOME=str(app.folder))
    assert done.returncode == 0, done.stderr
    cells, counts = (["cell", "cell"], [2]) if FOLLOWS_CHILDREN else ([], [])
    assert (agents(collector), run_counts(collector)) == (cells, counts)
    assert len(collector.spans()) == len(cells)
    assert "agent outcomes" not in done.stderr
