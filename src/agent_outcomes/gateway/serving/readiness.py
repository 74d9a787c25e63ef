# SPDX-License-Identifier: Apache-2.0
"""Whether a gateway may be sent more: judged from what was looked up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FREE_MIN_SHARE: Final = 0.05
FREE_ENOUGH_BYTES: Final = 2**30
"""With so much free a disk is not full, however large it is."""
JOURNAL_MAX_SHARE: Final = 0.95
WAITED_LONG_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk below a folder: what it is used for, and how much is free of how much."""

    of: str
    free_bytes: int
    size_bytes: int

    @property
    def is_nearly_full(self) -> bool:
        """Whether so little is free that it should be looked after before anything is lost."""
        return self.free_bytes < FREE_ENOUGH_BYTES and self.free_bytes < FREE_MIN_SHARE * self.size_bytes


@dataclass(frozen=True, slots=True)
class Vitals:
    """What readiness is judged by, as of one moment.

    `ledger_error` says why the ledger cannot be written, empty where it can. `is_delivery_dead` is whether this gateway
    has to deliver and its thread has ended. `waited_s` is how long the oldest event has been waiting to be delivered.
    `advice` is what to change where runs are counted twice, empty where none is.
    """

    is_ending: bool = False
    ledger_error: str = ""
    disks: tuple[Disk, ...] = ()
    journal_bytes: int = 0
    journal_max_bytes: int = 1
    is_delivery_dead: bool = False
    waited_s: float = 0.0
    advice: str = ""


class UnreadyReason(NamedTuple):
    """Why: a stable word for whoever asks, and a sentence for whom the gateway knows."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """`reasons` keep it from being ready; `warnings` do not, but somebody should look."""

    reasons: tuple[UnreadyReason, ...] = ()
    warnings: tuple[UnreadyReason, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether it may be sent more."""
        return not self.reasons


def judged(vitals: Vitals) -> Readiness:
    """What there is to say."""
    return Readiness(tuple(_reasons(vitals)), tuple(_warnings(vitals)))


def _reasons(vitals: Vitals) -> Iterator[UnreadyReason]:
    if vitals.is_ending:
        yield UnreadyReason("ending", "the gateway is ending")
    if vitals.ledger_error:
        yield UnreadyReason("ledger", f"the ledger cannot be written: {vitals.ledger_error}")
    for disk in vitals.disks:
        if disk.is_nearly_full:
            yield UnreadyReason("disk", f"the disk of {disk.of} is nearly full: {disk.free_bytes >> 20} MiB are free")
    if vitals.journal_bytes >= JOURNAL_MAX_SHARE * vitals.journal_max_bytes:
        text = f"as many spans are held as may be: {vitals.journal_bytes >> 20} MiB on disk (--journal-max)"
        yield UnreadyReason("journal", text)
    if vitals.is_delivery_dead:
        yield UnreadyReason("delivery", "the thread that delivers has ended; start the gateway again")


def _warnings(vitals: Vitals) -> Iterator[UnreadyReason]:
    if vitals.waited_s > WAITED_LONG_S:
        text = f"an event has waited {vitals.waited_s:.0f} s to be delivered; the log says what the receiver answers"
        yield UnreadyReason("delivery_waits", text)
    if vitals.advice:
        yield UnreadyReason("counted_twice", vitals.advice)
