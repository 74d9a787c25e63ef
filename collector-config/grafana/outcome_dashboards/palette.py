# SPDX-License-Identifier: Apache-2.0
"""Colors by meaning: the palette of Okabe and Ito, which people with any kind of color vision can tell apart."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import dashboard

BLUE: Final = "#0072B2"
GREEN: Final = "#009E73"
GREY: Final = "#999999"
ORANGE: Final = "#E69F00"
PINK: Final = "#CC79A7"
SKY: Final = "#56B4E9"
VERMILION: Final = "#D55E00"
YELLOW: Final = "#F0E442"
NO_COLOR: Final = "transparent"

STATUS: Final = {
    "success": GREEN,
    "partial": SKY,
    "failure": VERMILION,
    "timeout": ORANGE,
    "cancelled": GREY,
    "invalid_output": PINK,
    "unknown": YELLOW,
}
TYPE: Final = {
    "converted": BLUE,
    "deflected": SKY,
    "escalated": ORANGE,
    "unsuccessful": VERMILION,
    "custom": PINK,
    "none": GREY,
}
VERDICT: Final = {"true": GREEN, "false": VERMILION}
STATE: Final = {"reported": BLUE, "pending": GREY}
COST_KIND: Final = {"llm": SKY, "tool": PINK, "human": ORANGE, "other": GREY}


def fixed(color: str) -> dashboard.DynamicConfigValue:
    """The property that gives a field one color."""
    return dashboard.DynamicConfigValue(
        id_val="color", value=dashboard.FieldColor(mode=dashboard.FieldColorModeId.FIXED, fixed_color=color)
    )


def mapping(colors: dict[str, str]) -> dashboard.ValueMap:
    """The mapping that colors a table's cells by their word."""
    results = {
        word: dashboard.ValueMappingResult(text=word, color=color, index=index)
        for index, (word, color) in enumerate(colors.items())
    }
    return dashboard.ValueMap(options=results)
