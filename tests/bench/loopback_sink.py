# SPDX-License-Identifier: Apache-2.0
"""Takes OTLP/HTTP on loopback and drops it: prints its port, and ends when its standard input is closed."""

from __future__ import annotations

import socketserver
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
CONTENT_LENGTH = b"content-length:"


class _Requests(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()).strip():
                if header.lower().startswith(CONTENT_LENGTH):
                    length = int(header[len(CONTENT_LENGTH) :])
            self.rfile.read(length)
            self.wfile.write(ANSWER)


class _Sink(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that ends leaves its connections open or cut; nothing is lost by it."""


def main() -> None:
    """Serve until whoever started this ends or closes the pipe."""
    with _Sink(("127.0.0.1", 0), _Requests) as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        print(sink.server_address[1], flush=True)
        sys.stdin.read()
        sink.shutdown()


if __name__ == "__main__":
    main()
