"""Networks that know their builder, its arguments, and their scale."""

import contextlib
import functools
import inspect
import numbers
import pathlib

import keras

from sr_keras import published
from sr_keras import weights as weight_files
from sr_keras.checks import check_name, check_scale, find_imported, is_reference

# Builders by name, for `load`, recipes and the command line.
NETWORKS = {}


@keras.saving.register_keras_serializable(package="sr_keras")
class Output(keras.layers.Layer):
    """Marks the output of a network with its scale, builder and arguments.

    The layer returns its input as float32. The mark is part of the graph, so it
    survives saving, `clone_model`, a copy in another precision, and a change of the
    backend.

    Args:
        scale: Upscaling factor of the network.
        network: Name of its builder, or None.
        arguments: Dictionary of the builder's arguments, of values that JSON can store.

    Raises:
        ValueError: If `scale` is not a positive integer.
    """

    def __init__(self, scale, network=None, arguments=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.scale = check_scale(scale)
        self.network = network
        self.arguments = dict(arguments or {})

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "network": self.network,
            "arguments": dict(self.arguments),
        }


@keras.saving.register_keras_serializable(package="sr_keras")
class Network(keras.Model):
    """A functional model that knows its scale and how it was built.

    All builders of this package return one. To make one of your own graph, write

        model = sr_keras.models.Network(inputs, outputs, scale=3)

    or decorate the function that builds it with `register`, which also records its
    arguments.

    Args:
        inputs: As for `keras.Model`.
        outputs: As for `keras.Model`.
        scale: Upscaling factor, a positive integer. None if `outputs` is already the
            output of a network.
        identity: None, or the builder's name and arguments, `{"network", "config"}`.
            `register` sets it.
        name: Model name.

    Raises:
        ValueError: If `scale` is not a positive integer or None.
    """

    # `*args`: Keras treats a class as functional only if it takes the arguments of
    # `keras.Model`.
    def __init__(self, *args, scale=None, identity=None, **kwargs):
        if scale is not None:
            inputs, outputs, args = _inputs_and_outputs(args, kwargs)
            outputs = _mark(inputs, outputs, scale, identity)
            kwargs.update(inputs=inputs, outputs=outputs)
        super().__init__(*args, **kwargs)

    @property
    def scale(self):
        """Upscaling factor, or None if the graph has no mark."""
        mark = _mark_of(self)
        return None if mark is None else mark.scale

    @property
    def identity(self):
        """`{"network", "config"}`: the builder's name and arguments, or None."""
        return identity_of(self)


def _inputs_and_outputs(args, kwargs):
    names = ("inputs", "outputs")
    given = dict(zip(names, args, strict=False))
    given.update({name: kwargs.pop(name) for name in names if name in kwargs})
    return given["inputs"], given["outputs"], args[2:]


def _mark(inputs, outputs, scale, identity):
    """Puts an `Output` on each of the outputs.

    On each, because a mark on one alone would move its layer to another depth of the
    graph: Keras loads weights in the order of the layers, and those of two outputs of
    equal shapes would be exchanged without an error.
    """
    identity = identity or {"network": None, "config": {}}
    # A builder may be made of another: then there is an "sr" in the graph already.
    taken = {layer.name for layer in keras.Model(inputs, outputs).layers}
    flat = keras.tree.flatten(outputs)
    names = ["sr", *(f"sr_{i}" for i in range(1, len(taken) + len(flat)))]
    names = [name for name in names if name not in taken]
    marked = [
        Output(scale, identity["network"], identity["config"], name=name)(output)
        for name, output in zip(names, flat, strict=False)
    ]
    return keras.tree.pack_sequence_as(outputs, marked)


def _mark_of(model):
    names = getattr(model, "output_names", ())
    marks = [
        layer
        for layer in getattr(model, "layers", ())
        if isinstance(layer, Output) and layer.name in names
    ]
    return marks[0] if marks else None


def identity_of(model):
    """Returns `{"network", "config"}` of a model, or None if it has no builder.

    Args:
        model: A `keras.Model`. It may be a plain one that was made of the inputs and
            outputs of a `Network`.
    """
    mark = _mark_of(model)
    if mark is None or mark.network is None:
        return None
    return {"network": mark.network, "config": dict(mark.arguments)}


def scale_of(model):
    """Returns the upscaling factor of a model.

    Args:
        model: A `Network`, another `keras.Model`, or any object with an attribute
            `scale`.

    Raises:
        ValueError: If the model does not know its scale, and its graph does not have an
            output that is larger by an integer factor.
    """
    mark = _mark_of(model)
    scale = getattr(model, "scale", None) if mark is None else mark.scale
    if scale is not None:
        return scale
    try:
        channels = model.input_shape[-1]
        _, height, width, _ = model.compute_output_shape((1, 96, 96, channels))
    except Exception:  # whatever the model's own code raises
        height = width = None
    is_known = height is not None and width is not None
    if not is_known or height != width or height % 96:
        name = getattr(model, "name", type(model).__name__)
        received = f" Received: {height}x{width}" if is_known else ""
        raise ValueError(
            f"The scale of '{name}' is unknown. Build it as"
            " `sr_keras.models.Network(inputs, outputs, scale=...)`, or set its"
            " attribute `scale`. Otherwise, the output for an input of 96x96 pixels"
            f" must be larger by an integer factor.{received}"
        )
    return height // 96


@contextlib.contextmanager
def channels_last():
    """Builds layers for `(batch, height, width, channels)`, whatever Keras is set to.

    Keras's own layers read the setting `image_data_format` of `keras.json` when they
    are made. Used as a context or as a decorator of a builder.
    """
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def register(builder=None, *, identity=None, listed=True, free=()):
    """Turns a function that builds a functional model into a builder of `Network`s.

    The decorated function gets a keyword argument `weights`: None, the name of a
    shipped set, a weights file, the folder of a training run, or a file that others
    published, see `load_published`. The model that it
    returns knows the name of the function and its arguments, and stores them in its
    weights files, so that `load` can build it again. Recipes and the command line find
    the builder by its name:

        @sr_keras.models.register
        def my_network(scale, filters=64, name="my_network"):
            inputs = keras.Input((None, None, 3))
            ...
            return keras.Model(inputs, outputs, name=name)

    Args:
        builder: A function with an argument `scale` that returns a functional
            `keras.Model`. Its other arguments are numbers, strings, booleans, None,
            or lists and dicts of these.
        identity: Name of the network in weights files. None for the function's name.
        listed: Whether the builder is put into `NETWORKS`.
        free: Names of arguments that change the outputs but not the weights. They are
            not stored.

    Returns:
        The builder.

    Raises:
        ValueError: If the function has no argument `scale`, has one that is called
            `weights`, or takes `*args` or `**kwargs`.
    """
    if builder is None:
        return functools.partial(register, identity=identity, listed=listed, free=free)
    known_as = identity or builder.__name__
    signature = inspect.signature(builder)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if "scale" not in signature.parameters:
        requirement = "must have an argument `scale`"
    elif "weights" in signature.parameters:
        requirement = "must not have an argument `weights`, which `register` adds"
    elif kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        requirement = "must name all of its arguments"
    else:
        requirement = None
    if requirement is not None:
        raise ValueError(
            f"A builder of networks {requirement}. Received:"
            f" {builder.__name__}{signature}"
        )

    @functools.wraps(builder)
    def build(*args, weights=None, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = {
            name: _plain(name, value) for name, value in bound.arguments.items()
        }
        with channels_last():
            model = builder(*bound.args, **bound.kwargs)
        config = {k: v for k, v in arguments.items() if k not in ("name", *free)}
        model = Network(
            model.input,
            model.output,
            scale=arguments["scale"],
            identity={"network": known_as, "config": config},
            name=model.name,
        )
        if weights is not None:
            if pathlib.Path(str(weights)).suffix in published.SUFFIXES:
                weights = load_published(weights)
            defaults = {
                name: _plain(name, parameter.default)
                for name, parameter in signature.parameters.items()
                if parameter.default is not parameter.empty
            }
            weight_files.load(model, weights, defaults)
        return model

    parameters = list(signature.parameters.values())
    parameters.append(
        inspect.Parameter("weights", inspect.Parameter.KEYWORD_ONLY, default=None)
    )
    build.__signature__ = signature.replace(parameters=parameters)
    if listed:
        NETWORKS[builder.__name__] = build
    return build


def find_builder(name):
    """Returns the builder of `NETWORKS` with a name, or the function of a reference.

    Args:
        name: A name of `NETWORKS`, or `"module:function"` of a module that has been
            imported. A function that is not decorated with `register` is registered
            here, under the reference and not in `NETWORKS`.

    Raises:
        ValueError: If there is no such builder, or the function is not fit to be one.
    """
    if not is_reference(name):
        check_name("a network", name, NETWORKS)
        return NETWORKS[name]
    function = find_imported("a network", name)
    if not callable(function):
        raise ValueError(f"{name} must be a function. Received: {function!r}")
    if "weights" in inspect.signature(function).parameters:
        return function
    return register(function, identity=name, listed=False)


def load_published(path):
    """Builds the network that a published checkpoint belongs to, with its weights.

    The architecture, the number and width of its blocks and its scale are recognized
    from the names and shapes of the tensors. Supported are the files of

    - EDSR and RCAN, of their authors and of BasicSR;
    - RDN, of its authors (images in [0, 255]) and of later code (in [0, 1]);
    - ESRGAN and Real-ESRGAN, with their old and new names: `rrdb` for the large
      networks, `srvgg` for the compact ones;
    - MSRResNet of BasicSR, which is `srresnet(variant="modified")`;
    - SPAN, with or without the factors of its convolutions, and RLFN;
    - SwinIR for upscaling.

    The factor on the residual branches is not in a file of EDSR. It is 0.1 for 256
    filters, and 1 for fewer, as in the networks of its authors.

    Args:
        path: Path of a file that `sr_keras.published.read_checkpoint` reads.

    Returns:
        A `models.Network`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, its architecture is not known, or its
            tensors do not fit it.
        ImportError: If a package is missing that the format needs.
    """
    tensors = published.read_checkpoint(path)
    try:
        layout = published.recognize(tensors)
    except ValueError as error:
        raise ValueError(
            f"{path} is not a network that can be loaded. {error}"
        ) from error
    try:
        model = NETWORKS[layout.network](**layout.config)
        published.assign(model, tensors, layout)
    except ValueError as error:
        raise ValueError(f"{path} does not fit {layout.network}: {error}") from error
    return model


def _plain(name, value):
    """Converts an argument to what JSON can store."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(name, item) for key, item in value.items()}
    raise ValueError(
        "The arguments of a network must be numbers, strings, booleans, None, or lists"
        f" and dicts of these. Received: {name}={value!r}"
    )
