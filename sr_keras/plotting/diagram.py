"""A diagram of a network, drawn from the network itself."""

import dataclasses
import math

import keras
import numpy as np

from sr_keras.plotting.panels import figure
from sr_keras.precision import graph_of

_UNIT = 0.5  # inches for each unit of length below
_BOX = (0.9, 2.5)  # width and height
_STEP = 1.3  # from one element to the next
_LEVEL = 3.2  # up to where feature maps are twice as large
_LETTERS = 15  # that fit into the height of a box
_RADIUS = 0.36  # of the circle of a merge
_GAP = 0.45  # between lines that pass over each other

_COLORS = {
    "convolution": "#9ecae1",
    "upsampling": "#fdae6b",
    "downsampling": "#c7e9c0",
    "activation": "#eeeeee",
    "other": "#dadaeb",
}
_MERGES = {
    "Add": "+",
    "Concatenate": "C",
    "Multiply": "\N{MULTIPLICATION SIGN}",
    "Subtract": "\N{MINUS SIGN}",
}
# Functions of `keras.ops` that are drawn as an activation, or with a number.
_FUNCTIONS = {
    "Elu": "ELU",
    "Gelu": "GELU",
    "LeakyRelu": "LeakyReLU",
    "Relu": "ReLU",
    "Relu6": "ReLU6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Softmax": "softmax",
    "Tanh": "tanh",
}
_ARITHMETIC = {"Add", "Multiply", "Subtract"}
# Written below the layer before them, if it feeds nothing else.
_ADDED = {
    "Activation",
    "BatchNormalization",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Rescaling",
}
_LEFT_OUT = {"CropLike", "Dropout", "Identity", "Output", "PadToMultiple"}


@dataclasses.dataclass(eq=False)
class _Node:
    """A call of a layer, or of a function of `keras.ops`."""

    kind: str  # name of its class, or of the class of layers that is drawn alike
    label: list  # lines of text
    color: str
    shape: tuple
    inputs: list
    level: float = 0.0  # log2 of the size relative to the input's
    x: float = 0.0
    first: "_Node" = None  # the node that is drawn instead: that of the first block


@dataclasses.dataclass(eq=False)
class _Repeat:
    """A part that is repeated `count` times. `items` is the first of them."""

    items: list
    count: int


def diagram(model, size=96, title=None):
    """Draws a network: its layers from left to right, repeated blocks once.

    The height of a layer shows the size of its feature maps: one level up means twice
    as many pixels on each side, so that a U-Net looks like a U. Blocks that follow each
    other and are the same are drawn once, with their number. Activations and
    normalizations are written into the layer before them. Layers that only pad, crop
    or mark the output are left out.

    Args:
        model: A functional or built sequential model.
        size: Height and width of the input for which sizes are computed, where the
            model leaves them open. Dict of input name to size for a model whose
            inputs have different sizes.
        title: Text above the diagram.

    Returns:
        A matplotlib Figure. `fig.savefig("name.svg")` writes it for a slide.

    Raises:
        ValueError: If `model` has no graph of layers, as a subclassed model has none.
    """
    nodes = _nodes(model, size)
    items = _compress(nodes)
    return _draw(items, nodes, title)


def _nodes(model, size):
    """Returns the calls of layers that are drawn, in the order of computation."""
    graph = graph_of(model)
    places = {operation.name: i for i, operation in enumerate(graph.operations)}
    nodes, node_of = [], {}  # id of a tensor: the node that computed it
    place_of = {}  # node: where it is drawn, after its sources

    def add(node, name):
        place_of[node] = max(
            [places[name], *(place_of[source] for source in node.inputs)]
        )
        nodes.append(node)

    names = {
        id(operation.output): operation.name
        for operation in graph.operations
        if isinstance(operation, keras.layers.InputLayer)
    }
    inputs = []
    for tensor in graph.inputs:
        name = names[id(tensor)]
        side = size.get(name) if isinstance(size, dict) else size
        shape = [side if length is None else length for length in tensor.shape[1:]]
        new = keras.Input(
            batch_shape=(tensor.shape[0], *shape), dtype=tensor.dtype, name=name
        )
        inputs.append(new)
        node = _Node("InputLayer", [name], "other", new.shape, [])
        node_of[id(new)] = node
        add(node, name)

    def record(operation, *args, **kwargs):
        outputs = operation(*args, **kwargs)
        values = keras.tree.flatten((args, kwargs))
        tensors = [x for x in values if isinstance(x, keras.KerasTensor)]
        made = keras.tree.flatten(outputs)
        sources = [node_of[id(tensor)] for tensor in tensors]
        if type(operation).__name__ in _LEFT_OUT:
            node = sources[0]
        else:
            shapes = tensors[0].shape, made[0].shape
            node = _Node(*_describe(operation, values, *shapes), shapes[1], sources)
            add(node, operation.name)
        node_of.update((id(tensor), node) for tensor in made)
        return outputs

    inputs = keras.tree.pack_sequence_as(graph.input, inputs)
    keras.models.clone_model(graph, inputs, call_function=record)
    return sorted(nodes, key=place_of.get)


def _describe(operation, values, before, after):
    """Describes a call of a layer or of a function of `keras.ops`.

    Args:
        operation: The layer or function.
        values: Flat list of what it is called with: tensors and constants.
        before: Shape of its first input.
        after: Shape of its first output.

    Returns:
        The kind, the lines of text, and the color.
    """
    if isinstance(operation, keras.layers.SpectralNormalization):
        operation = operation.layer
    kind = type(operation).__name__
    config = operation.get_config() if isinstance(operation, keras.Layer) else {}
    activation = config.get("activation", "linear")
    if isinstance(activation, dict):
        activation = activation.get("class_name", "activation")
    names = {"relu": "ReLU", "linear": ""}
    activation = names.get(activation, activation)
    if kind in ("WeightNormalizedConv2D", "FoldableConv2D"):
        kind = "Conv2D"
    if kind in ("Conv2D", "Conv2DTranspose"):
        rows, columns = config.get("kernel_size", (3, 3))
        stride = config.get("strides", (1, 1))[0]
        arrow = "\N{UPWARDS ARROW}" if "Transpose" in kind else "\N{DOWNWARDS ARROW}"
        label = [
            f"{'Conv' if kind == 'Conv2D' else 'Conv. transp.'} "
            f"{rows}\N{MULTIPLICATION SIGN}{columns}",
            f"{config['filters']}" + (f", {arrow}{stride}" if stride > 1 else ""),
        ]
        if config.get("dilation_rate", (1, 1))[0] > 1:
            label[1] += f", dilation {config['dilation_rate'][0]}"
        if activation:
            label[1] += f", {activation}"
        is_larger = kind == "Conv2DTranspose" and stride > 1
        return kind, label, "upsampling" if is_larger else "convolution"
    if kind in _FUNCTIONS:
        return "Activation", [_FUNCTIONS[kind]], "activation"
    if kind in _ARITHMETIC and any(np.isscalar(value) for value in values):
        texts = [_number(v) if np.isscalar(v) else "x" for v in values]
        text = f" {_MERGES[kind]} ".join(texts).removeprefix("x ")
        return "Rescaling", [text], "activation"
    if kind in _ADDED:
        return kind, [_added_text(kind, config, activation)], "activation"
    names = {
        "GlobalAveragePooling2D": "Global mean",
        "MaxPooling2D": "Max pooling",
        "PixelShuffle": "Pixel shuffle",
    }
    name = names.get(kind, kind.removesuffix("2D").removesuffix("Upsampling"))
    if isinstance(operation, keras.Model):
        name = operation.name
    if len(before) == len(after) == 4 and min(before[1], after[1]) > 1:
        factor = after[1] / before[1]
        if factor > 1:
            return kind, [f"{name} \N{UPWARDS ARROW}{factor:g}"], "upsampling"
        if factor < 1:
            return kind, [f"{name} \N{DOWNWARDS ARROW}{1 / factor:g}"], "downsampling"
    if kind == "Dense":
        name += f" {config['units']}" + (f", {activation}" if activation else "")
    return kind, [name], "other"


def _added_text(kind, config, activation):
    if kind == "Rescaling":
        return _rescaling_text(config["scale"], config["offset"])
    return {"Activation": activation, "BatchNormalization": "BN"}.get(kind, kind)


def _rescaling_text(scale, offset):
    """Returns what a `Rescaling` does; lists have a value for each channel."""
    texts = []
    if np.ndim(scale):
        texts.append("\N{MULTIPLICATION SIGN} per channel")
    elif scale != 1:
        texts.append(f"\N{MULTIPLICATION SIGN} {_number(scale)}")
    if np.ndim(offset):
        texts.append("mean shift")
    elif offset:
        sign = "+" if offset > 0 else "\N{MINUS SIGN}"
        texts.append(f"{sign} {_number(abs(offset))}")
    return ", ".join(texts) or "Rescaling"


def _number(value):
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _fuse(nodes):
    """Writes activations and normalizations into the layer before them."""
    users = {}
    for node in nodes:
        for source in node.inputs:
            users.setdefault(source, []).append(node)
    stands_for, kept = {}, []
    for node in nodes:
        node.inputs = [stands_for.get(source, source) for source in node.inputs]
        source = node.inputs[0] if node.inputs else None
        is_added = (
            node.kind in _ADDED
            and source.kind in ("Conv2D", "Conv2DTranspose")
            and len(users.get(source, [])) == 1
        )
        if is_added:
            source.label = _with(source.label, node.label[0])
            stands_for[node] = source
            users[source] = users.get(node, [])
        else:
            kept.append(node)
    return kept


def _with(label, text):
    """Adds a word to the last line, or on a third one if that gets too long."""
    line = f"{label[-1]}, {text}"
    if len(label) == 2 and len(line) > _LETTERS:
        return [*label, text]
    return [*label[:-1], line]


def _compress(nodes):
    """Returns a list of nodes and of repeats of such lists."""
    nodes[:] = _fuse(nodes)
    base = next((node.shape for node in nodes if len(node.shape) == 4), None)
    for node in nodes:
        node.first = node
        if len(node.shape) == 4 and node.shape[1] > 1:
            node.level = math.log2(node.shape[1] / base[1])
        elif node.inputs:
            node.level = node.inputs[0].level
    return _repeats(nodes, {node: i for i, node in enumerate(nodes)})


def _repeats(nodes, place):
    """Collapses the repeat that saves most, and goes on before, in and after it."""
    signs = [
        (
            tuple(node.label),
            node.kind,
            node.level,
            node.shape[-1],
            tuple(place[source] - place[node] for source in node.inputs),
        )
        for node in nodes
    ]
    best = (0, 0, 0, 0)  # elements saved, -period, -start, count
    for period in range(1, len(nodes) // 2 + 1):
        start = 0
        while start + 2 * period <= len(nodes):
            length = 0
            while (
                start + period + length < len(nodes)
                and signs[start + length] == signs[start + period + length]
            ):
                length += 1
            count = 1 + length // period
            if count > 1:
                best = max(best, (period * (count - 1), -period, -start, count))
            start += length + 1
    saved, period, start, count = best
    if not saved:
        return list(nodes)
    period, start = -period, -start
    end = start + period * count
    block = nodes[start : start + period]
    for i in range(start + period, end):
        nodes[i].first = block[(i - start) % period]
    return [
        *_repeats(nodes[:start], place),
        _Repeat(_repeats(block, place), count),
        *_repeats(nodes[end:], place),
    ]


def _first(node):
    while node.first is not node:
        node = node.first
    return node


def _draw(items, nodes, title):
    drawn, frames = [], []
    width = _place(items, 0.0, drawn, frames)
    levels = sorted({node.level for node in drawn})
    place = {node: i for i, node in enumerate(drawn)}
    lines = _lines(drawn, place)
    tops = [node.level * _LEVEL + _BOX[1] / 2 for node in drawn]
    tops += [height for *_, height in lines if height is not None]
    for frame in frames:
        inside = drawn[frame["start"] : frame["end"]]
        frame["low"] = min(node.level for node in inside) * _LEVEL - _BOX[1] / 2
        within = [h for a, b, h in lines if h and a in inside and b in inside]
        tallest = max(node.level for node in inside) * _LEVEL + _BOX[1] / 2
        frame["high"] = max([tallest, *within]) + 0.25 * (frame["inner"] + 1)
        frame["low"] -= 0.25 + 0.75 * frame["inner"]
        tops.append(frame["high"])
    left = -2.2 if len(levels) > 1 else -0.9
    low = min(levels) * _LEVEL - _BOX[1] / 2 - 0.2
    low = min([low, *(frame["low"] - 0.8 for frame in frames)])
    high = max(tops) + (1.0 if title else 0.3)
    right = width - _STEP + 1.6

    fig = figure((right - left) * _UNIT, (high - low) * _UNIT)
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    ax.axis("off")
    if title:
        ax.text((left + right) / 2, high - 0.25, title, ha="center", va="top", size=12)
    if len(levels) > 1:
        for level in levels:
            y = level * _LEVEL
            ax.plot([left + 1.1, right], [y, y], color="0.9", linewidth=0.8, zorder=0)
            ax.text(left + 0.1, y, _size_text(level), va="center", size=9, color="0.4")
    for frame in frames:
        _frame(ax, frame)
    for source, node, height in lines:
        _line(ax, source, node, height)
    for node in drawn:
        _element(ax, node)
    for tensor in {_first(node) for node in nodes if _is_output(node, nodes)}:
        y = tensor.level * _LEVEL
        _arrow(ax, [(tensor.x + _half(tensor), y), (tensor.x + _half(tensor) + 0.8, y)])
    return fig


def _is_output(node, nodes):
    return not any(node in other.inputs for other in nodes)


def _place(items, x, drawn, frames):
    """Sets the positions of all nodes; returns where the next one goes."""
    for item in items:
        if isinstance(item, _Node):
            item.x = x
            drawn.append(item)
            x += _STEP if item.kind not in _MERGES else _STEP * 0.9
            continue
        frame = {"left": x - 0.65, "start": len(drawn), "count": item.count}
        frames.append(frame)
        own = len(frames)
        x = _place(item.items, x + 0.15, drawn, frames)
        inner = max([other["inner"] for other in frames[own:]], default=-1) + 1
        frame.update(end=len(drawn), right=x - 0.6, inner=inner)
        x += 0.3
    return x


def _lines(drawn, place):
    """Returns (source, node, height): a line is straight if its height is None."""
    found = []
    for node in drawn:
        for source in dict.fromkeys(_first(s) for s in node.inputs):
            if source in place and place[source] < place[node]:
                found.append((source, node))
    found.sort(key=lambda pair: place[pair[1]] - place[pair[0]])
    lines, spans = [], []
    for source, node in found:
        between = drawn[place[source] + 1 : place[node]]
        level = max(source.level, node.level)
        is_clear = all(other.level < level - 0.5 for other in between)
        if not between or (is_clear and source.level == node.level):
            lines.append((source, node, None))
            continue
        high = max(other.level for other in [source, *between, node])
        height = high * _LEVEL + _BOX[1] / 2 + _GAP
        for left, right, other in spans:
            if left < place[node] and place[source] < right and other >= height - 0.01:
                height = other + _GAP
        spans.append((place[source], place[node], height))
        lines.append((source, node, height))
    return lines


def _half(node):
    return _RADIUS if node.kind in _MERGES else _BOX[0] / 2


def _arrow(ax, points):
    xs, ys = zip(*points, strict=True)
    ax.plot(xs[:-1], ys[:-1], color="0.25", linewidth=1.2, solid_joinstyle="round")
    ax.annotate(
        "",
        points[-1],
        points[-2],
        arrowprops={
            "arrowstyle": "-|>",
            "color": "0.25",
            "linewidth": 1.2,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _line(ax, source, node, height):
    y, end = source.level * _LEVEL, node.level * _LEVEL
    if height is not None:
        top = _RADIUS if node.kind in _MERGES else _BOX[1] / 2
        start = source.x + _half(source) + 0.12
        x = node.x if node.kind in _MERGES else node.x - 0.2
        _arrow(
            ax,
            [
                (start - 0.12, y),
                (start, y),
                (start, height),
                (x, height),
                (x, end + top),
            ],
        )
        return
    start, stop = source.x + _half(source), node.x - _half(node)
    if y == end:
        _arrow(ax, [(start, y), (stop, end)])
    else:
        middle = (start + stop) / 2
        _arrow(ax, [(start, y), (middle, y), (middle, end), (stop, end)])


def _element(ax, node):
    import matplotlib.patches as patches

    y = node.level * _LEVEL
    if node.kind in _MERGES:
        ax.add_patch(
            patches.Circle((node.x, y), _RADIUS, fc="white", ec="0.2", zorder=3)
        )
        ax.text(
            node.x, y, _MERGES[node.kind], ha="center", va="center", size=10, zorder=4
        )
        return
    if node.kind == "InputLayer":
        ax.text(node.x, y, node.label[0], ha="center", va="center", size=10, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})  # fmt: skip
        return
    box = patches.FancyBboxPatch(
        (node.x - _BOX[0] / 2, y - _BOX[1] / 2),
        *_BOX,
        boxstyle="round,pad=0,rounding_size=0.1",
        fc=_COLORS[node.color],
        ec="0.2",
        zorder=3,
    )
    ax.add_patch(box)
    ax.text(
        node.x,
        y,
        "\n".join(node.label),
        rotation=90,
        ha="center",
        va="center",
        size=8.5,
        zorder=4,
    )


def _frame(ax, frame):
    import matplotlib.patches as patches

    corner = frame["left"], frame["low"]
    size = frame["right"] - frame["left"], frame["high"] - frame["low"]
    ax.add_patch(
        patches.FancyBboxPatch(
            corner,
            *size,
            boxstyle="round,pad=0,rounding_size=0.2",
            fc="none",
            ec="#d95f02",
            linestyle="--",
            linewidth=1.2,
            zorder=1,
        )
    )
    ax.text(
        frame["right"],
        frame["low"] - 0.08,
        f"\N{MULTIPLICATION SIGN} {frame['count']}",
        ha="right",
        va="top",
        size=11,
        color="#d95f02",
    )


def _size_text(level):
    factor = 2**level
    if factor >= 1:
        return f"size \N{MULTIPLICATION SIGN}{factor:g}"
    return f"size 1/{1 / factor:g}"
