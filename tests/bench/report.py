# SPDX-License-Identifier: Apache-2.0
"""How comparisons are asked for and printed."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.version import __version__ as sdk_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.paired import Comparison

ROUNDS_MIN: Final = 2


def add_options(parser: argparse.ArgumentParser, names: Sequence[str], *, rounds: int) -> None:
    """Add `--rounds` and `--only`, which takes any of these names."""
    parser.add_argument(
        "--rounds", type=_rounds, default=rounds, metavar="N", help="rounds per comparison (default: %(default)s)"
    )
    parser.add_argument(
        "--only", type=names_among(names), default=list(names), metavar="CASES", help=f"some of {','.join(names)}"
    )


def names_among(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser of names joined by commas, which are put in the known order; it raises ArgumentTypeError."""

    def parse(text: str) -> list[str]:
        names = {name.strip() for name in text.split(",")}
        unknown = sorted(names.difference(known))
        if unknown:
            message = f"no case is named {', '.join(map(repr, unknown))}; there are {', '.join(known)}"
            raise argparse.ArgumentTypeError(message)
        return [name for name in known if name in names]

    return parse


def print_heading(rounds: int) -> None:
    """Say what all figures depend on."""
    print(f"Python {sys.version.split()[0]}, opentelemetry-sdk {sdk_version}, {rounds} rounds; CPU of all threads")


def print_comparison(title: str, base: str, comparison: Comparison) -> None:
    """Print a line for the base with its A/A ratio, and one for each contender."""
    print(f"\n{title:38}{'CPU':>12}   {'ratio (p25 - p75)':22}{'wall':>7}")
    noisy = "  noisy: the machine is too busy to tell" if comparison.is_noisy else ""
    print(f"  {base:36}{comparison.base_us:10.1f}us   {f'A/A {comparison.same.median:.3f}':22}{'':7}{noisy}".rstrip())
    for name, contender in comparison.contenders.items():
        cpu = contender.cpu
        ratio = f"{cpu.median:.3f} ({cpu.p25:.3f} - {cpu.p75:.3f})"
        print(f"  {name:36}{contender.cost_us:10.1f}us   {ratio:22}{contender.wall.median:7.3f}")
    sys.stdout.flush()


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < ROUNDS_MIN:
        message = f"a median with quartiles needs {ROUNDS_MIN} rounds or more"
        raise argparse.ArgumentTypeError(message)
    return rounds
