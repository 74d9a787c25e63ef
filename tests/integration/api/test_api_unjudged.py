# SPDX-License-Identifier: Apache-2.0
"""Errors that cannot be judged: no exceptions at all, classes that raise when they are looked at, failures of ours."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent_outcomes import agent_run, record_run, retry_after_s
from agent_outcomes.api import open_run
from agent_outcomes.outcome import exception_reader
from tests.hostile import LoudObject
from tests.integration.api_pipeline import PRIVATE_TEXT, ApiPipeline, fail, of

if TYPE_CHECKING:
    from collections.abc import Callable

    End = Callable[[ApiPipeline, BaseException], None]


def by_block(pipeline: ApiPipeline, error: BaseException) -> None:
    with contextlib.suppress(type(error)), agent_run("bot", tracer_provider=pipeline.provider):
        fail(error)


def by_decorator(pipeline: ApiPipeline, error: BaseException) -> None:
    with contextlib.suppress(type(error)):
        agent_run("bot", tracer_provider=pipeline.provider)(fail)(error)


def by_record(pipeline: ApiPipeline, error: BaseException) -> None:
    record_run("bot", error=error, tracer_provider=pipeline.provider)


ENDS: Final[tuple[End, ...]] = (by_block, by_decorator, by_record)
STEPS: Final[tuple[tuple[object, str], ...]] = (
    (exception_reader, "causes"),
    (open_run, "facts_from_exception"),
    (open_run, "classify"),
)


def guarded(hidden: frozenset[str], base: type[BaseException]) -> BaseException:
    """An exception whose class refuses to tell any of these attributes of itself, and to be compared."""

    class Guarding(type):
        def __getattribute__(cls, name: str) -> Any:
            if name in hidden:
                raise RuntimeError(PRIVATE_TEXT)
            return type.__getattribute__(cls, name)

        def __eq__(cls, other: object) -> bool:
            raise RuntimeError(PRIVATE_TEXT)

        __hash__ = type.__hash__

    made: BaseException = Guarding("RemoteError", (base,), {"__module__": "remote.proxies"})(PRIVATE_TEXT)
    return made


NO_ERRORS: Final[dict[str, Any]] = {
    "text": "ConnectionError: refused",
    "empty text": "",
    "class": ConnectionError,
    "mapping": {"message": PRIVATE_TEXT},
    "number": 0,
    "false": False,
    "exc_info": (ValueError, ValueError(), None),
    "loud object": LoudObject(),
}


@pytest.mark.parametrize("name", NO_ERRORS)
def test_an_error_that_is_none_is_refused(pipeline: ApiPipeline, name: str) -> None:
    """What is no exception is a TypeError that names its type and no value, before anything has been done."""
    with pytest.raises(TypeError, match=r"^record_run\(error=\) takes an exception, not .+Outcome\.failure") as caught:
        record_run("bot", error=NO_ERRORS[name], tracer_provider=pipeline.provider)
    assert PRIVATE_TEXT not in str(caught.value)
    assert (pipeline.ended(), pipeline.events(), pipeline.run_count()) == ([], [], 0)
    with pytest.raises(TypeError, match=r"^retry_after_s\(\) takes an exception, not "):
        retry_after_s(NO_ERRORS[name])


def test_no_error_asks_for_no_wait() -> None:
    """Where nothing has failed, as `Future.exception()` has it, there is nothing to wait for."""
    assert retry_after_s(None) is None


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "hidden", [{"__qualname__"}, {"__module__"}, {"__mro__", "__name__"}, {"__class__", "__dict__"}]
)
def test_a_class_that_cannot_be_asked_is_known_all_the_same(pipeline: ApiPipeline, end: End, hidden: set[str]) -> None:
    """Python's own record of a class is read: the run is that of a plain class of this name, base and module."""
    beside = ApiPipeline()
    plain = type("RemoteError", (TimeoutError,), {"__module__": "remote.proxies"})(PRIVATE_TEXT)
    end(beside, plain)
    end(pipeline, guarded(frozenset(hidden), TimeoutError))
    said = ("status", "evidence", "error_category", "retryable")
    assert of(pipeline.event(), *said) == of(beside.event(), *said)
    assert of(pipeline.event(), "status", "evidence") == ("timeout", "exception:remote.proxies.RemoteError")
    assert (pipeline.run_count(), pipeline.open_count(), pipeline.leaks()) == (1, 0, [])


def break_step(monkeypatch: pytest.MonkeyPatch, step: tuple[object, str]) -> None:
    def broken(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr(*step, broken)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[1])
def test_a_run_whose_error_cannot_be_judged_has_failed(
    pipeline: ApiPipeline, monkeypatch: pytest.MonkeyPatch, step: tuple[object, str], end: End
) -> None:
    """Whatever step fails of ours: the run is counted once, as a failure of unknown retryability, and no success."""
    break_step(monkeypatch, step)
    end(pipeline, ValueError())
    event = pipeline.event()
    assert of(event, "status", "source", "evidence") == ("failure", "inferred", "exception:_OTHER")
    assert of(event, "error.category", "retryable") == ("other", None)
    assert (pipeline.run_count(), pipeline.open_count()) == (1, 0)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[1])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])], ids=repr)
def test_an_interruption_that_cannot_be_judged_is_no_success(
    monkeypatch: pytest.MonkeyPatch, step: tuple[object, str], end: End, error: BaseException
) -> None:
    """The span may tell what was in flight; else it is a failure as well."""
    pipeline = ApiPipeline()
    break_step(monkeypatch, step)
    end(pipeline, error)
    assert pipeline.event().outcome("status") in {"failure", "cancelled"}
    assert (pipeline.run_count(), pipeline.error_count()) == (1, 0)


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
def test_what_was_stated_stands_where_the_error_cannot_be_judged(
    pipeline: ApiPipeline, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The application knows how its run ended, and has said so."""
    monkeypatch.delattr(open_run, "classify")
    with contextlib.suppress(type(error)), agent_run("bot", status="partial", tracer_provider=pipeline.provider):
        fail(error)
    assert of(pipeline.event(), "status", "source") == ("partial", "explicit")


def test_a_result_that_cannot_be_read_costs_the_caller_nothing(pipeline: ApiPipeline) -> None:
    """`outcome_of` that raises such a class is logged, and the result is handed on."""

    @agent_run(
        "bot",
        outcome_of=lambda _: fail(guarded(frozenset({"__qualname__"}), KeyError)),
        tracer_provider=pipeline.provider,
    )
    def work() -> str:
        return "done"

    assert work() == "done"
    assert (pipeline.event().outcome("status"), pipeline.run_count()) == ("success", 1)
