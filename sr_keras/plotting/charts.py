"""Training curves, and scores of several models as points."""

import math

import numpy as np

from sr_keras.plotting.panels import DPI, figure, wrap

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_MARKERS = ["o", "s", "^", "D", "v"]
_NAME_SIZE = 9  # font size of the names of points and baselines
_MANY = 12  # more points than this get a larger figure
_RADIUS = 5.5  # of a point, in screen pixels
_SHORTEST_LEADER = 18  # of the line from a name to its point, in screen pixels
_DARKER = 0.7  # factor from the colour of a point to that of its name
LEADER = "leader"  # the `gid` of such a line

# What a score is called on an axis, and whether more of it is better.
_SCORES = {
    "psnr": ("PSNR", True),
    "ssim": ("SSIM", True),
    "mos": ("mean opinion score", True),
    "niqe": ("NIQE", False),
    "lpips": ("LPIPS", False),
    "perceptual_index": ("perceptual index", False),
}


def history(logs, score=None, baselines=None, title=None):
    """Draws training curves: all losses on one axes, and one score beside them.

    The losses' axis is logarithmic if they span more than a decade.

    Args:
        logs: List of dicts, each with "step" and some of the curves, or the
            dict of a Keras History, whose lists are drawn over epochs. Curves
            whose name ends in "loss" are losses.
        score: Name of the score. A curve of the same name after "val_" is
            drawn with it. None takes "psnr_y" if it was logged.
        baselines: Dict of label to a score, drawn as horizontal lines.
        title: Text above the figure.

    Returns:
        A matplotlib Figure: axes for the losses, axes for the score.

    Raises:
        ValueError: If there is nothing to draw, if an entry has no step, if the
            lists of a History differ in length, if `score` was not logged, or
            if there are baselines without a score.
    """
    from matplotlib import ticker

    unit = "epoch" if isinstance(logs, dict) else "step"
    curves = _curves(logs, unit)
    losses = [name for name in curves if name.endswith("loss")]
    wanted = score or "psnr_y"
    scores = [name for name in (wanted, f"val_{wanted}") if name in curves]
    if not scores and (score or baselines):
        raise ValueError(
            f"`logs` does not contain the score '{wanted}'. Received: {sorted(curves)}"
        )
    if not losses and not scores:
        raise ValueError(
            "`logs` must contain a loss (a name that ends in 'loss') or a score. "
            f"Received: {sorted(curves)}"
        )

    panels = [names for names in (losses, scores) if names]
    fig = _chart(4.2 * len(panels), 3.3, title)
    axes = fig.subplots(1, len(panels), squeeze=False)[0]
    for names, ax in zip(panels, axes, strict=True):
        for i, name in enumerate(names):
            x, y = curves[name]
            marker = "o" if len(x) <= 30 else None
            color = _COLORS[i % len(_COLORS)]
            ax.plot(x, y, color=color, marker=marker, markersize=4, label=name)
        if len(names) > 1:
            ax.legend(frameon=False)
        ax.set_xlabel(unit)
        ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
        ax.xaxis.set_major_formatter(_short)
        _tidy(ax)
        if names is losses:
            ax.set_ylabel(losses[0] if len(losses) == 1 else "loss")
            values = np.concatenate([curves[name][1] for name in losses])
            values = values[np.isfinite(values)]
            if values.size and 0 < 10 * values.min() < values.max():
                ax.set_yscale("log")
                _log_ticks(ax.yaxis)
        else:
            ax.set_ylabel(_score_label(wanted)[0])
    if baselines:
        _draw_baselines(ax, baselines)
        _write_names(ax, {}, baselines, [curves[name] for name in scores])
    return fig


def quality_against_cost(
    rows, x="parameters", y="psnr_y", group=None, baselines=None, title=None
):
    """Draws how good models are against their cost, on a logarithmic axis.

    Args:
        rows: List of dicts, one for each model, with "model" (its label) and
            the columns that `x`, `y` and `group` name.
        x: Column of the cost, such as "parameters", "mult_adds" or
            "ms_per_megapixel". Less is better.
        y: Column of the score.
        group: Column that determines the points' colours, with a legend.
        baselines: Dict of label to a score, drawn as horizontal lines: for
            bicubic, which has no parameters.
        title: Text above the figure.

    Returns:
        A matplotlib Figure with one axes. Its corner says which direction is
        better, if `y` is a score that this module knows.

    Raises:
        ValueError: If there are no rows, if one lacks a column or has no finite
            number in it, or if a cost is not positive.
    """
    _check_rows(rows, x, y, group)
    for row in rows:
        if row[x] <= 0:
            raise ValueError(
                f"'{x}' must be positive on a logarithmic axis. "
                f"Received: {row[x]} for '{row['model']}'; use `baselines`"
            )
    fig, ax = _scatter(rows, x, y, group, baselines, title)
    ax.set_xscale("log")
    _log_ticks(ax.xaxis)
    ax.set_xlabel({"mult_adds": "Mult-Adds"}.get(x, x.replace("_", " ")))
    label, more_is_better = _score_label(y)
    ax.set_ylabel(label)
    if more_is_better is not None:
        arrow = "\N{NORTH WEST ARROW}" if more_is_better else "\N{SOUTH WEST ARROW}"
        ax.set_title(f"{arrow} better", loc="left", fontsize=11)
    colors = _name_colors(rows, group)
    _write_names(ax, _points(rows, x, y), baselines or {}, colors=colors)
    return fig


def quality_against_perception(
    rows, x="psnr_y", y="niqe", group=None, baselines=None, title=None
):
    """Draws the perception-distortion plane.

    As in the paper, distortion increases to the right and perceptual quality
    decreases upwards, so that better is to the lower left and no method can go
    beyond a certain curve there. Axes of scores of which more is better (PSNR) are
    reversed for that, and say so.

    Args:
        rows: List of dicts, one for each model, with "model" (its label) and
            the columns that `x`, `y` and `group` name.
        x: Column of the score against the true image: "psnr_y", "ssim_y", ...
        y: Column of the perceptual score: "niqe", "lpips", "perceptual_index"
            or "mos".
        group: Column that determines the points' colours, with a legend.
        baselines: Dict of label to a `y`, drawn as horizontal lines: for HR
            itself, whose PSNR is infinite.
        title: Text above the figure.

    Returns:
        A matplotlib Figure with one axes.

    Raises:
        ValueError: If there are no rows, if one lacks a column or has no finite
            number in it, or if `x` or `y` is not a score that this module knows.

    Reference:
        [Blau and Michaeli, 2018](https://arxiv.org/abs/1711.06077)
    """
    _check_rows(rows, x, y, group)
    for column in (x, y):
        if _score_label(column)[1] is None:
            raise ValueError(
                f"`x` and `y` must be among the scores {sorted(_SCORES)}, optionally "
                f"followed by '_y' or '_rgb'. Received: '{column}'"
            )
    fig, ax = _scatter(rows, x, y, group, baselines, title)
    for axis, column, praise in (
        (ax.xaxis, x, "less distortion"),
        (ax.yaxis, y, "looks more natural"),
    ):
        label, more_is_better = _score_label(column)
        axis.set_inverted(more_is_better)
        label += ", axis reversed" if more_is_better else ""
        axis.set_label_text(f"\N{LEFTWARDS ARROW} {praise}: {label}")
    ax.set_title("\N{SOUTH WEST ARROW} better", loc="left", fontsize=11)
    colors = _name_colors(rows, group)
    _write_names(ax, _points(rows, x, y), baselines or {}, colors=colors)
    return fig


def _curves(logs, unit):
    """Returns every logged name's (x, y). Values may be missing or None."""
    if isinstance(logs, dict):
        if len({len(values) for values in logs.values()}) > 1:
            raise ValueError(
                "The lists of a Keras History must have the same length. Received: "
                f"{ {name: len(values) for name, values in logs.items()} }"
            )
        names = list(logs)
        logs = [
            {"epoch": i + 1, **dict(zip(names, values, strict=True))}
            for i, values in enumerate(zip(*logs.values(), strict=True))
        ]
    curves = {}
    for entry in logs:
        if unit not in entry:
            raise ValueError(
                f"Every entry of `logs` must have a '{unit}'. Received: {entry}"
            )
        for name, value in entry.items():
            if value is not None:
                x, y = curves.setdefault(name, ([], []))
                x.append(entry[unit])
                y.append(value)
    return curves


def _check_rows(rows, x, y, group):
    if not rows:
        raise ValueError(f"`rows` must contain at least one model. Received: {rows}")
    columns = ["model", x, y] + ([group] if group else [])
    for row in rows:
        if not row.keys() >= set(columns):
            raise ValueError(f"Every row must have {columns}. Received: {row}")
        for column in (x, y):
            if row[column] is None or not math.isfinite(row[column]):
                raise ValueError(
                    f"'{column}' must be a finite number. Received: {row[column]} "
                    f"for '{row['model']}'"
                )


def _scatter(rows, x, y, group, baselines, title):
    """Draws the points, their legend and the baselines, without any names."""
    fig = _chart(*((7.2, 4.8) if len(rows) <= _MANY else (9.5, 6.2)), title)
    ax = fig.subplots()
    ax.margins(0.12)
    names = list(dict.fromkeys(row[group] for row in rows)) if group else [None]
    for i, name in enumerate(names):
        members = [row for row in rows if not group or row[group] == name]
        ax.scatter(
            [row[x] for row in members],
            [row[y] for row in members],
            s=60,
            color=_COLORS[i % len(_COLORS)],
            marker=_MARKERS[i % len(_MARKERS)],
            edgecolor="white",
            label=name,
            zorder=3,
        )
    if group:
        fig.legend(loc="outside lower center", ncols=min(len(names), 3), frameon=False)
    _draw_baselines(ax, baselines or {})
    _tidy(ax)
    return fig, ax


def _points(rows, x, y):
    return [(row["model"], row[x], row[y]) for row in rows]


def _name_colors(rows, group):
    """Returns a colour for the name of each row: that of its point, but darker."""
    from matplotlib.colors import to_rgb

    if not group:
        return ["black"] * len(rows)
    names = list(dict.fromkeys(row[group] for row in rows))
    colors = [_COLORS[names.index(row[group]) % len(_COLORS)] for row in rows]
    return [tuple(_DARKER * np.array(to_rgb(color))) for color in colors]


def _draw_baselines(ax, baselines):
    for value in baselines.values():
        ax.axhline(value, color="0.4", linestyle="--", linewidth=1)


def _write_names(ax, points, baselines, curves=(), colors=()):
    """Writes the names of points and of baselines where they cover nothing.

    Args:
        ax: Axes on which all else has been drawn.
        points: List of (name, x, y).
        baselines: Dict of name to y.
        curves: Lists of (x, y), which names must not cover.
        colors: Colours of the names of points.
    """
    import textalloc

    # The axes must not move any more when the names have their places.
    ax.get_figure().draw_without_rendering()
    ax.get_figure().set_layout_engine("none")
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
    to_data = ax.transAxes + ax.transData.inverted()
    (left, _), (end, _), (right, _) = to_data.transform([(0, 0), (0.985, 0), (1, 0)])
    # Names are placed one after the other, those with little room first.
    ends = [(f"{name} {y:.4g}", end, y) for name, y in baselines.items()]
    order = _crowded_first(ax, points)
    names = ends + [points[i] for i in order]
    if not names:
        return
    texts, x, y = zip(*names, strict=True)
    lines = [([left, right], [y, y]) for y in baselines.values()] + list(curves)
    options = {
        "x_scatter": [x for _, x, _ in points] or None,
        "y_scatter": [y for _, _, y in points] or None,
        "scatter_sizes": [_RADIUS] * len(points) or None,
        "x_lines": [x for x, _ in lines] or None,
        "y_lines": [y for _, y in lines] or None,
        "textsize": _NAME_SIZE,
        "textcolor": ["0.3"] * len(ends) + [colors[i] for i in order],
        "linecolor": "0.6",
        "margin": 0.004,
        "min_distance": 0.012,
        "max_distance": 0.5,
        "nbr_candidates": 1000,
        "va": "bottom",
    }
    apart = {"avoid_label_lines_overlap": True, "avoid_crossing_label_lines": True}
    seeds = [{"priority_strategy": seed} for seed in (None, 0, 1, 2, 3)]
    # If there is no room in any order, names are drawn nonetheless.
    for extra in [*({**apart, **seed, "draw_all": False} for seed in seeds), {}]:
        *_, written, leaders = textalloc.allocate(
            ax, x, y, list(texts), **options, **extra
        )
        if None not in written:
            break
        for artist in filter(None, written + leaders):
            artist.remove()
    for leader in leaders:
        if leader is not None:
            leader.set(gid=LEADER, label="_")
            (x0, y0), (x1, y1) = ax.transData.transform(leader.get_xydata())
            if math.hypot(x1 - x0, y1 - y0) < _SHORTEST_LEADER:
                leader.remove()


def _crowded_first(ax, points):
    """Returns the indices of points, those with near neighbours first."""
    if not points:
        return []
    places = ax.transData.transform([(x, y) for _, x, y in points])
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    return np.argsort(np.sort(apart, axis=1)[:, :4].sum(axis=1), kind="stable")


def _score_label(column):
    """Returns a score's axis label, and whether more is better (None: unknown)."""
    base = column.removesuffix("_y").removesuffix("_rgb")
    label, more_is_better = _SCORES.get(base, (column.replace("_", " "), None))
    if more_is_better is not None:
        label += {"_y": " on luma", "_rgb": " on RGB"}.get(column[len(base) :], "")
    return label + (" (dB)" if base == "psnr" else ""), more_is_better


def _log_ticks(axis):
    """Gives a logarithmic axis plain numbers, more of them if it is short."""
    from matplotlib import ticker

    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high < 1000 * low else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=subs))
    axis.set_major_formatter(_short)
    axis.set_minor_formatter(ticker.NullFormatter())


def _short(value, _=None):
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= factor:
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


def _tidy(ax):
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _chart(width, height, title):
    fig = figure(width, height, layout="constrained")
    if title:
        fig.suptitle(wrap(title, width * DPI), fontsize=11)
    return fig
