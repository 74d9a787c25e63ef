# SPDX-License-Identifier: Apache-2.0
"""Runs that go on after the decorated function has returned: its generator, coroutine or other awaitable, to its end.

What the caller gets behaves as what the function returned; the run is current only while that itself is running.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.bodies import look

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from agent_outcomes.api.open_run import OpenRun

    Start = Callable[[], OpenRun]
    Conclude = Callable[[OpenRun, object], None]

# An awaitable that can do this as well is used for it, and nothing that stands for it could do all of it.
_OTHER_USES: Final = ("__aenter__", "__aiter__", "__enter__", "__iter__", "__next__")
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple, set})


def wrap_generator(function: Callable[..., Any], start: Start, conclude: Conclude) -> Callable[..., Any]:
    """A generator function that runs this one's generator to its end, which is that of the run."""

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        with start() as run:
            resume: Callable[[], Any] = functools.partial(next, generator)
            try:
                while True:
                    # Current only while the body runs: between two items the consumer's own context is in force.
                    with run.as_current():
                        item = resume()
                    try:
                        resume = functools.partial(generator.send, (yield item))
                    except GeneratorExit:
                        with run.as_current():
                            generator.close()
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, for the body to see
                        resume = functools.partial(generator.throw, error)
            except StopIteration as stop:
                conclude(run, stop.value)
                return stop.value

    return wrapper


def wrap_async_generator(function: Callable[..., Any], start: Start, conclude: Conclude) -> Callable[..., Any]:
    """The same of an asynchronous generator, which has no result."""

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        with start() as run:
            resume: Callable[[], Any] = functools.partial(anext, generator)
            try:
                while True:
                    with run.as_current():
                        item = await resume()
                    try:
                        resume = functools.partial(generator.asend, (yield item))
                    except GeneratorExit:
                        with run.as_current():
                            await generator.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, for the body to see
                        resume = functools.partial(generator.athrow, error)
            except StopAsyncIteration:
                conclude(run, None)

    return wrapper


def wrap_awaited(function: Callable[..., Any], start: Start, conclude: Conclude) -> Callable[..., Any]:
    """A coroutine function that awaits what this one gives, which ends the run."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with start() as run:
            with run.as_current():
                result = await function(*args, **kwargs)
            conclude(run, result)
        return result

    return wrapper


def follow(run: OpenRun, result: Any, conclude: Conclude) -> Any:
    """What to hand on in place of a function's result, so that the run ends with it; `None` if it is over already.

    A coroutine and both kinds of generators are driven by ones of their own kind. A future is handed on as it is: the
    run ends when it is done. Any other awaitable is stood for by one that looks like it, unless it is something else as
    well, such as a context manager: then the run is over.
    """
    cls = type(result)
    if cls in _PLAIN:
        return None
    wrap = _driver_of(result, cls)
    if wrap is not None:
        return _named_after(result, wrap(lambda: result, lambda: run, conclude)(), run)
    if look(cls, "__await__") is None:
        return None
    if look(cls, "_asyncio_future_blocking") is not None:
        result.add_done_callback(functools.partial(_end_with, run, conclude))
        _end_with_the_last_reference(result, run)
        return result
    return None if any(look(cls, use) is not None for use in _OTHER_USES) else FollowedAwaitable(run, result, conclude)


def _driver_of(result: object, cls: type) -> Callable[..., Any] | None:
    if cls is CoroutineType:
        return wrap_awaited
    if cls is GeneratorType:
        # A coroutine as `types.coroutine` makes it is a generator by its class.
        return wrap_awaited if inspect.isawaitable(result) else wrap_generator
    return wrap_async_generator if cls is AsyncGeneratorType else None


class FollowedAwaitable:
    """An awaitable whose first await ends a run; for the rest it is the one it was made of, its class included."""

    __slots__ = ("__weakref__", "_awaitable", "_conclude", "_run")

    def __init__(self, run: OpenRun, awaitable: Awaitable[Any], conclude: Conclude) -> None:
        self._run = run
        self._awaitable = awaitable
        self._conclude = conclude
        _end_with_the_last_reference(self, run)

    def __await__(self) -> Generator[Any, Any, Any]:
        """Await it."""
        if self._run.has_ended:
            return self._awaitable.__await__()
        coroutine = wrap_awaited(lambda: self._awaitable, lambda: self._run, self._conclude)()
        awaiting: Generator[Any, Any, Any] = coroutine.__await__()
        return awaiting

    @property  # type: ignore[misc]  # `object` lets it be set; nobody sets that of a stand-in
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The class of what it stands for."""
        return type(self._awaitable)

    def __getattr__(self, name: str) -> Any:
        """What it stands for has everything else."""
        return getattr(self._awaitable, name)


def _named_after(result: Any, driver: Any, run: OpenRun) -> Any:
    driver.__name__, driver.__qualname__ = result.__name__, result.__qualname__
    _end_with_the_last_reference(driver, run)
    return driver


def _end_with_the_last_reference(followed: object, run: OpenRun) -> None:
    """Nobody may await or iterate what the function returned; then the run ends when nobody can any more."""
    weakref.finalize(followed, _end_cancelled, run).atexit = False


def _end_with(run: OpenRun, conclude: Conclude, future: Any) -> None:
    if future.cancelled():
        _end_cancelled(run)
        return
    # Not by `exception()`: asking would silence the warning that nobody has.
    error = look(future, "_exception")
    if error is None:
        conclude(run, look(future, "_result"))
    run.end(error if isinstance(error, BaseException) else None)


def _end_cancelled(run: OpenRun) -> None:
    if run.has_ended:
        return
    # Slow to import, and there already wherever something is awaited.
    from asyncio import CancelledError  # noqa: PLC0415 - as said

    run.end(CancelledError())
