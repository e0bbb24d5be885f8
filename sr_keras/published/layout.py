"""How the weights of a network lie in a checkpoint of PyTorch."""

import dataclasses

import numpy as np

# The names of weights in Keras, and those of the same tensors in PyTorch.
_TENSORS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "alpha": "weight",
    "bias_table": "relative_position_bias_table",
    # the factors of a `FoldableConv2D`
    "widen_kernel": "conv.0.weight",
    "widen_bias": "conv.0.bias",
    "work_kernel": "conv.1.weight",
    "work_bias": "conv.1.bias",
    "narrow_kernel": "conv.2.weight",
    "narrow_bias": "conv.2.bias",
    "skip_kernel": "sk.weight",
    "skip_bias": "sk.bias",
}
# Weights that are multiplied with the input of a layer.
_ON_INPUT = ("kernel", "widen_kernel", "skip_kernel")
# Matrices that PyTorch keeps as convolutions of 1x1.
_POINTWISE = ("widen_kernel", "narrow_kernel", "skip_kernel")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which network of this package a checkpoint belongs to, and how names match.

    Args:
        network: Name of the builder in `models.NETWORKS`.
        config: All arguments of the builder.
        keys: Dictionary from the names of layers with weights to the names of modules
            in the checkpoint.
        shuffled: Dictionary from the names of the layers before a `PixelShuffle` to
            its scale. Their filters are reordered, because PyTorch orders channels
            differently.
        unshuffled: Dictionary from the names of the layers after a `PixelUnshuffle`
            to its scale. The channels of their inputs are reordered.
        factors: Dictionary from the names of layers to two factors, on the kernel and
            on the bias. They make a network for values in [0, 1] of one for values in
            [0, 255].
        fixed: Dictionary from the names of further tensors to the values that they
            must have, as those of a layer that subtracts a mean colour.
        computed: Dictionary from the names of further tensors to functions, which
            compute them from the dictionary of the others. They are written, but not
            read.
    """

    network: str
    config: dict
    keys: dict
    shuffled: dict = dataclasses.field(default_factory=dict)
    unshuffled: dict = dataclasses.field(default_factory=dict)
    factors: dict = dataclasses.field(default_factory=dict)
    fixed: dict = dataclasses.field(default_factory=dict)
    computed: dict = dataclasses.field(default_factory=dict)


def assign(model, tensors, layout):
    """Sets the weights of a network from the tensors of a PyTorch checkpoint.

    Args:
        model: A `keras.Model` whose layers with weights are all in `layout.keys`.
        tensors: Dictionary from names to arrays. Kernels are `(out, in, height,
            width)`.
        layout: A `Layout`.

    Raises:
        ValueError: If a tensor is missing, has another shape than the weight, is not
            used, or does not have the value that it must have.
    """
    unused = set(tensors) - set(layout.computed)
    for layer, names in _names(model, layout):
        values = []
        for weight, name in zip(layer.weights, names, strict=True):
            if name not in tensors:
                raise ValueError(f"it has no tensor {name}")
            value = _to_keras(tensors[name], weight, layer.name, layout)
            if value.shape != tuple(weight.shape):
                raise ValueError(
                    f"{name} has the shape {tensors[name].shape}, which does not fit"
                    f" {weight.path} of shape {tuple(weight.shape)}"
                )
            unused.discard(name)
            values.append(value)
        layer.set_weights(values)
    for name, expected in layout.fixed.items():
        if name not in tensors:
            raise ValueError(f"it has no tensor {name}")
        value = tensors[name]
        if value.shape != expected.shape or not np.allclose(value, expected, 1e-3):
            raise ValueError(f"{name} has other values than {expected.ravel()}")
        unused.discard(name)
    if unused:
        raise ValueError(f"it has other tensors, such as {min(unused)}")


def tensors_of(model, layout):
    """Returns the tensors that `assign` would set the weights of a network from.

    Args:
        model: A `keras.Model` whose layers with weights are all in `layout.keys`.
        layout: A `Layout`.

    Returns:
        A dictionary from names to float32 arrays, and to those of `layout.fixed` and
        `layout.computed`.
    """
    tensors = {}
    for layer, names in _names(model, layout):
        pairs = zip(layer.weights, layer.get_weights(), strict=True)
        for name, (weight, value) in zip(names, pairs, strict=True):
            tensors[name] = _to_torch(value, weight, layer.name, layout)
    tensors.update(layout.fixed)
    computed = {name: compute(tensors) for name, compute in layout.computed.items()}
    return {**tensors, **computed}


def _names(model, layout):
    """Yields each layer with weights, and the names of its tensors."""
    for layer in model.layers:
        if layer.weights:
            module = layout.keys[layer.name]
            yield layer, [f"{module}.{_TENSORS[w.name]}" for w in layer.weights]


def _factor(weight, layer, layout):
    on_kernel, on_bias = layout.factors.get(layer, (1, 1))
    if weight.name in _ON_INPUT:
        return np.float32(on_kernel)
    return np.float32(on_bias if weight.name == "bias" else 1)


def _to_keras(value, weight, layer, layout):
    if layer in layout.shuffled:
        value = _to_tensorflow_order(value, layout.shuffled[layer], axis=0)
    if layer in layout.unshuffled and value.ndim > 1:
        value = _to_tensorflow_order(value, layout.unshuffled[layer], axis=1)
    if value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    elif value.ndim == 2 and weight.name == "kernel":
        value = value.T
    if weight.name in _POINTWISE and value.shape[:2] == (1, 1):
        value = value[0, 0]
    if weight.name == "alpha" and value.ndim == 1:
        value = value[None, None]
    return value * _factor(weight, layer, layout)


def _to_torch(value, weight, layer, layout):
    value = np.asarray(value, "float32") / _factor(weight, layer, layout)
    if weight.name == "alpha":
        value = value[0, 0]
    if weight.name in _POINTWISE:
        value = value[None, None]
    if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1)
    elif value.ndim == 2 and weight.name == "kernel":
        value = value.T
    if layer in layout.unshuffled and value.ndim > 1:
        value = _to_torch_order(value, layout.unshuffled[layer], axis=1)
    if layer in layout.shuffled:
        value = _to_torch_order(value, layout.shuffled[layer], axis=0)
    return value


def _to_tensorflow_order(value, scale, axis):
    """Orders channels as (row, column, channel) that are (channel, row, column)."""
    number = value.shape[axis]
    if number % scale**2:
        raise ValueError(f"{number} channels are not a multiple of {scale**2}")
    return np.take(value, np.arange(number).reshape(-1, scale**2).T.ravel(), axis)


def _to_torch_order(value, scale, axis):
    """Undoes `_to_tensorflow_order`."""
    number = value.shape[axis]
    return np.take(value, np.arange(number).reshape(scale**2, -1).T.ravel(), axis)
