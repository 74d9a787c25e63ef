# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for what foreign code puts into attributes, the hostile included."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hypothesis import strategies as st

from agent_outcomes import semconv
from agent_outcomes.outcome.spellings import KIND_WORDS, STATUS_WORDS, TYPE_WORDS
from agent_outcomes.run.usage_keys import USAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class StatusEnum(str, Enum):  # noqa: UP042 - StrEnum shows its value, this one does not
    """A status as people define it for themselves; it shows as `StatusEnum.OK`."""

    OK = "ok"
    FAILED = "failed"


class LoudText(str):
    """A text that raises when it is shown, compared or hashed."""

    __slots__ = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError

    __str__ = __repr__ = __format__ = __eq__ = __ne__ = __lt__ = __gt__ = __hash__ = _refuse


class LoudInt(int):
    """A whole number that raises when it is shown, compared, hashed or converted."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError

    __str__ = __repr__ = __format__ = __eq__ = __ne__ = __hash__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __index__ = _refuse


class LoudFloat(float):
    """A double that raises when it is shown, compared or calculated with."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError

    __str__ = __repr__ = __format__ = __eq__ = __ne__ = __hash__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __sub__ = __rsub__ = _refuse


class LoudObject:
    """A thing that raises when it is shown, compared, hashed or asked for its truth."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError

    __str__ = __repr__ = __format__ = __eq__ = __ne__ = __hash__ = __bool__ = _refuse


@dataclass(frozen=True, slots=True)
class Armed:
    """Stands for a hostile value while it is drawn and shown, for Hypothesis shows all that it draws."""

    kind: str
    value: Any


def nested(depth: int = 300, leaf: object = 1) -> dict[str, Any]:
    """A map that deep."""
    value: dict[str, Any] = {"leaf": leaf}
    for _ in range(depth):
        value = {"inner": value}
    return value


_ARMS: Final[Mapping[str, Callable[[Any], object]]] = {
    "text": LoudText,
    "int": LoudInt,
    "float": LoudFloat,
    "object": lambda _: LoudObject(),
    "nested": nested,
    "huge": lambda digits: 10**digits,
}


def armed(value: Any) -> Any:
    """The value with what `Armed` stands for in its place."""
    if isinstance(value, Armed):
        return _ARMS[value.kind](value.value)
    if isinstance(value, dict):
        return {key: armed(item) for key, item in value.items()}
    return [armed(item) for item in value] if isinstance(value, list) else value


WORDS: Final = sorted({*STATUS_WORDS, *TYPE_WORDS, *KIND_WORDS})
TEXTS: Final = (
    st.sampled_from([*WORDS, "EUR", "usd", "true", "49.90", "-1", "{}", '{"a": 1}', "[", "\ud800", "a\ud800", ""])
    | st.text(max_size=12)
    | st.text(alphabet="0123456789.-+eE", max_size=20)
    | st.builds(Armed, st.just("text"), st.sampled_from(["success", "12.5", "completed", "AGENT"]))
    | st.sampled_from(StatusEnum)
    | st.integers(1, 20).map(lambda power: "x" * 2**power)
)
NUMBERS: Final = (
    st.integers()
    | st.sampled_from([2**53, 2**53 + 1, 2**63, 2**200, -(2**200)])
    | st.builds(Armed, st.just("int"), st.sampled_from([7, 2**80]))
    | st.builds(Armed, st.just("huge"), st.just(5000))
    | st.floats()
    | st.sampled_from([1e15, -1e15, 5e-324])
    | st.builds(Armed, st.just("float"), st.just(1.5))
    | st.decimals()
    | st.sampled_from([Decimal("1E+9999999"), Decimal("sNaN")])
)
JUNK: Final = st.recursive(
    TEXTS
    | NUMBERS
    | st.none()
    | st.booleans()
    | st.binary(max_size=8)
    | st.builds(Armed, st.just("object"), st.none())
    | st.builds(Armed, st.just("nested"), st.just(300)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS: Final = sorted(
    {
        *semconv.READ_ATTRIBUTES,
        *semconv.COST_ATTRIBUTES,
        *USAGE_KEYS,
        "agent.outcome.metadata.tier",
        "agent.outcome.metadata.",
        "agent.outcome.slip",
        "gen_ai.agent.name",
        "gen_ai.agent.id",
        "gen_ai.conversation.id",
        "gen_ai.agent.finish_reason",
        "gen_ai.operation.name",
        "openinference.span.kind",
        "error.type",
        "agent.name",
        "",
    }
)
"""Everything that is read from a span."""
HOSTILE_ATTRIBUTES: Final = st.dictionaries(
    st.sampled_from(KEYS) | st.text(max_size=5) | st.just("agent.outcome.\ud800"), JUNK, max_size=12
)
"""Attributes of any kind under names that matter, mostly; to be `armed`."""
