"""Weight files: shipped ones by name, any other by path.

A file carries the name and the configuration of its network as an attribute,
so that loading it into another one says how the two differ.
"""

import json
import os
import pathlib
import weakref

import h5py
import numpy as np

FOLDER = pathlib.Path(__file__).parent
# of networks that do not upscale by themselves, and are no part of `all_names`
ENCODERS = FOLDER / "encoders"

_SUFFIX = ".weights.h5"
_descriptions = weakref.WeakKeyDictionary()  # network: its name and configuration


def names(network, folder=None, **config):
    """Returns the names of the shipped sets that fit a network, sorted.

    Args:
        network: Name of the builder, such as "edsr".
        folder: Where to look; None for `FOLDER`.
        **config: Arguments that must be equal, such as `scale=4`.
    """
    found = []
    for path in sorted((folder or FOLDER).glob(f"{network}-*{_SUFFIX}")):
        stored = describe(path)["config"]
        if all(stored.get(key) == value for key, value in config.items()):
            found.append(path.name.removesuffix(_SUFFIX).split("-", 2)[2])
    return sorted(set(found))


def all_names():
    """Returns the full names of all shipped sets, such as "edsr-x4-bsds", sorted."""
    return sorted(
        path.name.removesuffix(_SUFFIX) for path in FOLDER.glob(f"*{_SUFFIX}")
    )


def find(name):
    """Returns the path of a weight file.

    Args:
        name: The path of a `.weights.h5` file, or the full name of a shipped set:
            NETWORK-xSCALE-NAME, such as "edsr-x4-bsds".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such set.
    """
    path = pathlib.Path(name)
    if path.name.endswith(_SUFFIX):
        if not path.is_file():
            raise FileNotFoundError(f"There is no weight file {path}")
        return path
    path = FOLDER / f"{name}{_SUFFIX}"
    if not path.is_file():
        raise ValueError(
            f"There are no shipped weights {str(name)!r}. There are:"
            f" {', '.join(all_names()) or 'none'}"
        )
    return path


def best(scale, network=None):
    """Returns the full name of the shipped set with the best PSNR for a factor.

    That is the PSNR on the photos that were held out of its training.

    Args:
        scale: Upscaling factor.
        network: None for all networks, or the name of one.

    Raises:
        ValueError: If there is no such set.
    """
    scores = {}
    for name in all_names():
        path = find(name)
        training = training_of(path)
        stored = describe(path)
        if (
            training is not None
            and stored["config"]["scale"] == scale
            and network in (None, stored["network"])
        ):
            scores[name] = training["validation"].get("psnr_y", 0.0)
    if not scores and network is None:
        raise ValueError(f"There are no shipped weights for x{scale}: name a model.")
    if not scores:
        raise ValueError(
            f"There are no shipped weights of {network} x{scale}: train it, and give"
            " the folder of the run."
        )
    return max(scores, key=scores.get)


def describe_as(model, network, config):
    """Notes what a model is, for `description`; builders do it in `load`."""
    _descriptions[model] = {"network": network, "config": config}


def description(model):
    """Returns `{"network", "config"}` of a model that a builder made.

    Raises:
        ValueError: If none did.
    """
    if model not in _descriptions:
        raise ValueError(f"'{model.name}' was not made by a builder of sr_keras.")
    return _descriptions[model]


def save(model, path, network, config, half=False, training=None):
    """Writes the weights of `model`, with what they belong to, and no optimizer.

    Args:
        model: A `keras.Model`.
        path: Where; must end in `.weights.h5`.
        network: Name of the builder, such as "edsr".
        config: Arguments of the builder, as JSON can hold them.
        half: Whether kernels are stored in half precision, which halves the file;
            what has one axis (biases, normalization) stays float32.
        training: None, or how the weights were made, as JSON can hold it, for
            `training_of`.

    Raises:
        ValueError: If the path ends otherwise.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(_SUFFIX):
        raise ValueError(f"The path must end in {_SUFFIX}. Received: {path}")
    temporary = path.with_name(f".{path.name}")
    try:
        model.save_weights(temporary, overwrite=True)
        _rewrite(temporary, half)
        with h5py.File(temporary, "r+") as file:
            file.attrs["sr_keras"] = json.dumps({"network": network, "config": config})
            if training is not None:
                file.attrs["training"] = json.dumps(training)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _rewrite(path, half):
    """Writes a weight file again, compressed and without the optimizer's state.

    With `half` its kernels become float16.
    """
    target = path.with_name(f".{path.name}")
    try:
        with h5py.File(path) as source, h5py.File(target, "w") as file:

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
        os.replace(target, path)
    finally:
        target.unlink(missing_ok=True)


def describe(path):
    """Returns `{"network", "config"}` of a weight file, or None if unknown.

    Raises:
        ValueError: If the file is no HDF5 file.
    """
    return _attribute(path, "sr_keras")


def training_of(path):
    """Returns how the weights in a file were made, or None if unknown.

    What `training.train` writes is {"recipe": its fields, "seconds": the time that
    the training took, "validation": the last scores on the photos held out}.
    `examples/train_on_jax.py` adds {"made_by": the command, "device": its name}.

    Raises:
        ValueError: If the file is no HDF5 file.
    """
    return _attribute(path, "training")


def _attribute(path, name):
    try:
        with h5py.File(path) as file:
            text = file.attrs.get(name)
    except OSError as error:
        raise ValueError(f"{path} is not a weight file: {error}") from error
    return None if text is None else json.loads(text)


def load(model, weights, network, config, folder=None):
    """Loads weights into a model that was just built.

    Args:
        model: A `keras.Model`.
        weights: None, for none; the name of a shipped set; or the path of a
            `.weights.h5` file.
        network: Name of the builder.
        config: Arguments of the builder.
        folder: Where the shipped sets are; None for `FOLDER`.

    Returns:
        `model`

    Raises:
        ValueError: If there are no such weights, or they are of another
            network or configuration.
    """
    describe_as(model, network, config)
    if weights is None:
        return model
    path = pathlib.Path(weights)
    if not path.name.endswith(_SUFFIX):
        folder = folder or FOLDER
        path = folder / f"{network}-x{config['scale']}-{weights}{_SUFFIX}"
        if not path.is_file():
            shipped = names(network, folder, **config) or ["none"]
            raise ValueError(
                f"`weights` must be None, the path of a .weights.h5 file, or the name"
                f" of a shipped set (for this network: {', '.join(shipped)})."
                f" Received: {weights}"
            )
    if not path.is_file():
        raise FileNotFoundError(f"There is no weight file {path}")
    stored = describe(path)
    wanted = {"network": network, "config": config}
    if stored is not None and stored != wanted:
        raise ValueError(
            f"{path} holds the weights of {_call(stored)}, which do not fit"
            f" {_call(wanted)}. `models.load` builds the network that a file is of."
        )
    try:
        model.load_weights(path)
    except ValueError as error:
        raise ValueError(
            f"The weights in {path} do not fit {_call(wanted)}: {error}"
        ) from error
    return model


def _call(description):
    config = ", ".join(f"{k}={v!r}" for k, v in description["config"].items())
    return f"{description['network']}({config})"
