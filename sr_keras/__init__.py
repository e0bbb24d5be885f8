"""Super-resolution in Keras 3: models, losses, data and training to build with.

    import sr_keras as sr

What needs TensorFlow is imported when it is first used, so that `sr.models`,
`sr.losses` and their like do without it on another Keras backend.
"""

import importlib
import pathlib
import sys

__version__ = "0.1.0"

_MODULES = (
    "course",
    "datasets",
    "degradations",
    "evaluation",
    "features",
    "images",
    "inference",
    "layers",
    "losses",
    "metrics",
    "models",
    "pipeline",
    "plotting",
    "pretrained",
    "quality",
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


def _register():
    """Imports all that `keras.models.load_model` must know."""
    from sr_keras import layers, losses, metrics, models  # noqa: F401


# The command line does so later, so that `--help` need not wait for Keras.
_program = pathlib.Path(sys.argv[0]).name
if _program != "sr-keras" and not (_program == "-m" and "sr_keras" in sys.orig_argv):
    _register()
