# SPDX-License-Identifier: Apache-2.0
"""The body of an HTTP request, which the clients of Node.js and of Java send in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler


def read_body(exchange: BaseHTTPRequestHandler) -> bytes:
    """The whole of it, with or without a length told before; nothing where there is neither."""
    if exchange.headers.get("transfer-encoding", "").lower() != "chunked":
        return exchange.rfile.read(int(exchange.headers.get("content-length") or 0))
    chunks = list[bytes]()
    while size := int(exchange.rfile.readline(), 16):
        chunks.append(exchange.rfile.read(size))
        exchange.rfile.readline()
    exchange.rfile.readline()
    return b"".join(chunks)
