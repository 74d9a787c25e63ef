# SPDX-License-Identifier: Apache-2.0
"""What the users of a scenario call their agents: names that share no word with ours, nor with one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAD: Final = "<lead>"
INNER: Final = "<inner>"


@dataclass(frozen=True, slots=True)
class Cast:
    """The agents of one scenario: the one that is asked, and the one that it asks in turn.

    Each is an identifier, as some frameworks take nothing else.
    """

    lead: str
    inner: str

    def masked(self, name: str | None) -> str | None:
        """A run's name with `<lead>` or `<inner>` for the agent's, the same for every cast."""
        return name if name is None else name.replace(self.lead, LEAD).replace(self.inner, INNER)

    def subclass(self, base: Any) -> Any:
        """A class of the user's own below one of the framework's, called as the leading agent is."""
        return _subclass(base, self.lead)

    def inner_subclass(self, base: Any) -> Any:
        """The same, called as the inner agent is."""
        return _subclass(base, self.inner)


def _subclass(base: Any, name: str) -> Any:
    made = type(name, (base,), {"__module__": __name__})
    # Some instrumentations look a class up in its module.
    globals()[name] = made
    return made


CASTS: Final[Sequence[Cast]] = (
    Cast("Clementine", "Bartholomew"),
    Cast("ledger_sweeper", "tollhouse"),
    Cast("mauveOtter9", "Zwetschge"),
)
