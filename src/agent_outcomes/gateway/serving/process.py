# SPDX-License-Identifier: Apache-2.0
"""A process that is one gateway: from settings to the first lines printed, and on to the signal that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes._version import __version__
from agent_outcomes.gateway.assembly.journal import JournalError
from agent_outcomes.gateway.serving.addresses import doors, is_loopback_address, shown
from agent_outcomes.gateway.serving.descriptors import with_room
from agent_outcomes.gateway.serving.failures import ExitCode, GatewayFailure
from agent_outcomes.gateway.serving.gateway import Gateway, Sending
from agent_outcomes.gateway.serving.json_logs import set_up_logs
from agent_outcomes.gateway.serving.targets import delivery_targets, forward_targets
from agent_outcomes.gateway.signals.verdict_rules import VerdictError
from agent_outcomes.ledger.keys import has_keys
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.otlp.endpoints import shown_url
from agent_outcomes.printable import printable
from agent_outcomes.sdk.ledger_connection import kept_settings
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_outcomes.gateway.serving.gateway import OpenDoor
    from agent_outcomes.gateway.settings import GatewaySettings
    from agent_outcomes.settings import Settings

_INTERRUPTED_AGAIN: Final = 130
_FOLDER_MODE: Final = 0o700
_COLLECTED_AFTER: Final = (20_000, 20, 20)
"""Objects beyond those that went, and collections of the younger ones before one of the older."""
_log: Final = logging.getLogger(__name__)


def run_gateway(settings: GatewaySettings, kept: Settings, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. A second signal ends it at once, which loses nothing.

    Raises `GatewayFailure`, `SettingsError`, `LedgerError` or `LedgerUnavailable` where it cannot start.
    """
    sending = Sending(delivery_targets(settings, environ), forward_targets(settings, environ))
    _make_state_folder(settings)
    store = Store.open(read_location(settings.ledger), **kept_settings(kept))
    try:
        _refuse_open_doors(settings, has_keys=has_keys(store))
        set_up_logs()
        gateway = _made(with_room(settings), store, sending)
        _collect_seldom()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(gateway, lambda opened: _say_where(settings, store, opened)))
    finally:
        store.close()


def _collect_seldom() -> None:
    """Held spans are many objects and hold no circles: to look through all of them often is most of what they cost."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def _made(settings: GatewaySettings, store: Store, sending: Sending) -> Gateway:
    try:
        return Gateway(settings, store, sending)
    except JournalError as error:
        raise GatewayFailure(ExitCode.STATE_NOT_USABLE, f"--state-folder: {error}") from None
    except VerdictError as error:
        message = f"--verdict: {error}"
        raise SettingsError(message) from None


async def _serve(gateway: Gateway, say_where: Callable[[Sequence[OpenDoor]], None]) -> int:
    told = _told_to_end()
    try:
        say_where(await gateway.start())
        failing = asyncio.ensure_future(gateway.failed())
        either: set[asyncio.Future[Any]] = {told, failing}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await gateway.stop()
    if told.done():
        _log.info("ended by signal %d; everything that was acknowledged is kept", told.result())
        return ExitCode.STOPPED
    raise GatewayFailure(ExitCode.FAILED, f"a part of the gateway failed: {await failing}; start it again")


def _told_to_end() -> asyncio.Future[int]:
    """Done when a signal asks for the end, with its number; a second one ends the process."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[int] = loop.create_future()

    def tell(number: int) -> None:
        if told.done():
            os._exit(_INTERRUPTED_AGAIN)
        told.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    return told


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - there is none for Windows

        return uvloop.new_event_loop
    return None


def _make_state_folder(settings: GatewaySettings) -> None:
    try:
        settings.state_folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        message = f"--state-folder {settings.state_folder} cannot be made: {error.strerror}; name another"
        raise GatewayFailure(ExitCode.STATE_NOT_USABLE, message) from None


def _refuse_open_doors(settings: GatewaySettings, *, has_keys: bool) -> None:
    """Without keys only loopback is served."""
    for door in doors(settings):
        if not has_keys and not is_loopback_address(door.address):
            place = shown(door.address.host, door.address.port)
            message = (
                f"{door.option} {place} can be reached from other machines, and there are no keys, so that anybody "
                "could read and report; make one first: agent-outcomes keys create --name NAME --may RIGHT"
            )
            raise GatewayFailure(ExitCode.NOT_SAFE, message)


def _say_where(settings: GatewaySettings, store: Store, opened: Sequence[OpenDoor]) -> None:
    """The first lines: what listens where, for people and for programs that wait for them."""
    rows = [(door.serves, door.place) for door in opened]
    rows.append(("ledger", str(store.location)))
    rows.append(("delivers to", _shown_or_nowhere(settings.deliver_to, "--deliver-to")))
    rows.append(("forwards to", _shown_or_nowhere(settings.forward_to, "--forward-to")))
    lines = [f"agent-outcomes {__version__} serves", *(f"  {name:<15} {printable(place)}" for name, place in rows)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _shown_or_nowhere(url: str | None, option: str) -> str:
    return f"nowhere; {option} says where" if url is None else shown_url(url)
