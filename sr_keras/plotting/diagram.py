"""A diagram of a network, drawn from the network itself."""

import collections
import dataclasses
import functools
import math
import re

import keras
import numpy as np

from sr_keras.plotting.panels import figure
from sr_keras.precision import graph_of

_TEXT = 11  # size of letters in points
# Lengths in inches.
_BOX = (0.94, 0.84)  # width and height
_RADIUS = 0.17  # of the circle of a merge
_GAP = 0.2  # from one element to the next
_ROW = 0.3  # between two rows
_LANE = 0.2  # between lines that pass over boxes
_FRAME = 0.08  # between a frame and what it holds
_NUMBER = 0.24  # height of the number below a frame

_COLORS = {
    "convolution": "#9ecae1",
    "upsampling": "#fdae6b",
    "downsampling": "#c7e9c0",
    "activation": "#eeeeee",
    "other": "#dadaeb",
    "block": "#fee391",
}
_NO_IMAGE = math.inf  # level of values that are computed without an image
_RESIZING = {"upsampling", "downsampling"}
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
# Written into the layer before them, if it feeds nothing else.
_ADDED = {
    "Activation",
    "BatchNormalization",
    "GELU",
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
    name: str = ""  # of its layer
    level: float = 0.0  # log2 of the size relative to the first image's
    first: "_Node" = None  # the node that is drawn instead: that of the first block
    row: int = 0  # of its level, from the bottom
    x: float = 0.0
    y: float = 0.0
    over: "_Node" = None  # the node above or below which it stands
    frame: tuple = ()  # numbers of the frames around it
    sources: list = dataclasses.field(default_factory=list)  # drawn nodes
    users: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Line:
    """A line from a node to one or more others."""

    source: _Node
    targets: list
    row: int = None  # over which it passes, in a lane; None if it does not
    lane: int = 0


@dataclasses.dataclass(eq=False)
class _Repeat:
    """A part that is repeated `count` times. `items` is the first of them."""

    items: list
    count: int


def diagram(model, size=96, title=None, blocks=None):
    """Draws a network: its layers from left to right, repeated blocks once.

    The height of a layer shows the size of its feature maps: there is a row for each
    size, and larger maps are further up, so that a U-Net looks like a U. What is
    computed without an image, such as an embedded time, has the uppermost row. Blocks
    that follow each other and are the same are drawn once, with their number.
    Activations and normalizations are written into the layer before them. Layers that
    only pad, crop or mark the output are left out.

    Letters are 11 points high. They have 12 pixels on a slide of 900 pixels if the
    figure is at most 11.4 inches wide. `blocks` makes a large network narrower.

    Args:
        model: A functional or built sequential model.
        size: Height and width of the input for which sizes are computed, where the
            model leaves them open. Dict of input name to size for a model whose
            inputs have different sizes.
        title: Text above the diagram.
        blocks: Dict of a regular expression to a text. All layers whose names it
            matches from their beginning are drawn as one box with this text, such as
            `{"encoder_0": "Residual block"}`.

    Returns:
        A matplotlib Figure. `fig.savefig("name.svg")` writes it for a slide.

    Raises:
        ValueError: If `model` has no graph of layers, as a subclassed model has none,
            or an expression in `blocks` matches no layer.
    """
    nodes, main = _nodes(model, size)
    nodes = _in_reading_order(_with_blocks(nodes, blocks or {}), main)
    items = _compress(nodes)
    return _draw(items, nodes, title)


def _nodes(model, size):
    """Returns the calls of layers that are drawn, in order, and the first input."""
    graph = graph_of(model)
    places = {operation.name: i for i, operation in enumerate(graph.operations)}
    nodes, node_of = [], {}  # id of a tensor: the node that computed it
    place_of = {}  # node: where it is drawn, after its sources

    def add(node, name):
        node.name = name
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
    clone = keras.models.clone_model(graph, inputs, call_function=record)
    nodes.sort(key=place_of.get)
    needed = {node_of[id(tensor)] for tensor in clone.outputs}
    for node in reversed(nodes):
        needed.update(node.inputs if node in needed else ())
    main = node_of[id(keras.tree.flatten(inputs)[0])]
    return [node for node in nodes if node in needed], main


def _in_reading_order(nodes, main):
    """Moves nodes to where a reader looks for them.

    What is computed without an image comes first. An input other than `main`, and what
    is computed from it alone, moves to where it is used. What resizes an input follows
    it at once, and so does a layer beside one that downscales.
    """
    origins, users = {}, {node: [] for node in nodes}
    for node in nodes:
        own = {node} if node.kind == "InputLayer" else set()
        origins[node] = own.union(*(origins[source] for source in node.inputs))
        for source in node.inputs:
            users[source].append(node)
    ordered = []

    def put(node):
        if node in ordered:
            return
        for source in node.inputs:
            put(source)
        if node not in ordered:
            ordered.append(node)
        alone = [user for user in users[node] if user.inputs == [node]]
        splits = any(_is_smaller(user, node) for user in alone)
        for user in alone:
            resizes_input = node.kind == "InputLayer" and user.color in _RESIZING
            if resizes_input or splits and user.shape[:3] == node.shape[:3]:
                put(user)

    for node in nodes:
        if all(len(origin.shape) < 4 for origin in origins[node]):
            put(node)
    for node in nodes:
        if len(origins[node]) > 1 or origins[node] == {main} != {node}:
            put(node)
    for node in nodes:
        put(node)
    return ordered


def _is_smaller(node, other):
    """Returns whether a node makes smaller maps than another one."""
    return (
        len(node.shape) == len(other.shape) == 4 and 1 < node.shape[1] < other.shape[1]
    )


def _with_blocks(nodes, blocks):
    """Replaces the layers of each block by one box."""
    block_of = {}
    for pattern in blocks:
        found = [node for node in nodes if re.match(pattern, node.name)]
        if not found:
            raise ValueError(
                "The keys of `blocks` must be regular expressions that match the "
                f"beginning of the names of layers. Received: {pattern!r}, which "
                "matches none"
            )
        block_of.update(dict.fromkeys(found, pattern))
    last = {pattern: node for node, pattern in block_of.items()}
    inputs = {node: [] for node in last.values()}
    for node in nodes:
        box = last.get(block_of.get(node), node)
        sources = [last.get(block_of.get(source), source) for source in node.inputs]
        inputs.setdefault(box, []).extend(s for s in sources if s is not box)
    for pattern, node in last.items():
        node.kind, node.color = "Block", "block"
        node.label = [blocks[pattern], f"{node.shape[-1]}"]
    for node, sources in inputs.items():
        node.inputs = sources if node.kind != "Block" else list(dict.fromkeys(sources))
    return [node for node in nodes if node in inputs]


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
            f"{'Conv' if kind == 'Conv2D' else 'Transp. conv'} "
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
        "GroupNormalization": "Group norm",
        "LayerNormalization": "Layer norm",
        "MaxPooling2D": "Max pooling",
        "PixelShuffle": "Pixel shuffle",
        "PixelUnshuffle": "Pixel unshuffle",
        "ShiftedWindowAttention": "Window attention",
        "TimeEmbedding": "Time embedding",
        "UpSampling2D": "Nearest",
    }
    name = names.get(kind, kind.removesuffix("2D").removesuffix("Upsampling"))
    if isinstance(operation, keras.Model):
        name = operation.name
    if len(before) == len(after) == 4 and min(before[1], after[1]) > 1:
        factor = after[1] / before[1]
        if factor > 1:
            return kind, [f"{name} \N{UPWARDS ARROW}{factor:.3g}"], "upsampling"
        if factor < 1:
            return kind, [f"{name} \N{DOWNWARDS ARROW}{1 / factor:.3g}"], "downsampling"
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
            and source.kind != "InputLayer"
            and source.kind not in _MERGES
            and len(users.get(source, [])) == 1
        )
        if is_added:
            source.label = [*source.label, node.label[0]]
            stands_for[node] = source
            users[source] = users.get(node, [])
        else:
            kept.append(node)
    return kept


def _compress(nodes):
    """Returns a list of nodes and of repeats of such lists."""
    nodes[:] = _fuse(nodes)
    images = [node for node in nodes if len(node.shape) == 4 and node.shape[1] > 1]
    for node in nodes:
        node.first = node
        if node in images:
            node.level = math.log2(node.shape[1] / images[0].shape[1])
        elif node.inputs:
            node.level = node.inputs[0].level
        elif len(node.shape) < 4:
            node.level = _NO_IMAGE
    place = {node: i for i, node in enumerate(nodes)}
    sources = [source for node in nodes for source in node.inputs]
    items = _repeats(nodes, place, collections.Counter(sources))
    return _fuse_merges(items, nodes)


def _fuse_merges(items, nodes):
    """Writes short activations below the circle before them."""
    kept = []
    for item in items:
        before = kept[-1] if kept else None
        if isinstance(item, _Repeat):
            item.items = _fuse_merges(item.items, nodes)
        elif (
            isinstance(before, _Node)
            and before.kind in _MERGES
            and item.kind in _ADDED
            and len(item.label[0]) <= 5
            and [node for node in nodes if before in node.inputs] == [item]
        ):
            before.label = [*before.label, item.label[0]]
            item.first = before
            continue
        kept.append(item)
    return kept


def _repeats(nodes, place, num_users):
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
                # a single layer is only repeated if nothing else uses it in between
                and (period > 1 or num_users[nodes[start + length]] == 1)
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
        *_repeats(nodes[:start], place, num_users),
        _Repeat(_repeats(block, place, num_users), count),
        *_repeats(nodes[end:], place, num_users),
    ]


def _first(node):
    while node.first is not node:
        node = node.first
    return node


def _draw(items, nodes, title):
    levels = sorted({_first(node).level for node in nodes})
    for node in nodes:
        node.row = levels.index(_first(node).level)
        if node.first is node:
            node.sources = list(dict.fromkeys(_first(s) for s in node.inputs))
            for source in node.sources:
                source.users.append(node)
    drawn, frames = [], []
    _place(items, 0.0, drawn, frames, ())
    right = max(_right(node) for node in drawn) + 0.46
    lines = _lines(drawn)
    _fit_frames(frames, drawn, lines)
    bases = _bases(len(levels), lines, frames)
    for node in drawn:
        node.y = bases[node.row]
    outputs = [
        _output(node, drawn)
        for node in dict.fromkeys(_first(n) for n in nodes if _is_output(n, nodes))
    ]
    top = max(
        [
            *(node.y + _BOX[1] / 2 for node in drawn),
            *(bases[i.row] + _lane_height(i.lane) for i in lines if i.row is not None),
            *(bases[frame["top"]] + frame["above"] for frame in frames),
        ]
    )
    low = min(
        [
            -_BOX[1] / 2,
            *(y for _, (_, y) in outputs),
            *(bases[frame["bottom"]] - frame["below"] - _NUMBER for frame in frames),
        ]
    )
    left = -0.8 if len(levels) > 1 else -0.1
    low, high = low - 0.1, top + (0.5 if title else 0.15)

    fig = figure(right - left, high - low)
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    ax.axis("off")
    if title:
        ax.text((left + right) / 2, high - 0.1, title, ha="center", va="top", size=13)
    if len(levels) > 1:
        for level, y in zip(levels, bases, strict=True):
            if level == _NO_IMAGE:
                continue
            ax.plot([-0.1, right], [y, y], color="0.9", linewidth=0.8, zorder=0)
            text = _size_text(level)
            ax.text(left + 0.05, y, text, va="center", size=_TEXT, color="0.4")
    for frame in frames:
        _frame(ax, frame, bases)
    for line in lines:
        if line.row is not None:
            _raised_line(ax, line, bases[line.row] + _lane_height(line.lane))
        elif line.source.level == _NO_IMAGE and line.targets[0].level != _NO_IMAGE:
            _falling_line(ax, line)
        else:
            _straight_line(ax, line.source, *line.targets)
    for node in drawn:
        _element(ax, node)
    for points in outputs:
        _arrow(ax, points)
    return fig


def _is_output(node, nodes):
    return not any(node in other.inputs for other in nodes)


def _place(items, x, drawn, frames, around):
    """Sets the positions of all nodes; returns where the next one begins."""
    inside = len(drawn)
    for item in items:
        if isinstance(item, _Node):
            item.frame = around
            item.over = _neighbour(item, drawn, inside, frames)
            item.x = _left(item, x, drawn) + _half(item)
            drawn.append(item)
            if item.level != _NO_IMAGE:
                x = max(x, _right(item) + _GAP)
            continue
        number = len(frames)
        frame = {"start": len(drawn), "count": item.count}
        frames.append(frame)
        x = _place(item.items, x + 0.04, drawn, frames, (*around, number))
        rows = [node.row for node in drawn[frame["start"] :]]
        frame.update(end=len(drawn), bottom=min(rows), top=max(rows))
        edge = _FRAME + 0.04 * _depth(item)
        frame["left"] = min(n.x - _half(n) for n in drawn[frame["start"] :]) - edge
        frame["right"] = max(_right(n) for n in drawn[frame["start"] :]) + edge
        x += 0.04
    return x


def _depth(repeat):
    """Returns how many frames are nested inside that of a repeat."""
    inner = [_depth(item) for item in repeat.items if isinstance(item, _Repeat)]
    return 1 + max(inner) if inner else 0


def _left(node, x, drawn):
    """Returns where a node begins if the next column begins at `x`."""
    if node.over:
        return node.over.x - _half(node.over)
    row = [_right(other) for other in drawn if other.row == node.row]
    if node.level == _NO_IMAGE:  # this row does not wait for the others
        return max(row, default=-_GAP) + _GAP
    sources = {source.level: source.row for source in node.sources}
    ends = [_right(other) for other in drawn if other.row == sources.get(_NO_IMAGE)]
    lefts = [x, *(end + _GAP for end in ends)]  # lines from this row fall beside it
    if row and node.sources and all(s.row != node.row for s in node.sources):
        lefts.append(max(row) + 2 * _GAP)  # room for the line that comes from there
    return max(lefts)


def _neighbour(node, drawn, inside, frames):
    """Returns the source above or below which a node fits, or None.

    Args:
        node: The node.
        drawn: List of the nodes before it.
        inside: Index of the first of them in the same frame.
        frames: List of the frames before it.
    """
    if node.kind in _MERGES:
        return None
    taken = {other.over for other in drawn}  # something stands above or below them
    for source in drawn[inside:][-2:]:
        if source.kind in _MERGES or source in taken or source.row == node.row:
            continue
        if source not in node.sources[:1] or source.level == _NO_IMAGE:
            continue
        steps = [(source, node)] + [(source.over, source)] * bool(source.over)
        steps += [(node, user) for user in node.users]
        if {a.row < b.row for a, b in steps if a.row != b.row} == {True, False}:
            continue  # the column would turn back
        left = source.x - _half(source)
        row = [_right(other) for other in drawn if other.row == node.row]
        is_framed = any(
            frame["left"] <= left <= frame["right"]
            and frame["bottom"] <= node.row <= frame["top"]
            for frame in frames
            if "right" in frame
        )
        if max(row, default=-math.inf) < left and not is_framed:
            return source
    return None


def _lines(drawn):
    """Returns all lines.

    The lines from a node that pass over boxes are one line with branches, as far as
    they end in the same frames.
    """
    lines, branched = [], {}
    for node in drawn:
        for source in node.sources:
            is_clear = not any(
                other.row == source.row and source.x < other.x < node.x
                for other in drawn
            )
            if is_clear and source.level == _NO_IMAGE != node.level:
                branched.setdefault(source, _Line(source, [])).targets.append(node)
            elif is_clear or node.over is source:
                lines.append(_Line(source, [node]))
            else:
                line = _Line(source, [], row=0)
                line = branched.setdefault((source, node.frame), line)
                line.targets.append(node)
    for line in branched.values():
        line.targets.sort(key=lambda node: node.x)
    placed = []
    for line in sorted(branched.values(), key=_length):
        if line.row is not None:
            line.row = max(node.row for node in [line.source, *line.targets])
            for other in placed:
                overlaps = (
                    other.source.x < line.targets[-1].x
                    and line.source.x < other.targets[-1].x
                )
                if overlaps and other.row == line.row:
                    line.lane = max(line.lane, other.lane + 1)
            placed.append(line)
    return [*lines, *branched.values()]


def _length(line):
    return line.targets[-1].x - line.source.x


def _lane_height(lane):
    """Returns how far above the middle of a row a lane is."""
    return _BOX[1] / 2 + (lane + 1) * _LANE


def _fit_frames(frames, drawn, lines):
    """Sets how far each frame reaches above and below the middle of its rows."""
    for number, frame in reversed(list(enumerate(frames))):
        inside = drawn[frame["start"] : frame["end"]]
        inner = [
            other for other in frames[number + 1 :] if other["start"] < frame["end"]
        ]
        within = [
            _lane_height(line.lane)
            for line in lines
            if line.row == frame["top"] and {line.source, *line.targets} <= set(inside)
        ]
        within += [o["above"] for o in inner if o["top"] == frame["top"]]
        frame["above"] = max([_BOX[1] / 2, *within]) + _FRAME
        below = [o["below"] + _NUMBER for o in inner if o["bottom"] == frame["bottom"]]
        frame["below"] = max([_BOX[1] / 2 + _FRAME, *below])


def _bases(num_rows, lines, frames):
    """Returns the height of the middle of each row."""
    above, below = [_BOX[1] / 2] * num_rows, [_BOX[1] / 2] * num_rows
    for line in lines:
        if line.row is not None:
            above[line.row] = max(above[line.row], _lane_height(line.lane))
    for frame in frames:
        above[frame["top"]] = max(above[frame["top"]], frame["above"])
        bottom = frame["bottom"]
        below[bottom] = max(below[bottom], frame["below"] + _NUMBER)
    bases = [0.0]
    for row in range(1, num_rows):
        bases.append(bases[-1] + above[row - 1] + _ROW + below[row])
    return bases


def _right(node):
    return node.x + _half(node)


def _half(node):
    """Returns half the width of a node."""
    if node.kind == "InputLayer":
        return _text_width(node.label[0]) / 2 + 0.03
    return _RADIUS if node.kind in _MERGES else _BOX[0] / 2


def _half_height(node):
    if node.kind == "InputLayer":
        return 0.12
    return _RADIUS if node.kind in _MERGES else _BOX[1] / 2


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


def _straight_line(ax, source, node):
    start, stop = _right(source), node.x - _half(node)
    if node.over is source:
        sign = 1 if node.y > source.y else -1
        ends = (
            source.y + sign * _half_height(source),
            node.y - sign * _half_height(node),
        )
        _arrow(ax, [(source.x, ends[0]), (source.x, ends[1])])
    elif source.row == node.row:
        _arrow(ax, [(start, source.y), (stop, node.y)])
    else:
        middle = stop - _GAP / 2
        points = [(start, source.y), (middle, source.y), (middle, node.y)]
        _arrow(ax, [*points, (stop, node.y)])


def _raised_line(ax, line, height):
    x, y = _right(line.source), line.source.y
    corner = x + _GAP / 2
    start = [(x, y), (corner, y), (corner, height)]
    _branches(ax, line.targets, start, height)


def _falling_line(ax, line):
    start = [(_right(line.source), line.source.y)]
    _branches(ax, line.targets, start, line.source.y)


def _branches(ax, targets, start, height):
    """Draws a line from the points in `start` at a height, and down to each target."""
    *others, last = [
        [(x, height), (x, node.y + _half_height(node))]
        for node in targets
        for x in [node.x if node.kind in _MERGES else node.x - 0.25]
    ]
    _arrow(ax, [*start, *last])
    for ends in others:
        _arrow(ax, ends)
        ax.plot(*ends[0], "o", color="0.25", markersize=4)


def _output(node, drawn):
    """Returns both ends of the arrow of an output."""
    if any(other.row == node.row and other.x > node.x for other in drawn):
        y = node.y - _half_height(node)
        return (node.x, y), (node.x, y - 0.3)
    x = _right(node)
    return (x, node.y), (x + 0.38, node.y)


@functools.cache
def _text_width(text):
    """Returns the width of a line of text in inches."""
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), text, size=_TEXT).get_extents().width / 72


def _wrapped(label):
    """Returns the lines of a box: breaks the parts of a label where they are long."""
    lines, room = [], _BOX[0] - 0.1
    for i, part in enumerate(label):
        for j, text in enumerate(part.split("\n")):
            for k, word in enumerate(text.split(" ")):
                is_first = k == 0 and (i < 2 or j > 0)
                comma = "," if j == k == 0 else ""
                line = "" if is_first else f"{lines[-1]}{comma} {word}"
                if line and _text_width(line) <= room:
                    lines[-1] = line
                else:
                    lines.append(word)
    return [line.removesuffix(",") for line in lines]


def _element(ax, node):
    import matplotlib.patches as patches

    style = {"ha": "center", "va": "center", "zorder": 4, "size": _TEXT}
    if node.kind in _MERGES:
        ax.add_patch(
            patches.Circle((node.x, node.y), _RADIUS, fc="white", ec="0.2", zorder=3)
        )
        ax.text(node.x, node.y, _MERGES[node.kind], **style)
        for text in node.label[1:]:
            ax.text(node.x, node.y - _RADIUS - 0.11, text, **style)
        return
    if node.kind == "InputLayer":
        ax.text(node.x, node.y, node.label[0], **style,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})  # fmt: skip
        return
    box = patches.FancyBboxPatch(
        (node.x - _BOX[0] / 2, node.y - _BOX[1] / 2),
        *_BOX,
        boxstyle="round,pad=0,rounding_size=0.06",
        fc=_COLORS[node.color],
        ec="0.2",
        zorder=3,
    )
    ax.add_patch(box)
    lines = _wrapped(node.label)
    width = max(_text_width(line) for line in lines)
    shrink = min(1, (_BOX[0] - 0.1) / width, (_BOX[1] - 0.04) / (0.185 * len(lines)))
    ax.text(node.x, node.y, "\n".join(lines), **{**style, "size": shrink * _TEXT})


def _frame(ax, frame, bases):
    import matplotlib.patches as patches

    low = bases[frame["bottom"]] - frame["below"]
    high = bases[frame["top"]] + frame["above"]
    ax.add_patch(
        patches.FancyBboxPatch(
            (frame["left"], low),
            frame["right"] - frame["left"],
            high - low,
            boxstyle="round,pad=0,rounding_size=0.1",
            fc="none",
            ec="#d95f02",
            linestyle="--",
            linewidth=1.2,
            zorder=1,
        )
    )
    ax.text(
        frame["right"],
        low - 0.04,
        f"\N{MULTIPLICATION SIGN} {frame['count']}",
        ha="right",
        va="top",
        size=_TEXT + 1,
        color="#d95f02",
    )


def _size_text(level):
    factor = 2**level
    if factor >= 1:
        return f"size \N{MULTIPLICATION SIGN}{factor:.3g}"
    return f"size 1/{1 / factor:.3g}"
