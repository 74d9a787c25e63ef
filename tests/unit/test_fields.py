# SPDX-License-Identifier: Apache-2.0
"""Named tuples made without compiling their annotations: they are what `typing.NamedTuple` makes."""

from __future__ import annotations

import copy
import pickle
import typing
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from agent_outcomes.fields import ByFields, NamedTuple


class Ours(NamedTuple):
    """What is asked for."""

    name: str
    number: int | None
    tags: tuple[str, ...] = ()
    limit: float = 2.5

    @property
    def is_numbered(self) -> bool:
        """Whether it has been."""
        return self.number is not None

    def __str__(self) -> str:
        return f"{self.name}: {self.number}"


class Theirs(typing.NamedTuple):
    """What is asked for."""

    name: str
    number: int | None
    tags: tuple[str, ...] = ()
    limit: float = 2.5

    @property
    def is_numbered(self) -> bool:
        """Whether it has been."""
        return self.number is not None

    def __str__(self) -> str:
        return f"{self.name}: {self.number}"


@pytest.mark.parametrize("made", [Ours, Theirs])
def test_named_tuple_has_its_fields_defaults_and_methods(made: type[Ours]) -> None:
    """Made by position and by name, compared and hashed as a tuple, changed by copying."""
    one = made("a", number=3)
    assert tuple(one) == ("a", 3, (), 2.5)
    assert hash(one) == hash(tuple(one))
    assert one._replace(number=None) == made("a", None)
    assert one.is_numbered
    assert not one._replace(number=None).is_numbered
    assert str(one) == "a: 3"
    assert repr(one) == f"{made.__name__}(name='a', number=3, tags=(), limit=2.5)"
    with pytest.raises(AttributeError):
        one.name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'number'"):
        made("a")  # type: ignore[call-arg]


@pytest.mark.parametrize("made", [Ours, Theirs])
def test_named_tuple_is_found_by_its_name(made: type[Ours]) -> None:
    """It can be pickled and copied, and says what it is."""
    one = made("a", 3, ("x",))
    again = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert again == copy.deepcopy(one) == one
    assert type(again) is made
    assert (made.__module__, made.__doc__) == (__name__, "What is asked for.")
    assert made.__qualname__ == made.__name__
    assert made._fields == ("name", "number", "tags", "limit")
    assert made._field_defaults == {"tags": (), "limit": 2.5}
    assert typing.get_type_hints(made) == {
        "name": str,
        "number": int | None,
        "tags": tuple[str, ...],
        "limit": float,
    }
    assert not hasattr(one, "__dict__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What `dataclass` makes of it."""

    name: str
    number: int | None = None
    output: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Inherited(ByFields):
    """The same by the base class."""

    name: str
    number: int | None = None
    output: object = field(default=None, compare=False, repr=False)


@pytest.mark.parametrize("made", [Generated, Inherited])
def test_dataclass_compares_and_prints_by_its_fields(made: type[Inherited]) -> None:
    """Equal and of one hash are those of one class with the same fields, but for fields that are left out of it."""
    one, same, other = made(name="a", number=3), made(name="a", number=3, output="x"), made(name="a")
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, other}) == 2
    assert one != other
    assert one != ("a", 3)
    assert repr(same) == f"{made.__name__}(name='a', number=3)"
    assert replace(one, number=None) == other
    assert copy.deepcopy(same).output == "x"
    assert pickle.loads(pickle.dumps(same)) == one  # noqa: S301 - our own
    with pytest.raises(FrozenInstanceError):
        one.name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        made("a")  # type: ignore[call-arg]


def test_dataclasses_of_two_classes_differ() -> None:
    """Whatever their fields hold."""
    ours: object = Inherited(name="a")
    assert ours != Generated(name="a")
    assert hash(Inherited(name="a", number=2)) != hash(Inherited(name="a", number=1))
