"""Which precision a machine computes fastest in, and networks in another precision."""

import contextlib
import inspect
import warnings

import keras

from sr_keras import processor
from sr_keras.checks import check_option

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def choose_precision(name="auto"):
    """Returns the Keras dtype policy for this machine.

    Args:
        name: A policy, which is returned, or "auto": bfloat16 on a GPU of compute
            capability 8 or higher and on a CPU with AVX512-BF16 or AMX units,
            float16 on a GPU of capability 7, and otherwise float32.

    Returns:
        One of `POLICIES`.

    Raises:
        ValueError: If there is no such policy.

    Warns:
        UserWarning: If `name` is "mixed_bfloat16" and the machine would compute it
            on a CPU without units for it.
    """
    check_option("precision", name, ("auto", *POLICIES))
    if name in ("float32", "mixed_float16"):
        return name
    capability = _gpu_capability()
    if name == "mixed_bfloat16":
        if capability is None and not processor.has_bfloat16():
            warnings.warn(
                "This CPU has no units for bfloat16 (AVX512-BF16 or AMX):"
                " mixed_bfloat16 is 10 to 17 times slower on it than float32. Use"
                ' "auto" or "float32".',
                stacklevel=2,
            )
        return name
    if capability is None:
        return "mixed_bfloat16" if processor.has_bfloat16() else "float32"
    if capability >= 8:
        return "mixed_bfloat16"
    return "mixed_float16" if capability == 7 else "float32"


def with_precision(model, policy):
    """Copies a network, weights included, under another precision policy.

    The layers that compute the output stay float32, from the last ones with weights
    on, as in every network of this package. So do those that compute an image from
    which the output is enlarged.

    Args:
        model: A functional or sequential `keras.Model`.
        policy: One of `POLICIES`, or "auto" for the fastest on this machine.

    Returns:
        A functional `keras.Model` with weights of its own. A copy of a
        `models.Network` is a `Network` with the same scale and identity.

    Raises:
        ValueError: If the model is not functional, or there is no such policy.

    Warns:
        UserWarning: As `choose_precision`.
    """
    return _with_policy(model, choose_precision(policy))


@contextlib.contextmanager
def on_cpu():
    """Opens a scope in which networks are computed on the CPU, in full precision.

    A GPU may round the factors of convolutions to 11 bits.
    """
    if keras.backend.backend() != "jax":
        with keras.device("cpu"):
            yield
        return
    import jax

    try:
        # A local device: the first of all may belong to another process.
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was configured without a CPU
        yield
        return
    with keras.device(device):
        yield


def graph_of(model):
    """Returns the graph of a model without its loss, which a clone would have to save.

    Args:
        model: A functional or sequential `keras.Model`.

    Returns:
        A functional model that shares the weights of `model`. Its class stays if it
        takes the arguments of `keras.Model`, as that of `models.Network` does.

    Raises:
        ValueError: If the model has no graph.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            "`model` must be a functional or built sequential `keras.Model`. Received:"
            f" {model}"
        )
    if isinstance(model, keras.Sequential):  # it has no `input`
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not model.compiled:
        return model
    parameters = inspect.signature(type(model)).parameters.values()
    takes_graphs = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    graph_class = type(model) if takes_graphs else keras.Model
    return graph_class(model.input, model.output, name=model.name)


def _gpu_capability():
    """Returns the major compute capability of the first GPU, or None without a GPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if not gpus:
            return None
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0))[0]
    if backend == "jax":
        import jax

        device = jax.local_devices()[0]
        if device.platform != "gpu":
            return None
        return int(float(getattr(device, "compute_capability", 0)))
    if backend == "torch":
        import torch

        if not torch.cuda.is_available():
            return None
        return torch.cuda.get_device_capability()[0]
    return None


def _with_policy(model, policy):
    model = graph_of(model)
    sources_of = {}  # id of a tensor: the layer that computed it, and from what

    def record(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        inputs = keras.tree.flatten((args, kwargs))
        sources = [x for x in inputs if isinstance(x, keras.KerasTensor)]
        for tensor in keras.tree.flatten(outputs):
            sources_of[id(tensor)] = layer, sources
        return outputs

    recorded = keras.models.clone_model(model, call_function=record)
    channels = {tensor.shape[-1] for tensor in recorded.outputs}
    last, tensors = set(), list(recorded.outputs)
    while tensors:
        layer, sources = sources_of.pop(id(tensors.pop()), (None, []))
        if layer is not None:  # None for an input
            last.add(layer.name)
        if getattr(layer, "weights", []):  # go on to images, not to feature maps
            sources = [tensor for tensor in sources if tensor.shape[-1] in channels]
        tensors += sources

    def copy(layer):
        if isinstance(layer, keras.Model):
            return _with_policy(layer, policy)
        if not isinstance(layer, keras.Layer):
            return layer  # a function of `keras.ops`
        dtype = "float32" if layer.name in last else policy
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    copied = keras.models.clone_model(model, clone_function=copy)
    copied.set_weights(model.get_weights())
    return copied
