# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests: Debian's server on a free loopback port, as an ordinary user, in a temporary folder.

One server a session, one database a test. Where there is none, its tests are skipped and say so; with `CI=true` they
fail.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

PASSWORD: Final = "s3cret/of:the@test"  # noqa: S105 - of a server that nobody else reaches
_USER: Final = "ledger"
_STARTED_IN_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_DEBIAN: Final = Path("/usr/lib/postgresql")


class PostgresqlServer:
    """A server of its own in `folder`, which it may write to; the superuser of its databases is `ledger`."""

    def __init__(self, bin_folder: Path, folder: Path, user: pwd.struct_passwd | None, *, durable: bool) -> None:
        self._bin = bin_folder
        self._folder = folder
        self._user = user
        self._durable = durable
        self._names = count()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        password = folder / "password"
        password.write_text(PASSWORD)
        self._own(password)
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}", f"--username={_USER}"]
        done = self._run("initdb", "-D", str(self.data), "--no-sync", "-E", "UTF8", "--locale=C", *auth)
        done.check_returncode()

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self._folder / "data"

    @property
    def pid(self) -> int:
        """The id of the process that all its others belong to."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        """How a client names one of its databases."""
        return f"postgresql://{_USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        from psycopg import OperationalError  # noqa: PLC0415 - the frameworks' environments are without

        durability = [] if self._durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]
        sizes = ["-c", "shared_buffers=64MB", "-c", "max_connections=80", "-c", "log_min_messages=fatal"]
        places = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", str(self._folder)]
        self._process = subprocess.Popen(
            [str(self._bin / "postgres"), "-D", str(self.data), *places, *sizes, *durability],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
            env={**os.environ, "HOME": str(self._folder)},
        )
        deadline = time.monotonic() + _STARTED_IN_S
        while True:
            try:
                self.execute("SELECT 1")
            except OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, by default in good order, and wait until it is gone: SIGQUIT lets it end as by a power cut."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(how)
        self._process.wait(_STARTED_IN_S)
        self._process = None

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement of a test as the superuser."""
        import psycopg  # noqa: PLC0415 - the frameworks' environments are without

        place = f"host={self._folder} port={self.port} user={_USER} dbname={database}"
        with psycopg.connect(place, autocommit=True, connect_timeout=5) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def new_database(self) -> str:
        """The name of a database that is new and empty."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is connected."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        user = self._user
        return subprocess.run(
            [str(self._bin / program), *arguments],
            check=False,
            capture_output=True,
            cwd=self._folder,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )


def server_programs() -> Path | None:
    """The folder of the newest server that is installed, `None` if none is."""
    found = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return None if on_path is None else Path(on_path).resolve().parent


@contextmanager
def running_postgresql(*, durable: bool = False) -> Iterator[PostgresqlServer]:
    """A server that runs; only with `durable` does it wait for its disk."""
    programs = server_programs()
    if programs is None:
        _absent("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    user = _unprivileged()
    # Not pytest's own folder, which no other user may enter.
    folder = Path(tempfile.mkdtemp(prefix="ledger-postgresql-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        server = PostgresqlServer(programs, folder, user, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The session's server."""
    with running_postgresql() as server:
        yield server


@pytest.fixture
def postgresql(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """The URL of a database that is new and empty."""
    name = postgresql_server.new_database()
    yield postgresql_server.url(name)
    postgresql_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that is not there yet, on either engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'outcomes.db'}"
    url: str = request.getfixturevalue("postgresql")
    return url


def _end_with_parent() -> None:
    """Have the system end the server when the tests are killed, so that none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run it as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return _absent("there is no user postgres or nobody to run PostgreSQL as")


def _absent(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
