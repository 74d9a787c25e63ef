# SPDX-License-Identifier: Apache-2.0
"""The kinds of panel the dashboards are made of, and how they are laid out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from outcome_dashboards.palette import BLUE, fixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METRICS: Final = common_models.DataSourceRef(type_val="prometheus", uid="${metrics}")
LOGS: Final = common_models.DataSourceRef(type_val="loki", uid="${logs}")
GRID_WIDTH: Final = 24
# Few enough that a bar is wide enough to see and holds enough runs to say something.
POINTS_MAX: Final = 90
# Whole numbers and money with separators of thousands: Grafana's default would make 1 K of 1,398.
COUNT: Final = "locale"
MONEY: Final = "locale"
PROPERTY = dashboard.DynamicConfigValue

Query = builder.Builder[variants.Dataquery]
COLUMN_WIDTH_MIN_PX: Final = 70

AnyPanel = bargauge.Panel | heatmap.Panel | logs.Panel | stat.Panel | table.Panel | timeseries.Panel
PanelT = TypeVar("PanelT", bargauge.Panel, heatmap.Panel, logs.Panel, stat.Panel, table.Panel, timeseries.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """What a panel says about itself: `empty` stands where there is nothing to show, and says what to do."""

    title: str
    description: str
    unit: str = COUNT
    empty: str = "No runs in this time range"
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field it shows and the properties that differ from the default."""

    source: str
    title: str
    unit: str = ""
    decimals: int | None = None
    width: int | None = None
    properties: Sequence[dashboard.DynamicConfigValue] = field(default=())

    def overrides(self) -> list[dashboard.DynamicConfigValue]:
        """The properties as Grafana takes them."""
        found = [PROPERTY(id_val="unit", value=self.unit)] if self.unit else []
        if self.decimals is not None:
            found.append(PROPERTY(id_val="decimals", value=self.decimals))
        if self.width is not None:
            found.append(PROPERTY(id_val="custom.width", value=self.width))
        return [*found, *self.properties]


def instant(expression: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """A PromQL query at the end of the range: one value per series."""
    return prometheus.Dataquery().expr(expression).instant().legend_format(legend).ref_id(ref).datasource(METRICS)


def over_time(expression: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """A PromQL query per step of the range."""
    return prometheus.Dataquery().expr(expression).range().legend_format(legend).ref_id(ref).datasource(METRICS)


def rows_of(expression: str, ref: str = "A") -> prometheus.Dataquery:
    """A PromQL query at the end of the range, one table row per series."""
    return instant(expression, ref=ref).format(prometheus_models.PromQueryFormat.TABLE)


def buckets(expression: str) -> prometheus.Dataquery:
    """A PromQL query of a classic histogram's buckets, with the exemplars that lead to traces."""
    query = over_time(expression, "{{le}}").exemplar(exemplar=True)
    return query.format(prometheus_models.PromQueryFormat.HEATMAP)


def log_query(
    expression: str, kind: str = "range", legend: str = "", lines_max: int | None = None, ref: str = "A"
) -> loki.Dataquery:
    """A LogQL query; `kind` is range or instant."""
    query = loki.Dataquery().expr(expression).query_type(kind).ref_id(ref).datasource(LOGS)
    if legend:
        query.legend_format(legend)
    return query if lines_max is None else query.max_lines(lines_max)


def figures(about: About, query: Query, color: str = BLUE, *, named: bool = False) -> stat.Panel:
    """One big figure per series; `named` where the series' name is part of what it says, as a currency is."""
    text = common_models.BigValueTextMode.VALUE_AND_NAME if named else common_models.BigValueTextMode.VALUE
    panel = (
        stat.Panel()
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .reduce_options(_last())
        .color_scheme(_one_color(color))
        .wide_layout(wide_layout=True)
        .text_mode(text)
        .orientation(common_models.VizOrientation.AUTO)
    )
    if about.decimals is not None:
        panel.decimals(about.decimals)
    return _about(panel, about, (query,))


def bars(about: About, *queries: Query, name: str = "", colors: Mapping[str, str] | None = None) -> bargauge.Panel:
    """A horizontal bar per series, in the order of the query's result; `name` is the label that names it."""
    panel = (
        bargauge.Panel()
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .show_unfilled(show_unfilled=True)
        .sizing(common_models.BarGaugeSizing.AUTO)
        .min_viz_height(16)
        .reduce_options(_last())
        .color_scheme(_one_color(BLUE))
        .min(0)
    )
    if about.unit == "percentunit":
        panel.max(1)
    if about.decimals is not None:
        panel.decimals(about.decimals)
    if name:
        # A single bar would have no name.
        panel.display_name(f"${{__field.labels.{name}}}")
    return _colored(_about(panel, about, queries), colors or {})


def bars_of_events(about: About, query: Query, name: str, colors: Mapping[str, str] | None = None) -> bargauge.Panel:
    """A horizontal bar per value of the label `name`, from an instant query of events."""
    panel = bars(about, query, colors=colors)
    # Grafana's Loki source makes one table of all series; each row has to become a bar with its own name and color.
    kept = {"include": {"pattern": f"/^({name}|Value.*)$/"}}
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="filterFieldsByName", options=kept))
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="rowsToFields", options={}))
    return panel.display_name("${__field.name}")


def columns_over_time(
    about: About, *queries: Query, colors: Mapping[str, str] | None = None, legend: bool = True
) -> timeseries.Panel:
    """Stacked columns, one per step: how much came when; no `legend` only where a panel beside shows these colors."""
    panel = (
        _time_series()
        .draw_style(common_models.GraphDrawStyle.BARS)
        .fill_opacity(90)
        .line_width(0)
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
        .legend(_legend("sum").show_legend(show_legend=legend))
        .min(0)
    )
    if about.decimals is not None:
        panel.decimals(about.decimals)
    return _colored(_about(panel, about, queries), colors or {})


def lines_over_time(about: About, *queries: Query) -> timeseries.Panel:
    """A line with its points per series; a step without data is bridged."""
    panel = (
        _time_series()
        .draw_style(common_models.GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(0)
        .show_points(common_models.VisibilityMode.ALWAYS)
        .point_size(7)
        .span_nulls(span_nulls=True)
        .legend(_legend("lastNotNull"))
    )
    if about.unit == "percentunit":
        panel.min(0).max(1)
    return _about(panel, about, queries)


def heat(about: About, query: Query) -> heatmap.Panel:
    """Durations: time to the right, buckets upward, exemplars as points."""
    color = (
        heatmap.HeatmapColorOptions()
        .mode(heatmap_models.HeatmapColorMode.SCHEME)
        .scheme("Cividis")
        .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .steps(64)
        .reverse(reverse=False)
    )
    panel = (
        heatmap.Panel()
        .calculate(calculate=False)
        .color(color)
        .cell_gap(1)
        .y_axis(heatmap.YAxisConfig().unit(about.unit).axis_placement(common_models.AxisPlacement.LEFT))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.AUTO))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .tooltip(heatmap.HeatmapTooltip().mode(common_models.TooltipDisplayMode.SINGLE).y_histogram(y_histogram=True))
        .exemplars_color("rgba(213,94,0,0.9)")
        .show_legend()
        .max_data_points(POINTS_MAX)
    )
    return _about(panel, about, (query,))


def rows(about: About, columns: Sequence[Column], *queries: Query) -> table.Panel:
    """A table of the given columns, joined from all queries by the labels they share."""
    names = {column.source: column.title for column in columns}
    shown = {"include": {"names": list(names)}}
    order = {"indexByName": {name: index for index, name in enumerate(names)}, "renameByName": names}
    panel = (
        table.Panel()
        .show_header(show_header=True)
        .cell_height(common_models.TableCellHeight.SM)
        # Narrower than Grafana's 150, so that the last column, often the one that matters, is seen without scrolling.
        .min_width(COLUMN_WIDTH_MIN_PX)
        # First without the time, which would otherwise be among the fields that rows are joined by.
        .with_transformation(dashboard.DataTransformerConfig(id_val="filterFieldsByName", options=shown))
        .with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=order))
        # `noValue` also stands in a table's empty cells, where the panel's sentence would be out of place.
        .override_by_regexp("/.*/", [PROPERTY(id_val="noValue", value="-")])
    )
    for column in columns:
        if overrides := column.overrides():
            panel.override_by_name(column.title, overrides)
    return _about(panel, about, queries)


def place(
    rows_of_panels: Sequence[tuple[int, Sequence[tuple[AnyPanel, int]]]],
) -> list[AnyPanel]:
    """Give each panel its id and place: rows of one height, panels of a width in 24ths, left to right."""
    placed: list[AnyPanel] = []
    top = 0
    for height, row in rows_of_panels:
        left = 0
        for panel, width in row:
            placed.append(panel.id(len(placed) + 1).grid_pos(dashboard.GridPos(h=height, w=width, x=left, y=top)))
            left += width
        top += height
    return placed


def _about(panel: PanelT, about: About, queries: Sequence[Query]) -> PanelT:
    source = LOGS if isinstance(queries[0], loki.Dataquery) else METRICS
    panel.title(about.title).description(about.description).unit(about.unit).no_value(about.empty).datasource(source)
    for query in queries:
        panel.with_target(query)
    return panel


def _colored(panel: PanelT, colors: Mapping[str, str]) -> PanelT:
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel


def _time_series() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .max_data_points(POINTS_MAX)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .axis_soft_min(0)
    )


def _legend(calculation: str) -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs([calculation])
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False).fields("")


def _one_color(color: str) -> dashboard_builders.FieldColor:
    return dashboard_builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(color)
