# SPDX-License-Identifier: Apache-2.0
"""Write the OpenAPI document of the gateway, as it serves it itself, to `examples/gateway/openapi.json`.

With `--check` nothing is written: the exit code is 1 if the copy has drifted from the code.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from agent_outcomes.gateway.http_api.catalogue import OPERATIONS
from agent_outcomes.gateway.http_api.openapi import encoded_document

COPY: Final = Path("examples/gateway/openapi.json")


def document() -> bytes:
    """The document as it is served, and a line end."""
    return encoded_document(OPERATIONS) + b"\n"


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the copy has drifted")
    check: bool = parser.parse_args().check
    written = document()
    if check and (not COPY.exists() or COPY.read_bytes() != written):
        sys.stderr.write(f"{COPY} has drifted from the API: run python -m tests.tools.generate_openapi\n")
        return 1
    if not check:
        COPY.parent.mkdir(parents=True, exist_ok=True)
        COPY.write_bytes(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
