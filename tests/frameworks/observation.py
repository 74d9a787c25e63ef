# SPDX-License-Identifier: Apache-2.0
"""What one cell of the table showed: plain data that goes from the lab's process to the tests and into the results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.frameworks.cast import Cast
    from tests.frameworks.model_server import Charge
    from tests.frameworks.scenarios import Right

LEDGER: Final = "ledger"
NONE: Final = "none"
UNDISCOUNTED: Final = "as if nothing was cached"


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run as its event tells it; stable from one execution to the next, and the same for every cast."""

    agent: str | None
    status: str
    retryable: bool | None = None
    category: str | None = None
    error_type: str | None = None
    source: str | None = None
    evidence: str | None = None
    type: str | None = None
    label: str | None = None
    value: float | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, attributes: Mapping[str, Any], cast: Cast) -> SeenRun:
        """Read the attributes of an `agent.outcome` event of a run of this cast."""
        outcome = {key.removeprefix("agent.outcome."): value for key, value in attributes.items()}
        return cls(
            agent=cast.masked(attributes.get("gen_ai.agent.name")),
            status=outcome["status"],
            retryable=outcome.get("retryable"),
            category=outcome.get("error.category"),
            error_type=attributes.get("error.type"),
            source=outcome.get("source"),
            evidence=outcome.get("evidence"),
            type=outcome.get("type"),
            label=outcome.get("label"),
            value=outcome.get("value"),
            problems=tuple(outcome.get("problems", ())),
        )

    def is_as(self, right: Right) -> bool:
        """Whether it says what is right; what the latter leaves open may be anything."""
        wanted = {key: value for key, value in asdict(right).items() if value is not None}
        return all(getattr(self, key) == value for key, value in wanted.items())


@dataclass(frozen=True, slots=True)
class Observation:
    """A cell: its runs, what the caller saw raised, and how usage compares with the provider's ledger.

    `tokens` is `ledger` where every kind of token that the provider counted adds up to its figure, `none` where no
    run reported any, absent where no call was answered, else what is wrong; `cost` likewise (`as if nothing was cached`
    where a framework keeps cached tokens to itself). `late_runs` settled
    only when the processor was asked for all that still waits. `faults` are what must never be.
    """

    runs: tuple[SeenRun, ...]
    raised: str | None = None
    tokens: str | None = None
    cost: str | None = None
    late_runs: int = 0
    faults: tuple[str, ...] = ()

    def is_right(self, rights: Sequence[Right], *, lacks_tokens: bool = False) -> bool:
        """Whether exactly the right runs were counted, with all the tokens that the provider counted.

        `lacks_tokens` says that no run may report any, as nobody can know them. A cost that is not known, or that lacks
        the discount, is the framework's matter and told once for it.
        """
        if len(self.runs) != len(rights) or self.late_runs:
            return False
        if self.tokens not in ((NONE,) if lacks_tokens else (None, LEDGER)):
            return False
        if self.cost not in (None, LEDGER, NONE, UNDISCOUNTED):
            return False
        return all(run.is_as(right) for run, right in zip(self.runs, rights, strict=True))

    def as_json(self) -> dict[str, Any]:
        """What differs from the default, as plain data."""
        runs = [_stated(asdict(run)) for run in self.runs]
        return {"runs": runs, **_stated({key: value for key, value in asdict(self).items() if key != "runs"})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Observation:
        """The inverse of `as_json`; raises `TypeError` for a key that no observation has."""
        rest = {key: value for key, value in data.items() if key != "runs"}
        rest["faults"] = tuple(rest.get("faults", ()))
        runs = ({"agent": None, **run, "problems": tuple(run.get("problems", ()))} for run in data["runs"])
        return cls(runs=tuple(SeenRun(**run) for run in runs), **rest)


@dataclass(slots=True)
class TokenSums:
    """Tokens by kind; `None` where nothing was reported."""

    sums: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, count: int | None) -> None:
        """Add what was reported, if anything was."""
        if count is not None:
            self.sums[kind] = self.sums.get(kind, 0) + count


def compare_tokens(ledger: Sequence[Charge], events: Sequence[Mapping[str, Any]]) -> str | None:
    """How the runs' tokens compare with the ledger, in the words of `Observation.tokens`."""
    charged, reported = TokenSums(), TokenSums()
    for kind in ("input", "output", "cached", "reasoning"):
        for charge in ledger:
            charged.add(kind, getattr(charge, f"{kind}_tokens"))
        for event in events:
            reported.add(kind, event.get(f"agent.run.{kind}_tokens"))
    if not reported.sums:
        return NONE if ledger else None
    differing = [
        f"{kind} {count} of {charged.sums.get(kind, 0)}"
        for kind, count in reported.sums.items()
        if count != charged.sums.get(kind, 0)
    ]
    missing = [kind for kind in ("input", "output") if kind in charged.sums and kind not in reported.sums]
    return "; ".join([*differing, *(f"no {kind}" for kind in missing)]) or LEDGER


def compare_cost(ledger: Sequence[Charge], events: Sequence[Mapping[str, Any]]) -> str | None:
    """How the runs' costs compare with the ledger, in the words of `Observation.cost`."""
    costs = [event for event in events if "agent.outcome.cost" in event]
    if not costs:
        return NONE if ledger else None
    total = sum((_exact_cost(event) for event in costs), Decimal())
    charged = sum((charge.cost_usd() for charge in ledger), Decimal())
    undiscounted = sum((charge.cost_usd(discounted=False) for charge in ledger), Decimal())
    if total == charged:
        said = LEDGER
    elif total == undiscounted:
        said = UNDISCOUNTED
    else:
        said = f"{total} of {charged}"
    return said if all(event.get("agent.outcome.cost_complete") for event in costs) else f"{said}, incomplete"


def _exact_cost(event: Mapping[str, Any]) -> Decimal:
    return Decimal(event.get("agent.outcome.cost_decimal") or repr(event["agent.outcome.cost"]))


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in values.items() if value not in (None, (), 0) or value is False}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in said.items()}
