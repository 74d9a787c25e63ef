# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes explain`: reads exported spans and says for each run which rule decided what."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from agent_outcomes import semconv
from agent_outcomes.explain.explanation import explain_runs, strangers
from agent_outcomes.explain.reading import SpansError, decoded, read_spans
from agent_outcomes.explain.replay import replay
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Iterator, Sequence

    from agent_outcomes.explain.explanation import RunExplanation, Stranger
    from agent_outcomes.explain.replay import Replay

EXPLAINED: Final = 0
NO_RUN: Final = 1
UNUSABLE: Final = 2
STRANGERS_MAX: Final = 10

_DESCRIPTION: Final = "Say for each agent run in exported spans which rule decided what."
_EPILOG: Final = """\
examples:
  agent-outcomes explain traces.json               what the collector's file exporter wrote
  agent-outcomes explain traces.json --run 4bf92f  one run, by the start of its trace id or run id
  curl -s $JAEGER/api/v3/traces/4bf92f... | jq .result | agent-outcomes explain -
  agent-outcomes explain traces.json --json        the same for programs, one object a run

exit codes: 0 every run is explained; 1 there is no agent run among the spans; 2 the input cannot be read

A file that breaks off in its last line is read up to its last whole span, and standard error says so; the exit code is
that of what could be read. Of a span that comes more than once the copy that ended last counts. Who is whose parent,
and of one process by the span's own flags, decides before any clock and whatever was added to a resource on the way.
Where a span between is missing, the run that may have lost something by it has a problem, and so has what was below.

An exception that was in flight when a span ended is seen by the processor but is not part of the exported span, so a
cancelled run whose span says nothing of it reads as success here. A call that ended after its run counts here; for the
processor it came too late, and the cost is incomplete.
"""


def add_explain(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "explain",
        help="say for each run in exported spans which rule decided what",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", type=_said, metavar="FILE", help="OTLP JSON, whole or one object a line; - for standard input"
    )
    parser.add_argument("--run", dest="wanted", type=_said, metavar="ID", help="only runs whose id starts with this")
    parser.add_argument("--json", action="store_true", help="one JSON object a run and line")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Explain the runs of a file; returns the exit code."""
    try:
        export = read_spans(_read(options.file))
    except (SpansError, OSError, UnicodeDecodeError) as error:
        _write(sys.stderr, f"{options.file}: {error}")
        return UNUSABLE
    if export.cut_line is not None:
        _write(sys.stderr, f"{options.file}: line {export.cut_line} breaks off; what comes before that is explained")
    result = replay(export.spans)
    wanted = options.wanted or ""
    runs = [found for found in explain_runs(result) if _is_wanted(found, wanted)]
    if options.json:
        for found in runs:
            sys.stdout.write(json.dumps(_as_object(found)) + "\n")
    else:
        _print(runs, result, sys.stdout)
    if not runs:
        _print_no_run(wanted, result, sys.stderr)
    return EXPLAINED if runs else NO_RUN


def _said(text: str) -> str:
    if text.isspace() or not text:
        nothing = "it is empty, and names nothing; leave it out to have all runs of a file"
        raise ArgumentTypeError(nothing)
    return text


def _is_wanted(run: RunExplanation, wanted: str) -> bool:
    """By the outcome's id, which begins with the trace's, or by the application's own name for the run."""
    own = run.attributes.get(semconv.AGENT_OUTCOME_RUN_ID)
    return run.id.startswith(wanted.lower()) or (isinstance(own, str) and own.startswith(wanted))


def _read(name: str) -> str:
    return decoded(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())


def _write(out: TextIO, line: str) -> None:
    """Write one line; whatever telemetry has put into it stays on it."""
    out.write(f"{printable(line)}\n")


def _print(runs: Sequence[RunExplanation], result: Replay, out: TextIO) -> None:
    for run in runs:
        for line in _text(run):
            _write(out, line)
        _write(out, "")
    outside = strangers(result) if runs else []
    if outside:
        _write(out, "not part of any run:")
        for line in _stranger_lines(outside):
            _write(out, line)
    for problem in dict.fromkeys(result.problems):
        _write(out, f"problem of no run: {problem.value}")


def _text(run: RunExplanation) -> Iterator[str]:
    yield f"run {run.id}"
    yield f"  {run.summary}"
    for line in run.lines:
        yield f"  {line.what:<10} {line.value}"
        yield f"  {'':<10}   {line.why}"
    for problem, brief in run.problems:
        yield f"  {'problem':<10} {problem}"
        yield f"  {'':<10}   {brief}"
    yield "  spans"
    for span in run.spans:
        yield f"    {'  ' * span.depth}{span.name}: {span.role}"


def _print_no_run(wanted: str, result: Replay, out: TextIO) -> None:
    if wanted:
        _write(out, f"no run whose id starts with {wanted}; without --run all are shown")
        return
    _write(out, "no agent run among these spans:")
    for line in _stranger_lines(strangers(result)):
        _write(out, line)
    _write(
        out,
        "A run is the outermost span with gen_ai.operation.name=invoke_agent, an agent kind of OpenInference or "
        "Traceloop, or an agent.outcome.* attribute. Set one of these, use agent_run(...) around the call, or say "
        "which span it is: install(is_run=lambda span: span.name == ...).",
    )


def _stranger_lines(found: Sequence[Stranger]) -> Iterator[str]:
    for stranger in found[:STRANGERS_MAX]:
        yield f"  {stranger.count} x {stranger.name!r} of scope {stranger.scope!r}"
    if len(found) > STRANGERS_MAX:
        yield f"  and {len(found) - STRANGERS_MAX} further kinds"


def _as_object(run: RunExplanation) -> dict[str, object]:
    return {
        "id": run.id,
        "summary": run.summary,
        "attributes": dict(run.attributes),
        "why": {line.what: {"value": line.value, "why": line.why} for line in run.lines},
        "problems": [{"problem": problem, "meaning": brief} for problem, brief in run.problems],
        "spans": [{"depth": span.depth, "name": span.name, "role": span.role} for span in run.spans],
    }
