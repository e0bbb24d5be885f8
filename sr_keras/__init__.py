"""Image super-resolution in Keras 3: models, losses, data and training to build with.

    import sr_keras as sr

Importing the package registers its layers, models, losses, metrics and optimizers with
Keras, GANs and VAEs among them, so that `keras.models.load_model` finds them. The other
modules are imported when they are first used.
"""

import importlib

from sr_keras.processor import prefer_onednn

prefer_onednn()  # before TensorFlow is imported

from sr_keras import (  # noqa: E402
    layers,
    losses,
    metrics,
    models,
    optimizers,
    training,
)

__version__ = "0.1.0"

_MODULES = (
    "course",
    "datasets",
    "degradations",
    "engines",
    "evaluation",
    "exporting",
    "features",
    "images",
    "inference",
    "lpips",
    "pipeline",
    "plotting",
    "precision",
    "published",
    "quality",
    "receptive_field",
    "weights",
)
_FUNCTIONS = {"evaluate": "evaluation", "export": "exporting", "upscale": "inference"}

__all__ = [
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "training",
    *_MODULES,
    *_FUNCTIONS,
]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        module = importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
