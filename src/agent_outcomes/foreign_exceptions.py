# SPDX-License-Identifier: Apache-2.0
"""Telling our own failures from exceptions that only pass through us.

A signal handler (a time limit, Celery's soft limit) or another thread (`PyThreadState_SetAsyncExc`) may raise anything
while the application's thread is inside one of our callbacks. That exception is meant for the application and goes on
to it; what our own code, the SDK's or a function given to us has raised does not.
"""

from __future__ import annotations

import sys
from opcode import opname
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

# Where a function begins and where a loop goes back nothing fails by itself: there CPython looks for what is pending.
_PENDING: Final = ("RESUME", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")
# It does so after a call, too, but there the call itself may have failed.
_CALLS: Final = frozenset({"CALL", "PRECALL", "CALL_FUNCTION_EX", "CALL_KW"})
_OUR_PACKAGE: Final = __name__.partition(".")[0]
# Classes that the functions which we and the SDK call may raise from C code.
_KNOWN_PACKAGES: Final = frozenset({_OUR_PACKAGE, "opentelemetry", "google", "grpc", *sys.stdlib_module_names})
# Asked by way of the class, its metaclass would answer, and may raise.
_MODULE_OF: Final[Callable[[type], object]] = vars(type)["__module__"].__get__
_NAME_OF: Final[Callable[[type], str]] = vars(type)["__qualname__"].__get__
_MRO_OF: Final[Callable[[type], tuple[type, ...]]] = vars(type)["__mro__"].__get__


def class_name(cls: type) -> str:
    """What Python calls a class, without its module. Never raises."""
    return _NAME_OF(cls)


def class_module(cls: type) -> str:
    """The module that a class says it is of; none if that is no text. Never raises."""
    try:
        module = _MODULE_OF(cls)
    except AttributeError:
        return ""
    return str.__str__(module) if issubclass(type(module), str) else ""  # pyright: ignore[reportArgumentType]


def classes_of(cls: type) -> tuple[type, ...]:
    """A class and what it inherits from, nearest first. Never raises."""
    return _MRO_OF(cls)


def is_theirs(error: BaseException) -> bool:
    """Whether the exception only passes through: raised by a signal handler or set from outside, or a `BaseException`.

    Classes of Python itself that are raised from outside right after a call of ours cannot be told from a failure of
    that call and count as ours, but for `TimeoutError`. Never raises.
    """
    return _passes(error, in_given=False)


def is_theirs_in_given(error: BaseException) -> bool:
    """The same of what comes out of a function that the application has given us, or out of a value's own methods.

    What such code calls may raise classes of its own from C code (pydantic's `ValidationError`, a database driver's),
    so that an exception that has come up in a call there counts as that function's failure. Never raises.
    """
    return _passes(error, in_given=True)


def _passes(error: BaseException, *, in_given: bool) -> bool:
    if not isinstance(error, Exception):
        return True
    innermost: TracebackType | None = None
    for innermost in _entries(error.__traceback__):
        if _is_handler(innermost.tb_frame):
            return True
    return innermost is not None and _was_struck(innermost, type(error), in_given=in_given)


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_handler(frame: FrameType) -> bool:
    """Whether a frame is that of a signal handler: only these are called with the frame that they interrupted."""
    back = frame.f_back
    if back is None:
        return False
    values = tuple(frame.f_locals.values())
    return any(value is back or (type(value) is tuple and any(one is back for one in value)) for value in values)


def _was_struck(innermost: TracebackType, error_class: type[BaseException], *, in_given: bool) -> bool:
    """Whether the exception came up where none of the instruction's own can."""
    name = opname[innermost.tb_frame.f_code.co_code[innermost.tb_lasti]]
    if name.startswith(_PENDING):
        return True
    package = _package(innermost.tb_frame)
    if name not in _CALLS or (in_given and package not in _KNOWN_PACKAGES):
        return False
    if error_class is TimeoutError:
        return package == _OUR_PACKAGE
    return class_module(error_class).partition(".")[0] not in _KNOWN_PACKAGES | {"builtins"}


def _package(frame: FrameType) -> str | None:
    module = frame.f_globals.get("__name__")
    return module.partition(".")[0] if isinstance(module, str) else None


class Guard:
    """A `with` block that keeps our own failures from the application: `on_failure` is told of each.

    `is_theirs` says what passes: `is_theirs_in_given` around a function that the application has given us.
    """

    __slots__ = ("_is_theirs", "_on_failure")

    def __init__(
        self,
        on_failure: Callable[[BaseException], None],
        is_theirs: Callable[[BaseException], bool] = is_theirs,
    ) -> None:
        self._on_failure = on_failure
        self._is_theirs = is_theirs

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Stop what is ours and let pass what is not."""
        if error is None or self._is_theirs(error):
            return False
        self._on_failure(error)
        return True


def _ignore(_: BaseException) -> None:
    pass


SILENT: Final = Guard(_ignore)
"""For what is not worth a word if it fails."""
