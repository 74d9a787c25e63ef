# SPDX-License-Identifier: Apache-2.0
"""The digests by which a change of history is found: each revision's, chained along its run, and the ledger's seals.

SHA-256 throughout. What goes in begins with what it is, and every part has its length before it, so that no two
different inputs are the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST_BYTES: Final = 32
_REVISION: Final = b"agent_outcomes.ledger.revision/1"
_SEAL: Final = b"agent_outcomes.ledger.seal/1"


def revision_digest(content: bytes, previous: bytes | None) -> bytes:
    """The digest of a revision's content and of the revision before it; `None` for a run's first. 32 bytes."""
    return digest_of(_REVISION, (previous or b"", content))


def seal_digest(previous_seal: bytes | None, digests: Iterable[bytes]) -> bytes:
    """The digest of a seal over these revisions, in their order, and of the seal before; `None` for the first."""
    return digest_of(_SEAL, (previous_seal or b"", *digests))


def digest_of(domain: bytes, parts: Iterable[bytes]) -> bytes:
    """SHA-256 of the parts, each with its length before it, in a domain of its own."""
    made = hashlib.sha256(_with_length(domain))
    for part in parts:
        made.update(_with_length(part))
    return made.digest()


def _with_length(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
