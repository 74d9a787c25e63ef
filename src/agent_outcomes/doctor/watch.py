# SPDX-License-Identifier: Apache-2.0
"""Watches the tracer providers of a program that the doctor runs, and writes what it sees to a file.

Runs within the program: nothing here raises into it, and only the first kinds of spans are told apart. The file is
written anew at every new kind of thing seen and at exit, so that a process that is killed has left one, too.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import agent_outcomes
from agent_outcomes.doctor.inside import look_inside
from agent_outcomes.doctor.program import SpanSeen, to_json
from agent_outcomes.sdk.attachment import outcome_processor
from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.sdk.span_reader import SpanReader
from agent_outcomes.spans.marks import NO_AGENT, seen_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

KINDS_MAX: Final = 50
KIND_LENGTH_MAX: Final = 80
PLACES_MAX: Final = 5
WRITES_ALWAYS_MAX: Final = 20
_WRITE_INTERVAL_S: Final = 0.2
# The one broad net: what runs here runs in the application's process, where a failure of the watch is worth nothing.
_UNSEEN: Final = contextlib.suppress(Exception)
_OWN_FOLDERS: Final = (str(Path(agent_outcomes.__file__).parent), str(Path(trace.__file__).parents[1]))


class _Watch:
    """What has been seen in this process."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._providers: list[Any] = []
        self._places: dict[int, tuple[str, ...]] = {}
        self._restart()

    def _restart(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._spans_of: dict[int, int] = {}
        self._next_write_s = 0.0
        self._writes = 0

    def begin(self, first: object) -> None:
        """Watch the providers there are, and those to come."""
        _after(TracerProvider, "__init__", lambda provider, _: self.add(provider))
        _after(TracerProvider, "add_span_processor", self._note_place)
        _after(AgentOutcomeSpanProcessor, "_deliver", lambda *_: self._write_sometimes())
        for provider in (first, trace.get_tracer_provider()):
            if isinstance(provider, TracerProvider):
                self.add(provider)
        atexit.register(self.write)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._restart)
        self.write()

    def add(self, provider: Any) -> None:
        """Watch a provider, once."""
        if not any(provider is one for one in self._providers):
            self._providers.append(provider)
            provider.add_span_processor(_Eye(self, id(provider)))
            self.write()

    def started(self, span: Span, provider: int) -> None:
        """Count a started span; a new kind is written down at once."""
        with self._lock:
            self._spans_of[provider] = self._spans_of.get(provider, 0) + 1
            cell, is_new = self._cell(span)
            cell[0] += 1
        if is_new:
            self.write()
        else:
            self._write_sometimes()

    def ended(self, span: ReadableSpan) -> None:
        """Count an ended span, which may have become an agent's only now."""
        facts = SpanReader(span)
        _, likeness = seen_as(facts, facts.attributes(), None)
        with self._lock:
            cell, _ = self._cell(span)
            cell[1] += 1
            cell[2] |= likeness not in NO_AGENT

    def write(self) -> None:
        """Write the state of this process to its file; a state that cannot be written is not worth an error."""
        self._next_write_s = time.monotonic() + _WRITE_INTERVAL_S
        with _UNSEEN:
            with self._lock:
                spans = [SpanSeen(*key, bool(cell[2]), cell[0], cell[1]) for key, cell in self._counts.items()]
                spans_of = dict(self._spans_of)
            state = look_inside(self._providers, spans, spans_of, self._places, is_watched=True)
            part = self._folder / f"{os.getpid()}-{threading.get_ident()}.part"
            part.write_text(to_json(state), encoding="utf-8")
            part.replace(self._folder / f"{os.getpid()}.json")

    def _write_sometimes(self) -> None:
        """The first times always, as a short worker may leave by os._exit; then not more often than is cheap."""
        self._writes += 1
        if self._writes <= WRITES_ALWAYS_MAX or time.monotonic() >= self._next_write_s:
            self.write()

    def _cell(self, span: ReadableSpan) -> tuple[list[int], bool]:
        facts = SpanReader(span)
        key = (facts.scope[:KIND_LENGTH_MAX], facts.name[:KIND_LENGTH_MAX])
        is_new = key not in self._counts
        if is_new and len(self._counts) >= KINDS_MAX:
            key, is_new = ("", "(further names)"), False
        return self._counts.setdefault(key, [0, 0, 0]), is_new

    def _note_place(self, provider: Any, arguments: tuple[Any, ...]) -> None:
        if arguments and outcome_processor(arguments[0]) is not None:
            places = self._places.get(id(provider), ())
            self._places[id(provider)] = (*places, _place_of_call())[:PLACES_MAX]
            self.write()


class _Eye(SpanProcessor):
    """Tells the watch of the spans of one provider."""

    def __init__(self, watch: _Watch, provider: int) -> None:
        self._watch = watch
        self._provider = provider

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        with _UNSEEN:
            self._watch.started(span, self._provider)

    def on_end(self, span: ReadableSpan) -> None:
        with _UNSEEN:
            self._watch.ended(span)


def begin(folder: str, provider: object = None) -> None:
    """Watch this process from now on, `provider` first, writing to a file in `folder`. Never raises."""
    with _UNSEEN:
        _Watch(folder).begin(provider)


def _after(owner: type, name: str, then: Callable[[Any, tuple[Any, ...]], None]) -> None:
    """Call `then` after every call of a method, which may be replaced further by others."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        with _UNSEEN:
            then(self, args or tuple(kwargs.values()))
        return result

    setattr(owner, name, replaced)


def _place_of_call() -> str:
    """File and line of the nearest caller that is neither this package nor OpenTelemetry."""
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to learn the caller without reading sources
    while frame.f_back is not None and frame.f_code.co_filename.startswith((*_OWN_FOLDERS, "<")):
        frame = frame.f_back
    name = Path(frame.f_code.co_filename).name
    # Python itself loads the auto-instrumentation, before any line of the program; its `site` may be a frozen module.
    is_start = name in {"site.py", "sitecustomize.py"} or name.startswith("<")
    return "opentelemetry-instrument" if is_start else f"{name}:{frame.f_lineno}"
