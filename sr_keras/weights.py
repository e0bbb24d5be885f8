"""Weights files: shipped ones by name, any other by path.

A weights file holds the weights of a network, its identity (the builder's name and
arguments) and its history (how the weights were trained). Files written by Keras
without these are read as well.
"""

import json
import math
import pathlib
import re
import sys
import zipfile

import h5py
import keras
import numpy as np

from sr_keras import files
from sr_keras.checks import check_name

FOLDER = pathlib.Path(__file__).parent / "pretrained"
# Not listed by `all_names`: encoders do not upscale by themselves, and the networks for
# small characters (lesson 18) are of no use for photos.
ENCODERS = FOLDER / "encoders"
GLYPHS = FOLDER / "glyphs"
SUFFIX = ".weights.h5"
# Pairs whose HR images, also those held out, are the outputs of another network.
_TEACHERS_PAIRS = "realesrgan-pairs"
# What `advice` recommends: the one that looks best, and a fast one.
_FOR_REAL_PHOTOS = ("rrdb-x4-photos-gan", "span-x4-photos-distilled")


def all_names():
    """Returns the full names of all shipped sets, such as "edsr-x4-bsds", sorted."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def names(network, **config):
    """Returns the short names of the shipped sets that fit a network, sorted.

    Args:
        network: Name of the builder, such as "edsr".
        **config: Arguments that must be equal, such as `scale=4`.
    """
    found = set()
    for path in _shipped(network):
        stored = identity(path)["config"]
        if all(stored.get(key, value) == value for key, value in config.items()):
            found.add(path.name.removesuffix(SUFFIX).split("-", 2)[2])
    return sorted(found)


def _shipped(network):
    pattern = f"{network}-x*{SUFFIX}"
    folders = FOLDER, ENCODERS, GLYPHS
    return [path for folder in folders for path in folder.glob(pattern)]


def find(name):
    """Returns the path of a weights file.

    Args:
        name: The path of a `.weights.h5` file, or the full name of a shipped set,
            such as "edsr-x4-bsds".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such set. The message suggests the nearest.
    """
    path = pathlib.Path(name)
    if path.name.endswith(SUFFIX):
        if not path.is_file():
            raise FileNotFoundError(f"There is no weights file {path}")
        return path
    for folder in (FOLDER, ENCODERS, GLYPHS):
        path = folder / f"{name}{SUFFIX}"
        if path.parent == folder and path.is_file():
            return path
    check_name("a shipped set of weights", str(name), all_names())


def best(scale, network=None):
    """Returns the full name of the shipped set with the highest PSNR for a scale.

    The PSNR is that on the photos that were held out of its training. Generators of
    GANs do not take part, and sets that were trained for damaged photos only if there
    are no others.

    Args:
        scale: Upscaling factor.
        network: None for all networks, or the name of one.

    Raises:
        ValueError: If there is no such set.
    """
    clean, others = {}, {}
    for name in all_names():
        path = find(name)
        stored, trained = identity(path), history(path)
        fits = network in (None, stored["network"])
        if not fits or stored["config"]["scale"] != scale or trained is None:
            continue
        recipe = trained.get("recipe", {})
        if recipe.get("kind") != "gan":
            # scores on damaged photos, or against a teacher, are no comparison
            is_clean = scale == 1 or not recipe.get("degradation")
            is_clean = is_clean and _TEACHERS_PAIRS not in recipe.get("data", ())
            scores = clean if is_clean else others
            scores[name] = trained["validation"].get("psnr_y", 0.0)
    scores = clean or others
    if scores:
        return max(scores, key=scores.get)
    if network is None:
        raise ValueError(f"No weights are shipped for x{scale}. Name a network.")
    raise ValueError(
        f"No weights are shipped for {network} x{scale}. Train it, and give the"
        " folder of the run."
    )


def reaching(factor, network=None):
    """Returns the full names of shipped sets that reach a factor together.

    The first is the best set for the smallest scale that is large enough. If there is
    none, it is the best for the largest scale, and others follow for the rest: x4 and
    x2 for a factor of 8.

    Args:
        factor: Upscaling factor, also a fraction.
        network: None for all networks, or the name of one.

    Raises:
        ValueError: If there is no such set.
    """
    scales = set()
    for name in all_names():
        known = identity(find(name))
        if network in (None, known["network"]):
            scales.add(known["config"]["scale"])
    scales = sorted(scales - {1}) or sorted(scales)
    enough = [scale for scale in scales if scale >= factor - 1e-9]
    if enough:
        return [best(enough[0], network)]
    if not scales or scales[-1] == 1:
        return [best(math.ceil(factor), network)]
    return [best(scales[-1], network), *reaching(factor / scales[-1], network)]


def save(model, path, half=False, history=None):
    """Writes the weights of a network with its identity, and no optimizer.

    Args:
        model: A `keras.Model`. One that a builder made knows its identity; of any
            other the file holds the weights alone.
        path: Where to write; must end in `.weights.h5`.
        half: Whether kernels are stored as float16, which halves the file. Biases
            and normalization stay float32.
        history: None, or how the weights were trained, as JSON can hold it.

    Raises:
        ValueError: If the path ends otherwise.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"`path` must end in {SUFFIX}. Received: path={path}")
    known = getattr(model, "identity", None)
    with files.replacing(path) as target:
        full = target.with_name(f"full-{target.name.lstrip('.')}")
        try:
            model.save_weights(full)
            _compress(full, target, half)
        finally:
            full.unlink(missing_ok=True)
        with h5py.File(target, "r+") as file:
            if known is not None:
                file.attrs["sr_keras"] = json.dumps(known)
            if history is not None:
                file.attrs["training"] = json.dumps(history)


def _compress(source, target, half):
    """Copies a weights file, compressed and without the optimizer's state."""
    # The format of HDF5 1.10 (2016) takes half a megabyte less for 150 layers.
    format = ("v110", "v110")
    with h5py.File(source) as source, h5py.File(target, "w", libver=format) as file:

        def copy(name, item):
            if name.split("/")[0] == "optimizer":
                return
            if isinstance(item, h5py.Group):
                group = file.require_group(name)
                group.attrs.update(item.attrs)
                return
            value = item[()]
            if half and np.ndim(value) > 1:
                value = value.astype("float16")
            options = {"compression": "gzip"} if np.size(value) > 1000 else {}
            file.create_dataset(name, data=value, **options)

        file.attrs.update(source.attrs)
        source.visititems(copy)


def identity(path):
    """Returns `{"network", "config"}` of a weights file, or None if it has none.

    Raises:
        ValueError: If the file is not an HDF5 file.
    """
    return _attribute(path, "sr_keras")


def history(path):
    """Returns how the weights in a file were trained, or None if it does not say.

    What `training.train` writes is {"name": name of the recipe, or None, "recipe":
    its fields, "seconds": duration of the training, "validation": scores on the
    photos held out}.

    Raises:
        ValueError: If the file is not an HDF5 file.
    """
    return _attribute(path, "training")


def _attribute(path, name):
    try:
        with h5py.File(path) as file:
            text = file.attrs.get(name)
    except OSError as error:
        raise ValueError(f"{path} is not a readable weights file: {error}") from error
    return None if text is None else json.loads(text)


def start(source):
    """Returns the file of weights from which the training of a set began.

    The recipe in the history of a file names it. A generator of a GAN begins from
    weights that were trained on pixels; `models.load(source, detail=0.5)` blends both.

    Args:
        source: As for `find`.

    Returns:
        A path, or None if the training began from random weights or the file does not
        say.

    Raises:
        FileNotFoundError: If there is no such file, or no longer the one that the
            history names.
        ValueError: If there is no such set.
    """
    path = find(source)
    recipe = (history(path) or {}).get("recipe") or {}
    own, named = identity(path), recipe.get("weights")
    if own is None or named is None:
        return None
    try:
        return _resolve(own, named)
    except (FileNotFoundError, ValueError) as error:
        raise FileNotFoundError(
            f"The training of {source} began from the weights {named!r}, which were not"
            f" found: {error}"
        ) from error


def advice():
    """Returns a sentence on networks for ordinary photos; "" if none is shipped."""
    best, fast = _FOR_REAL_PHOTOS
    if not {best, fast} <= {*all_names()}:
        return ""
    return (
        f"For photos that are noisy or strongly compressed: {best}, or {fast}, which is"
        " ten times as fast and invents nothing."
    )


def load(model, weights, defaults=None):
    """Loads weights into a network.

    Args:
        model: A `keras.Model`.
        weights: The name of a shipped set ("bsds" for this network and scale, or
            "edsr-x4-bsds"); the path of a `.weights.h5` or `.keras` file; the folder
            of a training run; or a `keras.Model`, whose weights are copied.
        defaults: Default values of the builder's arguments, or None. An argument that
            is missing in the file was added to the builder later, and the file belongs
            to its default.

    Returns:
        `model`

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such set, or the weights belong to another network
            or configuration.
    """
    own = getattr(model, "identity", None)
    if isinstance(weights, keras.Model):
        path, source = f"'{weights.name}'", weights
    else:
        path = _resolve(own, weights)
        source = read_model(path) if path.suffix == ".keras" else None
    stored = identity(path) if source is None else getattr(source, "identity", None)
    if stored is not None and own is not None and not _agree(stored, own, defaults):
        raise ValueError(
            f"{path} holds the weights of {call_of(stored)}, which do not fit"
            f" {call_of(own)}. `sr_keras.models.load` builds the network that a file"
            " belongs to."
        )
    try:
        if source is None:
            model.load_weights(path)
        else:
            model.set_weights(source.get_weights())
    except ValueError as error:
        name = f"'{model.name}'" if own is None else call_of(own)
        raise ValueError(f"The weights in {path} do not fit {name}: {error}") from error
    return model


def _agree(stored, own, defaults):
    """Returns True if a network and the one of a file were built by the same call."""
    missing = set(own["config"]) - set(stored["config"])
    if defaults is None:
        defaults = own["config"]
    config = {**stored["config"], **{name: defaults.get(name) for name in missing}}
    return stored["network"] == own["network"] and config == own["config"]


def copy_matching(source, target):
    """Copies the weights of every layer that two networks have in common.

    A layer is in common if it has the same name and the same shapes in both. Use it
    to start a network from one for another scale, or of another size: the body of
    EDSR, for example, does not depend on the scale, and x4 learns faster from x2.

    Args:
        source: A functional `keras.Model`.
        target: A functional `keras.Model`, which is changed.

    Returns:
        The names of the layers whose weights were copied.

    Raises:
        ValueError: If there is no such layer.
    """
    layers = {layer.name: layer for layer in source.layers if layer.weights}
    copied = []
    for layer in target.layers:
        other = layers.get(layer.name)
        if other is None or not layer.weights:
            continue
        shapes = [[tuple(w.shape) for w in x.weights] for x in (layer, other)]
        if shapes[0] == shapes[1]:
            layer.set_weights(other.get_weights())
            copied.append(layer.name)
    if not copied:
        raise ValueError(
            f"'{source.name}' and '{target.name}' have no layer in common: no layer has"
            " the same name and the same shapes in both."
        )
    return copied


def _resolve(own, weights):
    """Returns the file that `weights` of `load` names, for a network's identity."""
    path = pathlib.Path(weights)
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"There is no model file {path}")
        return path
    if path.name.endswith(SUFFIX):
        return find(path)
    name = str(weights)
    prefix = "" if own is None else f"{own['network']}-x{own['config']['scale']}-"
    try:
        return find(name if name.startswith(prefix) else prefix + name)
    except ValueError:
        if path.is_dir():  # only now: any folder may have the name of a shipped set
            return model_file_of_run(path)
        if own is None:
            raise
        fitting = names(**{"network": own["network"], **own["config"]})
        raise ValueError(
            "`weights` must be None, the path of a .weights.h5 or .keras file, the"
            " folder of a run, or the name of a shipped set (for this network:"
            f" {', '.join(fitting) or 'none'}). Received: weights={name!r}"
        ) from None


def model_file_of_run(folder):
    """Returns the file of a run's best network, or of its last.

    Raises:
        FileNotFoundError: If the folder holds neither.
    """
    for name in ("best.keras", "last.keras"):
        path = pathlib.Path(folder) / name
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder} is not the folder of a run: it has no best.keras and no last.keras."
    )


def read_model(path):
    """Reads a `.keras` file in Keras's safe mode, without its optimizer.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, or would run code of its own.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is not a readable Keras model: it is not a zip archive."
        )
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a stranger's file may break anything in Keras
        raise ValueError(_why_unreadable(path, error)) from error


# What Keras says of a class that it does not know
_UNKNOWN = re.compile(r"Could not locate (\w+) '([^']+)'.*?'module': '([\w.]+)", re.S)


def _why_unreadable(path, error):
    found = _UNKNOWN.search(str(error))
    if found is None:
        return f"{path} is not a readable Keras model: {error}"
    kind, name, module = found.groups()
    needs = f"{path} needs the {kind} {name!r} of the module {module}, which"
    if module in sys.modules:
        return (
            f"{needs} must be decorated with"
            " `keras.saving.register_keras_serializable()`."
        )
    return (
        f"{needs} has not been imported. Import it first (on the command line:"
        f" --import {module})."
    )


def call_of(identity):
    """Returns the call that builds a network, as text for messages.

    Args:
        identity: `{"network", "config"}`, as from `identity`.
    """
    config = ", ".join(f"{k}={v!r}" for k, v in identity["config"].items())
    return f"{identity['network']}({config})"
