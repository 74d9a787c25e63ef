# SPDX-License-Identifier: Apache-2.0
"""The flags of `serve`: one table, from which follow the options, the variables, the help and the document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_outcomes.gateway.settings import AccessLimits, AssemblyLimits, GatewaySettings, ReceiverLimits
from agent_outcomes.gateway_command import values
from agent_outcomes.ledger.location import read_location, state_folder
from agent_outcomes.printable import printable
from agent_outcomes.settings import SETTINGS_PREFIX, SettingsError, shown_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SHOWN_MAX: Final = 80
_URL_READERS: Final = frozenset({values.web_url, values.trace_url})
"""Of what they refuse only the scheme may be shown: a URL that cannot be read may have a secret anywhere."""
_LEDGER_FILE: Final = "ledger.db"
_UNITS: Final = ("_mib", "_s")
_LISTENER: Final = "HOST:PORT, as 127.0.0.1:4317; port 0 takes a free one, and none switches it off"
_URL: Final = "a URL that begins with http:// or https://"
_SECONDS: Final = "a number of seconds, more than 0"
_COUNT: Final = "a whole number from 1"
_MIB: Final = "a whole number of MiB from 1"


class Flag(NamedTuple):
    """One flag: its name, which setting it is, what it takes, its default as the help says it, and what it does.

    `place` is the field of `GatewaySettings`, or of the limits in one of its fields, as `assembly.settle_after_s`.
    """

    name: str
    place: str
    metavar: str
    read: Callable[[str], object]
    takes: str
    default: str
    sentence: str
    is_repeated: bool = False

    @property
    def option(self) -> str:
        """The option of the command line; what may be given again is named in the singular."""
        stem = next((self.name.removesuffix(unit) for unit in _UNITS if self.name.endswith(unit)), self.name)
        return f"--{(stem.removesuffix('s') if self.is_repeated else stem).replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable that means the same."""
        return f"{SETTINGS_PREFIX}{self.name.upper()}"


def _location(text: str) -> str:
    read_location(text)
    return text


FLAGS: Final = (
    Flag(
        "otlp_grpc",
        "otlp_grpc",
        "HOST:PORT",
        values.listener_address,
        _LISTENER,
        "127.0.0.1:4317",
        "take OTLP over gRPC",
    ),
    Flag(
        "otlp_http",
        "otlp_http",
        "HOST:PORT",
        values.listener_address,
        _LISTENER,
        "127.0.0.1:4318",
        "take OTLP over HTTP",
    ),
    Flag("listen", "listen", "HOST:PORT", values.listener_address, _LISTENER, "127.0.0.1:8321", "serve API and page"),
    Flag(
        "ledger",
        "ledger",
        "URL",
        _location,
        "sqlite:///file.db or postgresql://...",
        "SQLite in the state folder",
        "keep runs and outcomes in this database",
    ),
    Flag(
        "state_folder",
        "state_folder",
        "DIR",
        values.folder,
        "a folder",
        "~/.local/state/agent-outcomes",
        "keep spans on disk here until their runs are settled, and what has settled; one gateway, one folder",
    ),
    Flag(
        "deliver_to",
        "deliver_to",
        "URL",
        values.web_url,
        _URL,
        "nowhere",
        "deliver events and metrics to this OTLP endpoint (port 4317: gRPC, else HTTP)",
    ),
    Flag(
        "forward_to",
        "forward_to",
        "URL",
        values.web_url,
        _URL,
        "nowhere",
        "pass all that comes in on to this OTLP endpoint, unchanged",
    ),
    Flag(
        "verdicts",
        "verdicts",
        "NAME=RULE",
        values.rules,
        "NAME=RULE, as relevance=score>=0.8; several with ; between",
        "none",
        "take the evaluation of that name for the verdict: relevance=score>=0.8, tone=label:good|fine, ok=pass",
        is_repeated=True,
    ),
    Flag(
        "trace_url",
        "trace_url",
        "URL",
        values.trace_url,
        "a URL of http or https with {trace_id} in it",
        "no links",
        "link runs to their traces: https://jaeger.example/trace/{trace_id}",
    ),
    Flag(
        "ledger_hold_s",
        "hold_s",
        "SECONDS",
        values.seconds_or_none,
        "a number of seconds from 0",
        "3600",
        "hold a report so long for a run that has not come yet",
    ),
    Flag(
        "settle_after_s",
        "assembly.settle_after_s",
        "SECONDS",
        values.seconds,
        _SECONDS,
        "5",
        "wait so long for further spans when a trace's local root has come",
    ),
    Flag(
        "idle_after_s",
        "assembly.idle_after_s",
        "SECONDS",
        values.seconds,
        _SECONDS,
        "60",
        "settle a trace without its root when nothing has come for so long",
    ),
    Flag("open_max_s", "assembly.open_max_s", "SECONDS", values.seconds, _SECONDS, "3600", "hold no trace longer"),
    Flag("traces_max", "assembly.traces_max", "N", values.whole, _COUNT, "100000", "hold at most so many traces"),
    Flag("held_max_mib", "assembly.held_max_bytes", "MIB", values.mib, _MIB, "512", "hold at most so much in memory"),
    Flag("journal_max_mib", "assembly.journal_max_bytes", "MIB", values.mib, _MIB, "1024", "as much on disk"),
    Flag("body_max_mib", "receiver.body_max_bytes", "MIB", values.mib, _MIB, "4", "refuse larger requests"),
    Flag(
        "inflated_max_mib",
        "receiver.inflated_max_bytes",
        "MIB",
        values.mib,
        _MIB,
        "16",
        "refuse requests that are larger once inflated",
    ),
    Flag("connections_max", "receiver.connections_max", "N", values.whole, _COUNT, "512", "connections a listener"),
    Flag(
        "key_rate_max",
        "access.key_requests_per_s",
        "N",
        values.whole,
        _COUNT,
        "100",
        "requests a second of one key",
    ),
    Flag(
        "key_burst_max",
        "access.key_requests_at_once_max",
        "N",
        values.whole,
        _COUNT,
        "1000",
        "so many of one key at once, after a pause",
    ),
    Flag("requests_max", "receiver.requests_max", "N", values.whole, _COUNT, "64", "OTLP requests under way at once"),
)


def gateway_settings(given: Mapping[str, object], environ: Mapping[str, str]) -> GatewaySettings:
    """What the command line says (`None` where it says nothing), else the variables, else the defaults.

    Raises `SettingsError`, which names option or variable and what it takes.
    """
    in_force: dict[str, Any] = {"state_folder": state_folder() / "agent-outcomes"}
    limits: dict[str, dict[str, Any]] = {"access": {}, "assembly": {}, "receiver": {}}
    for flag in FLAGS:
        for value in _read(flag, given.get(flag.name), environ):
            group, _, field = flag.place.rpartition(".")
            (limits[group] if group else in_force)[field] = value
    in_force.setdefault("ledger", _ledger_in(in_force["state_folder"]))
    receiver, assembly = ReceiverLimits(**limits["receiver"]), AssemblyLimits(**limits["assembly"])
    access = AccessLimits(**limits["access"])
    return GatewaySettings(**in_force, access=access, receiver=receiver, assembly=assembly)


def ledger_url(given: str | None, environ: Mapping[str, str]) -> str:
    """The URL of the ledger that a gateway with the same option and variables keeps. Raises `SettingsError`."""
    ledger, folder = (flag for flag in FLAGS if flag.name in {"ledger", "state_folder"})
    for url in _read(ledger, given, environ):
        return str(url)
    for path in _read(folder, None, environ):
        return _ledger_in(Path(str(path)))
    return _ledger_in(state_folder() / "agent-outcomes")


def _read(flag: Flag, given: object, environ: Mapping[str, str]) -> Iterator[object]:
    """The flag's value, or nothing where it is not given."""
    if isinstance(given, list):
        yield tuple(rule for text in given for rule in _value(flag, flag.option, text))
    elif isinstance(given, str):
        yield _value(flag, flag.option, given)
    elif text := environ.get(flag.variable, "").strip():
        yield _value(flag, flag.variable, text)


def _value(flag: Flag, named: str, text: str) -> Any:
    try:
        return flag.read(text.strip())
    except SettingsError as error:
        # The words of whoever reads a ledger's URL hide what may be secret in it.
        message = f"{named}: {error}"
        raise SettingsError(message) from None
    except ValueError:
        shown = shown_scheme(text) if flag.read in _URL_READERS else text
        message = f"{named}={printable(shown, _SHOWN_MAX)} is not usable; give {flag.takes}"
        raise SettingsError(message) from None


def _ledger_in(folder: Path) -> str:
    path = str(folder / _LEDGER_FILE).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return f"sqlite:///{path}"
