# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.assembly_server STATE_FOLDER LEDGER_URL`: an assembly behind a socket, to be killed.

A request is its length in four bytes and an encoded request with spans; the answer is one byte, `+` or `-`. The port
is the first line printed. It ends when standard input does.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path
from typing import Final

from agent_outcomes.gateway.assembly.assembly import Assembly
from agent_outcomes.gateway.settings import AssemblyLimits, GatewaySettings
from agent_outcomes.gateway.wire.intake import ExportRequest, IntakeUnavailable, Packing
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.otel_variables import OtlpSignal

LENGTH: Final = struct.Struct("<I")
TAKEN: Final = b"+"
UNAVAILABLE: Final = b"-"
LIMITS: Final = AssemblyLimits(settle_after_s=0.2, idle_after_s=60.0, journal_max_bytes=64 * 2**20)


async def serve(folder: Path, url: str) -> None:
    store = Store.open(read_location(url))
    assembly = Assembly(GatewaySettings(ledger=url, state_folder=folder, assembly=LIMITS), store)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                body = await reader.readexactly(length)
                try:
                    await assembly.take(ExportRequest(OtlpSignal.TRACES, body, body, Packing.IDENTITY))
                except IntakeUnavailable:
                    writer.write(UNAVAILABLE)
                else:
                    writer.write(TAKEN)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    running = asyncio.create_task(assembly.run())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    await assembly.drain(10.0)
    await running
    assembly.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
