"""The architectures whose checkpoints are known.

For each there is a function that makes a `Layout` of the arguments of the builder, and
one that finds these arguments in a checkpoint and returns the `Layout`, or None if the
checkpoint is of another architecture.
"""

import functools
import math
import re

import numpy as np

from sr_keras.published.layout import Layout

# Mean colour of DIV2K in RGB, which many networks subtract.
_MEAN = np.array([0.4488, 0.4371, 0.4040], "float32")
# The steps in which networks reach a scale.
_STEPS = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}


def recognize(tensors):
    """Returns the `Layout` of a checkpoint.

    Args:
        tensors: Dictionary from names to arrays, see `read_checkpoint`.

    Raises:
        ValueError: If the architecture is not known, or the tensors have shapes that
            do not fit it.
    """
    for find in _FIND.values():
        layout = find(tensors)
        if layout is not None:
            _check_modules(layout, tensors)
            return layout
    names = ", ".join([*list(tensors)[:5], *["..."] * (len(tensors) > 5)])
    raise ValueError(
        "The architecture is not known. Supported are EDSR, RCAN, RDN, RRDB (ESRGAN and"
        " Real-ESRGAN), MSRResNet, SRVGGNetCompact, SPAN, RLFN and SwinIR. Received:"
        f" {len(tensors)} tensors, {names}"
    )


def _check_modules(layout, tensors):
    """Raises a ValueError if a module has no tensor: no network is built in vain."""
    modules = {name.rpartition(".")[0] for name in tensors}
    modules |= {name.rpartition(".")[0] for name in modules}  # `.conv.0` of SPAN
    for module in layout.keys.values():
        if module not in modules:
            raise ValueError(f"It has no tensor {module}.weight.")


def layout_for(network, config):
    """Returns the `Layout` in which a network is written.

    Args:
        network: Name of its builder.
        config: All arguments of the builder.

    Raises:
        ValueError: If there is no published format for such a network.
    """
    if network not in _WRITE:
        raise ValueError(
            f"There is no published format for {network}, only for {', '.join(_WRITE)}."
        )
    return _WRITE[network](config)


def _has(tensors, *names):
    return all(name in tensors for name in names)


def _shape(tensors, name, expected=None):
    """Returns the shape of a tensor of four axes, or as long as `expected`.

    In `expected`, None stands for any length.
    """
    expected = expected or (None,) * 4
    if name not in tensors:
        raise ValueError(f"It has no tensor {name}.")
    shape = tensors[name].shape
    fits = len(shape) == len(expected) and all(
        b in (a, None) for a, b in zip(shape, expected, strict=False)
    )
    if not fits or 0 in shape:
        lengths = ", ".join("any" if n is None else str(n) for n in expected)
        raise ValueError(
            f"{name} must have the shape ({lengths}). Received: shape={shape}"
        )
    return shape


def _count(tensors, pattern):
    """Returns how many numbers occur at the place of the group in a pattern."""
    matches = (re.match(pattern, name) for name in tensors)
    return len({match[1] for match in matches if match})


def _shuffle_scale(filters, channels):
    """Returns the scale of a pixel shuffle from `filters` channels to `channels`."""
    scale = math.isqrt(filters // channels)
    if scale < 1 or channels * scale**2 != filters:
        raise ValueError(
            f"No pixel shuffle makes {channels} channels of {filters} filters."
        )
    return scale


def _shuffle_steps(tensors, names, filters):
    """Returns the scale of the convolutions before pixel shuffles that are there."""
    names = [f"{name}.weight" for name in names if f"{name}.weight" in tensors]
    steps = [
        _shuffle_scale(_shape(tensors, name, (None, filters, 3, 3))[0], filters)
        for name in names
    ]
    scale = math.prod(steps)
    if _STEPS.get(scale) != steps:
        raise ValueError(f"Its steps of upscaling are not supported. Received: {steps}")
    return scale


def _shuffled(scale, prefix="upsampling_"):
    return {f"{prefix}{i}": step for i, step in enumerate(_STEPS[scale])}


def _sequence(scale, module, first=0):
    """Names of convolutions with a pixel shuffle after each, in a `Sequential`."""
    steps = range(len(_STEPS[scale]))
    return {f"upsampling_{i}": f"{module}.{first + 2 * i}" for i in steps}


def _range_factors(value_range, head, tail):
    if value_range == 1:
        return {}
    return {head: (value_range, 1), tail: (1 / value_range, 1 / value_range)}


def _mean_layers(config, value_range=255):
    """The layers `sub_mean` and `add_mean` of EDSR and RCAN, which have tensors."""
    if config["channels"] != 3:
        raise ValueError(
            "A published network of this kind has three channels. Received:"
            f" channels={config['channels']}"
        )
    mean = _MEAN * value_range * config["mean_shift"]
    one = np.eye(3, dtype="float32")[..., None, None]
    return {
        "sub_mean.weight": one,
        "sub_mean.bias": -mean,
        "add_mean.weight": one,
        "add_mean.bias": mean,
    }


def _read_mean_layers(tensors):
    """Returns whether a mean colour is subtracted, and the largest value of images.

    Networks without such layers have images in [0, 1].
    """
    if "sub_mean.bias" not in tensors:
        return False, 1
    _shape(tensors, "sub_mean.bias", (3,))
    bias = tensors["sub_mean.bias"]
    if not bias.any():
        return False, 255
    for value_range in (1, 255):
        if np.allclose(bias, -_MEAN * value_range, 1e-3):
            return True, value_range
    raise ValueError(f"It must subtract the mean colour of DIV2K. Received: {-bias}")


# EDSR


def _edsr(config, basicsr=False, value_range=255, fixed=None):
    count = config["num_blocks"]
    if basicsr:
        conv1, conv2 = "body.{}.conv1", "body.{}.conv2"
        keys = {"head": "conv_first", "body": "conv_after_body", "tail": "conv_last"}
        keys.update(_sequence(config["scale"], "upsample"))
        fixed = {}
    else:
        conv1, conv2 = "body.{}.body.0", "body.{}.body.2"
        keys = {"head": "head.0", "body": f"body.{count}", "tail": "tail.1"}
        keys.update(_sequence(config["scale"], "tail.0"))
        fixed = _mean_layers(config, value_range) if fixed is None else fixed
    keys.update({f"block_{i}_conv1": conv1.format(i) for i in range(count)})
    keys.update({f"block_{i}_conv2": conv2.format(i) for i in range(count)})
    factors = _range_factors(value_range, "head", "tail")
    shuffled = _shuffled(config["scale"])
    return Layout("edsr", config, keys, shuffled, factors=factors, fixed=fixed)


def _write_edsr(config):
    usual = _residual_scale(config["filters"])
    layout = _edsr({**config, "residual_scale": usual})
    if config["residual_scale"] == usual:
        return layout
    # The factor is not in the file, but can be moved into the convolution before it.
    factor = usual / config["residual_scale"]
    names = [f"block_{i}_conv2" for i in range(config["num_blocks"])]
    layout.factors.update(dict.fromkeys(names, (factor, factor)))
    return layout


def _residual_scale(filters):
    """The factor on residual branches, which is that of the released networks."""
    return 0.1 if filters >= 256 else 1.0


def _find_edsr(tensors):
    names = ("head.0.weight", "body.0.body.0.weight", "tail.1.weight")
    basicsr = _has(tensors, "conv_first.weight", "body.0.conv1.weight") and _has(
        tensors, "conv_after_body.weight", "upsample.0.weight"
    )
    if basicsr:
        head, body, tail = "conv_first", "conv_after_body", "conv_last"
        count = _count(tensors, r"body\.(\d+)\.conv1\.weight")
        upsampling, mean_shift, value_range, fixed = "upsample", True, 255, {}
    elif _has(tensors, *names):
        count = _count(tensors, r"body\.(\d+)\.body\.0\.weight")
        head, body, tail = "head.0", f"body.{count}", "tail.1"
        upsampling, fixed = "tail.0", None if "sub_mean.bias" in tensors else {}
        mean_shift, value_range = _read_mean_layers(tensors)
    else:
        return None
    filters, channels, *_ = _shape(tensors, f"{head}.weight", (None, None, 3, 3))
    _shape(tensors, f"{body}.weight", (filters, filters, 3, 3))
    _shape(tensors, f"{tail}.weight", (channels, filters, 3, 3))
    config = {
        "scale": _shuffle_steps(
            tensors, [f"{upsampling}.{i}" for i in (0, 2, 4)], filters
        ),
        "filters": filters,
        "num_blocks": count,
        "residual_scale": _residual_scale(filters),
        "channels": channels,
        "mean_shift": mean_shift,
    }
    return _edsr(config, basicsr, value_range, fixed)


# RCAN


def _rcan(config, basicsr=False, value_range=255, fixed=None):
    groups, blocks = config["num_groups"], config["num_blocks"]
    if basicsr:
        keys = {"head": "conv_first", "body": "conv_after_body", "tail": "conv_last"}
        keys.update(_sequence(config["scale"], "upsample"))
        conv, block = "body.{}.conv", "body.{}.residual_group.{}.rcab"
        squeeze, excite, fixed = "attention.1", "attention.3", {}
    else:
        keys = {"head": "head.0", "body": f"body.{groups}", "tail": "tail.1"}
        keys.update(_sequence(config["scale"], "tail.0"))
        conv, block = f"body.{{}}.body.{blocks}", "body.{}.body.{}.body"
        squeeze, excite = "conv_du.0", "conv_du.2"
        fixed = _mean_layers(config, value_range) if fixed is None else fixed
    for i in range(groups):
        keys[f"group_{i}_conv"] = conv.format(i)
        for j in range(blocks):
            ours, theirs = f"group_{i}_block_{j}", block.format(i, j)
            keys[f"{ours}_conv1"], keys[f"{ours}_conv2"] = f"{theirs}.0", f"{theirs}.2"
            keys[f"{ours}_squeeze"] = f"{theirs}.3.{squeeze}"
            keys[f"{ours}_excite"] = f"{theirs}.3.{excite}"
    factors = _range_factors(value_range, "head", "tail")
    shuffled = _shuffled(config["scale"])
    return Layout("rcan", config, keys, shuffled, factors=factors, fixed=fixed)


def _find_rcan(tensors):
    basicsr = _has(
        tensors, "conv_first.weight", "body.0.residual_group.0.rcab.0.weight"
    )
    if basicsr:
        head, body, tail = "conv_first", "conv_after_body", "conv_last"
        squeeze = "body.0.residual_group.0.rcab.3.attention.1"
        groups = _count(tensors, r"body\.(\d+)\.residual_group\.")
        blocks = _count(tensors, r"body\.0\.residual_group\.(\d+)\.")
        upsampling, mean_shift, value_range, fixed = "upsample", True, 255, {}
    elif _has(tensors, "head.0.weight", "body.0.body.0.body.0.weight", "tail.1.weight"):
        groups = _count(tensors, r"body\.(\d+)\.body\.")
        blocks = _count(tensors, r"body\.0\.body\.(\d+)\.body\.")
        head, body, tail = "head.0", f"body.{groups}", "tail.1"
        squeeze = "body.0.body.0.body.3.conv_du.0"
        upsampling, fixed = "tail.0", None if "sub_mean.bias" in tensors else {}
        mean_shift, value_range = _read_mean_layers(tensors)
    else:
        return None
    filters, channels, *_ = _shape(tensors, f"{head}.weight", (None, None, 3, 3))
    _shape(tensors, f"{body}.weight", (filters, filters, 3, 3))
    _shape(tensors, f"{tail}.weight", (channels, filters, 3, 3))
    reduced, *_ = _shape(tensors, f"{squeeze}.weight", (None, filters, 1, 1))
    config = {
        "scale": _shuffle_steps(
            tensors, [f"{upsampling}.{i}" for i in (0, 2, 4)], filters
        ),
        "filters": filters,
        "num_groups": groups,
        "num_blocks": blocks,
        "reduction": filters // reduced,
        "channels": channels,
        "mean_shift": mean_shift,
    }
    return _rcan(config, basicsr, value_range, fixed)


# RDN


def _rdn(config, authors=True):
    steps = len(_STEPS[config["scale"]])
    if authors:
        keys = {"shallow_0": "SFENet1", "shallow_1": "SFENet2"}
        keys.update({"global_fusion": "GFF.0", "body": "GFF.1"})
        keys.update(_sequence(config["scale"], "UPNet"))
        keys["tail"] = f"UPNet.{2 * steps}"
        block, conv, fusion = "RDBs.{}", "convs.{}.conv.0", "LFF"
    else:
        keys = {"shallow_0": "sfe1", "shallow_1": "sfe2", "tail": "output"}
        keys.update({"global_fusion": "gff.0", "body": "gff.1"})
        keys.update(_sequence(config["scale"], "upscale"))
        block, conv, fusion = "rdbs.{}", "layers.{}.conv", "lff"
    for i in range(config["num_blocks"]):
        theirs = block.format(i)
        keys[f"block_{i}_fusion"] = f"{theirs}.{fusion}"
        for j in range(config["num_convs"]):
            keys[f"block_{i}_conv{j}"] = f"{theirs}.{conv.format(j)}"
    factors = _range_factors(255 if authors else 1, "shallow_0", "tail")
    shuffled = _shuffled(config["scale"])
    return Layout("rdn", config, keys, shuffled, factors=factors)


def _find_rdn(tensors):
    authors = _has(tensors, "SFENet1.weight", "RDBs.0.convs.0.conv.0.weight")
    if authors:
        head, body, conv = "SFENet1", "GFF.1", "RDBs.0.convs.0.conv.0"
        blocks = _count(tensors, r"RDBs\.(\d+)\.")
        convs = _count(tensors, r"RDBs\.0\.convs\.(\d+)\.")
        last = max(_count(tensors, r"UPNet\.(\d+)\.weight") - 1, 0)
        upsampling = [f"UPNet.{2 * i}" for i in range(last)]
    elif _has(tensors, "sfe1.weight", "rdbs.0.layers.0.conv.weight"):
        head, body, conv = "sfe1", "gff.1", "rdbs.0.layers.0.conv"
        blocks = _count(tensors, r"rdbs\.(\d+)\.")
        convs = _count(tensors, r"rdbs\.0\.layers\.(\d+)\.")
        upsampling = [f"upscale.{i}" for i in (0, 2, 4)]
    else:
        return None
    filters, channels, *_ = _shape(tensors, f"{head}.weight", (None, None, 3, 3))
    _shape(tensors, f"{body}.weight", (filters, filters, 3, 3))
    config = {
        "scale": _shuffle_steps(tensors, upsampling, filters),
        "filters": filters,
        "num_blocks": blocks,
        "num_convs": convs,
        "growth": _shape(tensors, f"{conv}.weight", (None, filters, 3, 3))[0],
        "channels": channels,
    }
    return _rdn(config, authors)


# RRDB: ESRGAN and Real-ESRGAN

# Names of convolutions: the present ones, those of the first code, and of a second.
_RRDB_NAMES = {
    "new": {
        "head": "conv_first",
        "dense": "body.{}.rdb{}.conv{}",
        "body": "conv_body",
        "upsampling": ["conv_up1", "conv_up2", "conv_up3"],
        "reconstruction": "conv_hr",
        "tail": "conv_last",
    },
    "trunk": {
        "head": "conv_first",
        "dense": "RRDB_trunk.{}.RDB{}.conv{}",
        "body": "trunk_conv",
        "upsampling": ["upconv1", "upconv2", "upconv3"],
        "reconstruction": "HRconv",
        "tail": "conv_last",
    },
    "sequential": {
        "head": "model.0",
        "dense": "model.1.sub.{}.RDB{}.conv{}.0",
        "body": "model.1.sub.{}",
        "upsampling": ["model.3", "model.6", "model.9"],
    },
}


def _rrdb(config, names="new"):
    if config["residual_scale"] != 0.2:
        raise ValueError(
            "A published network of this kind has residual_scale=0.2. Received:"
            f" residual_scale={config['residual_scale']}"
        )
    names, blocks = _RRDB_NAMES[names], config["num_blocks"]
    steps = len(_STEPS[config["scale"] * config["unshuffle"]])
    keys = {"head": names["head"], "body": names["body"].format(blocks)}
    # In a sequence, an upsampling, a convolution and an activation are three modules.
    keys["reconstruction"] = names.get("reconstruction", f"model.{3 * steps + 2}")
    keys["tail"] = names.get("tail", f"model.{3 * steps + 4}")
    for i in range(steps):
        keys[f"upsampling_{i}"] = names["upsampling"][i]
    for i in range(blocks):
        for j in range(3):
            for k in range(5):
                ours = f"block_{i}_dense_{j}_conv{k}"
                keys[ours] = names["dense"].format(i, j + 1, k + 1)
    unshuffled = {"head": config["unshuffle"]} if config["unshuffle"] > 1 else {}
    return Layout("rrdb", config, keys, unshuffled=unshuffled)


def _find_rrdb(tensors):
    marks = {
        style: (f"{names['head']}.weight", f"{names['dense'].format(0, 1, 1)}.weight")
        for style, names in _RRDB_NAMES.items()
    }
    style = next((key for key, mark in marks.items() if _has(tensors, *mark)), None)
    if style is None:
        return None
    names, first = _RRDB_NAMES[style], marks[style][1]
    pattern = re.escape(names["dense"].split("{}")[0]) + r"(\d+)\.(?:RDB|rdb)1\."
    blocks = _count(tensors, pattern)
    filters, depth, *_ = _shape(tensors, f"{names['head']}.weight", (None, None, 3, 3))
    if style == "sequential":
        last = max(
            int(n.split(".")[1]) for n in tensors if re.match(r"model\.\d+\.w", n)
        )
        steps, tail = (last - 4) // 3, f"model.{last}"
    else:
        steps = sum(f"{name}.weight" in tensors for name in names["upsampling"])
        tail = names["tail"]
    channels = _shape(tensors, f"{tail}.weight", (None, filters, 3, 3))[0]
    body = names["body"].format(blocks)
    _shape(tensors, f"{body}.weight", (filters, filters, 3, 3))
    growth = _shape(tensors, first, (None, filters, 3, 3))[0]
    unshuffle = _shuffle_scale(depth, channels)
    if not 1 <= steps <= 3 or 2**steps % unshuffle:
        raise ValueError(
            f"Its upscaling is not supported. Received: {steps} times 2, after an"
            f" unshuffling by {unshuffle}"
        )
    config = {
        "scale": 2**steps // unshuffle,
        "filters": filters,
        "num_blocks": blocks,
        "growth": growth,
        "residual_scale": 0.2,
        "channels": channels,
        "unshuffle": unshuffle,
    }
    return _rrdb(config, style)


# MSRResNet, the modified SRResNet


def _srresnet(config):
    if config["variant"] != "modified":
        raise ValueError(
            'Only the variant "modified" of srresnet has a published format. Received:'
            f" variant={config['variant']!r}"
        )
    keys = {"head": "conv_first", "reconstruction": "conv_hr", "tail": "conv_last"}
    for i in range(len(_STEPS[config["scale"]])):
        keys[f"upsampling_{i}"] = f"upconv{i + 1}"
    for i in range(config["num_blocks"]):
        keys[f"block_{i}_conv1"] = f"body.{i}.conv1"
        keys[f"block_{i}_conv2"] = f"body.{i}.conv2"
    return Layout("srresnet", config, keys, _shuffled(config["scale"]))


def _find_srresnet(tensors):
    names = ("conv_first.weight", "body.0.conv1.weight", "upconv1.weight")
    if not _has(tensors, *names):
        return None
    filters, channels, *_ = _shape(tensors, "conv_first.weight", (None, None, 3, 3))
    _shape(tensors, "conv_hr.weight", (filters, filters, 3, 3))
    _shape(tensors, "conv_last.weight", (channels, filters, 3, 3))
    config = {
        "scale": _shuffle_steps(tensors, [f"upconv{i}" for i in (1, 2, 3)], filters),
        "filters": filters,
        "num_blocks": _count(tensors, r"body\.(\d+)\.conv1\.weight"),
        "channels": channels,
        "variant": "modified",
    }
    return _srresnet(config)


# SRVGGNetCompact


def _srvgg(config):
    names = ["head", *(f"conv_{i}" for i in range(config["num_convs"]))]
    keys = {"subpixels": f"body.{2 * len(names)}"}
    for i, name in enumerate(names):
        keys[name], keys[f"{name}_prelu"] = f"body.{2 * i}", f"body.{2 * i + 1}"
    return Layout("srvgg", config, keys, {"subpixels": config["scale"]})


def _find_srvgg(tensors):
    if not all(re.match(r"body\.\d+\.(weight|bias)$", name) for name in tensors):
        return None
    if not _has(tensors, "body.0.weight", "body.1.weight", "body.2.weight"):
        return None
    last = max(int(name.split(".")[1]) for name in tensors)
    filters, channels, *_ = _shape(tensors, "body.0.weight", (None, None, 3, 3))
    subpixels, *_ = _shape(tensors, f"body.{last}.weight", (None, filters, 3, 3))
    if last > 2:
        _shape(tensors, "body.2.weight", (filters, filters, 3, 3))
    config = {
        "scale": _shuffle_scale(subpixels, channels),
        "filters": filters,
        "num_convs": last // 2 - 1,
        "channels": channels,
    }
    return _srvgg(config)


# SPAN


def _span(config):
    keys = {"fusion": "conv_cat", "upsampling": "upsampler.0"}
    convolutions = {"head": "conv_1", "body": "conv_2"}
    for i in range(config["num_blocks"]):
        for j in (1, 2, 3):
            convolutions[f"block_{i}_conv{j}"] = f"block_{i + 1}.c{j}_r"
    computed = {}
    for ours, theirs in convolutions.items():
        keys[ours] = f"{theirs}.eval_conv" if config["folded"] else theirs
        if not config["folded"]:
            fold = functools.partial(_fold_span, module=theirs)
            computed[f"{theirs}.eval_conv.weight"] = lambda t, fold=fold: fold(t)[0]
            computed[f"{theirs}.eval_conv.bias"] = lambda t, fold=fold: fold(t)[1]
    shuffled, factors = {"upsampling": config["scale"]}, {"head": (255, 1)}
    return Layout("span", config, keys, shuffled, factors=factors, computed=computed)


def _fold_span(tensors, module):
    """Returns the kernel and the bias of the convolution that the factors make."""
    (k1, b1), (k2, b2), (k3, b3), (k4, b4) = (
        (tensors[f"{module}.{part}.weight"], tensors[f"{module}.{part}.bias"])
        for part in ("conv.0", "conv.1", "conv.2", "sk")
    )
    k1, k3, k4 = k1[..., 0, 0], k3[..., 0, 0], k4[..., 0, 0]
    kernel = np.einsum("op,pqhw,qi->oihw", k3, k2, k1, optimize=True)
    kernel[..., 1, 1] += k4
    return kernel, k3 @ (np.einsum("pqhw,q->p", k2, b1) + b2) + b3 + b4


def _find_span(tensors):
    unfolded = "block_1.c1_r.conv.1.weight"
    folded = unfolded not in tensors
    first = "block_1.c1_r.eval_conv.weight" if folded else unfolded
    if not _has(tensors, first, "conv_cat.weight", "upsampler.0.weight"):
        return None
    head = "conv_1.eval_conv.weight" if folded else "conv_1.sk.weight"
    filters, channels, *_ = _shape(tensors, head)
    _shape(tensors, "conv_cat.weight", (filters, 4 * filters, 1, 1))
    gain = 2 if folded else _shape(tensors, unfolded)[0] // filters
    _shape(tensors, first, (filters if folded else gain * filters, None, 3, 3))
    subpixels, *_ = _shape(tensors, "upsampler.0.weight", (None, filters, 3, 3))
    config = {
        "scale": _shuffle_scale(subpixels, channels),
        "filters": filters,
        "num_blocks": _count(tensors, r"block_(\d+)\.c1_r\."),
        "gain": gain,
        "folded": folded,
        "channels": channels,
    }
    return _span(config)


# RLFN


def _rlfn(config):
    keys = {"head": "conv_1", "body": "conv_2", "subpixels": "upsampler.0"}
    for i in range(config["num_blocks"]):
        ours, theirs = f"block_{i}", f"block_{i + 1}"
        keys.update({f"{ours}_conv{j}": f"{theirs}.c{j}_r" for j in (1, 2, 3)})
        keys[f"{ours}_fusion"] = f"{theirs}.c5"
        for layer, key in {
            "squeeze": "conv1",
            "fine": "conv_f",
            "down": "conv2",
            "conv": "conv3",
            "excite": "conv4",
        }.items():
            keys[f"{ours}_esa_{layer}"] = f"{theirs}.esa.{key}"
    shuffled = {"subpixels": config["scale"]}
    factors = _range_factors(255, "head", "subpixels")
    return Layout("rlfn", config, keys, shuffled, factors=factors)


def _find_rlfn(tensors):
    names = ("conv_1.weight", "block_1.esa.conv_f.weight", "upsampler.0.weight")
    if not _has(tensors, *names):
        return None
    filters, channels, *_ = _shape(tensors, "conv_1.weight", (None, None, 3, 3))
    _shape(tensors, "conv_2.weight", (filters, filters, 3, 3))
    subpixels, *_ = _shape(tensors, "upsampler.0.weight", (None, filters, 3, 3))
    config = {
        "scale": _shuffle_scale(subpixels, channels),
        "filters": filters,
        "num_blocks": _count(tensors, r"block_(\d+)\.c1_r\.weight"),
        "attention_filters": _shape(tensors, "block_1.esa.conv_f.weight")[0],
        "channels": channels,
    }
    return _rlfn(config)


# SwinIR

# Attention needs memory for the square of a window's pixels.
_LARGEST_WINDOW = 32
_SWINIR_LAYERS = {
    "norm1": "norm1",
    "qkv": "attn.qkv",
    "attention": "attn",
    "proj": "attn.proj",
    "norm2": "norm2",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}


def _swinir(config):
    scale, variant = config["scale"], config["variant"]
    keys = {"head": "conv_first", "embed_norm": "patch_embed.norm", "norm": "norm"}
    ends, computed = {"body": "conv_after_body"}, {}
    for i, depth in enumerate(config["depths"]):
        ends[f"group_{i}_conv"] = f"layers.{i}.conv"
        for j in range(depth):
            theirs = f"layers.{i}.residual_group.blocks.{j}"
            for ours, key in _SWINIR_LAYERS.items():
                keys[f"group_{i}_block_{j}_{ours}"] = f"{theirs}.{key}"
            positions = functools.partial(_relative_positions, config["window"])
            computed[f"{theirs}.attn.relative_position_index"] = positions
            if j % 2:
                mask = functools.partial(_attention_mask, config["window"])
                computed[f"{theirs}.attn_mask"] = mask
    for ours, theirs in ends.items():
        if config["bottleneck"]:
            keys.update({f"{ours}_{k}": f"{theirs}.{2 * k}" for k in range(3)})
        else:
            keys[ours] = theirs
    shuffled = {}
    if variant == "lightweight":
        keys["subpixels"], shuffled["subpixels"] = "upsample.0", scale
    else:
        keys.update(
            {"before_upsampling": "conv_before_upsample.0", "tail": "conv_last"}
        )
    if variant == "classical":
        keys.update(_sequence(scale, "upsample"))
        shuffled = _shuffled(scale)
    elif variant == "real":
        keys["reconstruction"] = "conv_hr"
        for i in range(len(_STEPS[scale])):
            keys[f"upsampling_{i}"] = f"conv_up{i + 1}"
    return Layout("swinir", config, keys, shuffled, computed=computed)


def _relative_positions(window, tensors):
    """Returns which row of the table of biases belongs to each pair of pixels."""
    rows, columns = np.divmod(np.arange(window**2), window)
    down = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    return down * (2 * window - 1) + right


def _attention_mask(window, tensors):
    """Returns the mask of shifted windows for the 64x64 pixels of the authors' patches.

    Their code keeps it in the file, but computes it anew for images of another size.
    """
    side = max(64 // window, 1) * window
    is_rolled = np.arange(side) >= side - window // 2
    parts = 2 * is_rolled[:, None] + is_rolled
    parts = parts.reshape(side // window, window, -1, window).swapaxes(1, 2)
    parts = parts.reshape(-1, window**2)
    return np.where(parts[:, None] == parts[:, :, None], 0, -100).astype("float32")


def _find_swinir(tensors):
    block = "layers.0.residual_group.blocks.0"
    if not _has(tensors, "conv_first.weight", f"{block}.attn.qkv.weight"):
        return None
    filters, channels, *_ = _shape(tensors, "conv_first.weight", (None, None, 3, 3))
    wide, _ = _shape(tensors, f"{block}.mlp.fc1.weight", (None, filters))
    _shape(tensors, f"{block}.attn.qkv.weight", (3 * filters, filters))
    table = f"{block}.attn.relative_position_bias_table"
    positions, heads = _shape(tensors, table, (None, None))
    window = (math.isqrt(positions) + 1) // 2
    if (2 * window - 1) ** 2 != positions or window > _LARGEST_WINDOW:
        raise ValueError(
            f"{table} must have the odd square number of distances in a window of up to"
            f" {_LARGEST_WINDOW} pixels. Received: {positions}"
        )
    groups = _count(tensors, r"layers\.(\d+)\.")
    pattern = r"layers\.{}\.residual_group\.blocks\.(\d+)\."
    if "conv_up1.weight" in tensors:
        variant = "real"
        scale = 2 ** sum(f"conv_up{i}.weight" in tensors for i in (1, 2, 3))
    elif "conv_before_upsample.0.weight" in tensors:
        variant = "classical"
        scale = _shuffle_steps(tensors, [f"upsample.{i}" for i in (0, 2, 4)], 64)
    elif "upsample.0.weight" in tensors:
        variant = "lightweight"
        subpixels, *_ = _shape(tensors, "upsample.0.weight", (None, filters, 3, 3))
        scale = _shuffle_scale(subpixels, channels)
    else:
        raise ValueError(
            "A SwinIR without layers that upscale is not supported, as those for noise"
            " and JPEG artifacts."
        )
    if variant != "lightweight":
        _shape(tensors, "conv_last.weight", (channels, 64, 3, 3))
    config = {
        "scale": scale,
        "filters": filters,
        "depths": [_count(tensors, pattern.format(i)) for i in range(groups)],
        "num_heads": heads,
        "window": window,
        "expansion": wide // filters,
        "variant": variant,
        "bottleneck": "conv_after_body.0.weight" in tensors,
        "channels": channels,
    }
    return _swinir(config)


_FIND = {
    "rlfn": _find_rlfn,
    "span": _find_span,
    "rrdb": _find_rrdb,
    "srvgg": _find_srvgg,
    "rcan": _find_rcan,
    "edsr": _find_edsr,
    "srresnet": _find_srresnet,
    "rdn": _find_rdn,
    "swinir": _find_swinir,
}
_WRITE = {
    "edsr": _write_edsr,
    "rcan": _rcan,
    "rdn": _rdn,
    "rlfn": _rlfn,
    "rrdb": _rrdb,
    "span": _span,
    "srresnet": _srresnet,
    "srvgg": _srvgg,
    "swinir": _swinir,
}
