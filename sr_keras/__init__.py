"""Super-resolution in Keras 3: models, losses, data and training to build with.

    import sr_keras as sr

Modules are imported when they are first used, so that `sr.models`, `sr.losses` and
their like need no TensorFlow on another Keras backend.
"""

import importlib

__version__ = "0.1.0"

_MODULES = (
    "datasets",
    "degradations",
    "images",
    "inference",
    "layers",
    "losses",
    "metrics",
    "models",
    "pipeline",
    "plotting",
    "pretrained",
    "training",
)
_FUNCTIONS = {"evaluate": "evaluation", "export": "exporting", "upscale": "inference"}

__all__ = [*_MODULES, *_FUNCTIONS]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        module = importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
