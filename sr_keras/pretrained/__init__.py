"""Weight files: shipped ones by name, any other by path.

A file carries the name and the configuration of its network as an attribute,
so that loading it into another one says how the two differ.
"""

import json
import os
import pathlib

import h5py

FOLDER = pathlib.Path(__file__).parent


def names(network, **config):
    """Returns the names of the shipped sets that fit a network, sorted.

    Args:
        network: Name of the builder, such as "edsr".
        **config: Arguments that must be equal, such as `scale=4`.
    """
    found = []
    for path in sorted(FOLDER.glob(f"{network}-*.weights.h5")):
        stored = describe(path)["config"]
        if all(stored.get(key) == value for key, value in config.items()):
            found.append(path.name.removesuffix(".weights.h5").split("-", 2)[2])
    return sorted(set(found))


def save(model, path, network, config):
    """Writes the weights of `model`, with what they belong to.

    Args:
        model: A `keras.Model`.
        path: Where; must end in `.weights.h5`.
        network: Name of the builder, such as "edsr".
        config: Arguments of the builder, as JSON can hold them.

    Raises:
        ValueError: If the path ends otherwise.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"The path must end in .weights.h5. Received: {path}")
    temporary = path.with_name(f".{path.name}")
    try:
        model.save_weights(temporary, overwrite=True)
        with h5py.File(temporary, "r+") as file:
            file.attrs["sr_keras"] = json.dumps({"network": network, "config": config})
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def describe(path):
    """Returns `{"network", "config"}` of a weight file, or None if unknown.

    Raises:
        ValueError: If the file is no HDF5 file.
    """
    try:
        with h5py.File(path) as file:
            text = file.attrs.get("sr_keras")
    except OSError as error:
        raise ValueError(f"{path} is not a weight file: {error}") from error
    return None if text is None else json.loads(text)


def load(model, weights, network, config):
    """Loads weights into a model that was just built.

    Args:
        model: A `keras.Model`.
        weights: None, for none; the name of a shipped set; or the path of a
            `.weights.h5` file.
        network: Name of the builder.
        config: Arguments of the builder.

    Returns:
        `model`

    Raises:
        ValueError: If there are no such weights, or they are of another
            network or configuration.
    """
    if weights is None:
        return model
    path = pathlib.Path(weights)
    if not path.name.endswith(".weights.h5"):
        path = FOLDER / f"{network}-x{config['scale']}-{weights}.weights.h5"
        if not path.is_file():
            shipped = names(network, **config) or ["none"]
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
            f" {_call(wanted)}."
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
