# SPDX-License-Identifier: Apache-2.0
"""Runs that go on after the decorated function has returned: its generator, coroutine or other awaitable, to its end.

What the caller gets behaves as what the function returned; the run is current only while that itself is running.
"""

from __future__ import annotations

import functools
import inspect
import sys
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
            body = run.body()
            resume: Callable[[], Any] = functools.partial(next, generator)
            try:
                while True:
                    with body.as_current():
                        item = resume()
                    try:
                        resume = functools.partial(generator.send, (yield item))
                    except GeneratorExit as closing:
                        with body.as_current():
                            return _close(generator, closing)
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, for the body to see
                        resume = functools.partial(generator.throw, error)
                    del item  # the consumer's alone, while the body makes the next one
            except StopIteration as stop:
                conclude(run, stop.value)
                return stop.value
            finally:
                # What was thrown in holds this frame by its traceback, and only a garbage collection would free both.
                del resume

    return wrapper


def wrap_async_generator(function: Callable[..., Any], start: Start, conclude: Conclude) -> Callable[..., Any]:
    """The same of an asynchronous generator, which has no result."""

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        with start() as run:
            body = run.body()
            resume: Callable[[], Any] = functools.partial(_begin, generator)
            try:
                while True:
                    with body.as_current():
                        item = await resume()
                    try:
                        resume = functools.partial(generator.asend, (yield item))
                    except GeneratorExit:
                        with body.as_current():
                            await generator.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, for the body to see
                        resume = functools.partial(generator.athrow, error)
                    del item
            except StopAsyncIteration:
                conclude(run, None)
            finally:
                del resume

    return wrapper


def _close(generator: Generator[Any, Any, Any], closing: GeneratorExit) -> Any:
    """Have the body end, and give what it returned then, which is what `close()` gives since Python 3.13."""
    try:
        generator.throw(closing)
    except StopIteration as stop:
        return stop.value
    message = "generator ignored GeneratorExit"
    raise RuntimeError(message)


def _begin(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step of a generator, of which the event loop is not told: its driver alone is to close it.

    At its end a loop closes all that it knows of at once, and a generator that another is about to close raises
    `RuntimeError`. The loop takes notice when the first step is made, before that is awaited.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, _leave_to_its_driver)
    try:
        return anext(generator)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _leave_to_its_driver(generator: object) -> None:
    """Without this the interpreter would end the body where it is, where its driver was never closed, either."""


def wrap_awaited(
    function: Callable[..., Any], start: Start, conclude: Conclude, *, may_end_iteration: bool = True
) -> Callable[..., Any]:
    """A coroutine function that awaits what this one gives, which ends the run."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()
        try:
            with run.as_current():
                result = await function(*args, **kwargs)
            conclude(run, result)
        except BaseException as error:
            run.end(error, may_end_iteration=may_end_iteration)
            raise
        run.end()
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
        return _drive(result, wrap, run, conclude)
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


def _drive(result: Any, wrap: Callable[..., Any], run: OpenRun, conclude: Conclude) -> Any:
    """Have a driver take the result's place. Once begun it ends the run itself, dropped or not.

    What nobody refers to any more is closed, and the rest of its body belongs to the run; references are gone by then.
    """
    unbegun: list[weakref.finalize[[OpenRun], Any]] = []

    def begin() -> OpenRun:
        unbegun.pop().detach()
        return run

    driver = wrap(lambda: result, begin, conclude)()
    driver.__name__, driver.__qualname__ = result.__name__, result.__qualname__
    unbegun.append(_end_with_the_last_reference(driver, run))
    return driver


def _end_with_the_last_reference(followed: object, run: OpenRun) -> weakref.finalize[[OpenRun], Any]:
    """Nobody may await or iterate what the function returned; then the run ends when nobody can any more."""
    end = weakref.finalize(followed, _end_cancelled, run)
    end.atexit = False
    return end


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
