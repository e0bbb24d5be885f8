"""Who may import whom: the layers of the package, read from its source."""

import ast
import pathlib
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "sr_keras"
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From the bottom to the top: a module imports only what stands before it.
ORDER = [
    "processor",
    "checks",
    "files",
    "image_files",
    "video",
    "layers",
    "images",
    "weights",
    "published",
    "precision",
    "optimizers",
    "plotting",
    "course",
    "features",
    "lpips",
    "losses",
    "quality",
    "metrics",
    "models",
    "degradations",
    "datasets",
    "pipeline",
    "receptive_field",
    "exporting",
    "engines",
    "tiles",
    "inference",
    "evaluation",
    "serve",
    "training",
    "__init__",
    "cli",
    "__main__",
]
# These run on every backend of Keras.
ON_EVERY_BACKEND = ["processor", "checks", "files", "image_files", "layers"]
ON_EVERY_BACKEND += ["images", "weights"]
ON_EVERY_BACKEND += ["optimizers", "features", "lpips", "losses", "metrics", "models"]
# Files that Pillow and OpenCV read or write in part only.
IMAGE_FILES = {"tifffile", "pillow_heif"}
WITH_TENSORFLOW = ["course", "precision", "degradations", "datasets", "pipeline"]
WITH_TENSORFLOW += ["training", "cli", "__main__"]
# Papers that are built on another paper's network: (importing, imported).
BUILT_ON = set()


def imports_of(source):
    """Returns the names of all modules that a source text imports, anywhere."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "Imports are absolute."
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner.startswith("sr_keras.") and (
                    inner.removeprefix("sr_keras.") in FILES
                    or f"{inner.removeprefix('sr_keras.')}.__init__" in FILES
                )
                found.add(inner if is_module else node.module)
    return found


def inside(module):
    """Returns the modules of the package that a module imports, less its prefix."""
    found = imports_of(FILES[module].read_text())
    return {
        name.removeprefix("sr_keras").removeprefix(".") or "__init__"
        for name in found
        if name.split(".")[0] == "sr_keras"
    }


def outside(module):
    """Returns the packages from elsewhere that a module imports."""
    packages = {name.split(".")[0] for name in imports_of(FILES[module].read_text())}
    return packages - {"sr_keras"} - sys.stdlib_module_names


def unit(module):
    return module.split(".")[0]


every = pytest.mark.parametrize("module", FILES)


def test_imports_are_found_wherever_they_stand():
    source = """
import os.path
from sr_keras import images, models
from sr_keras.models.edsr import edsr
from sr_keras.layers import PixelShuffle

def late():
    import tensorflow as tf
"""
    assert imports_of(source) == {
        "os.path",
        "sr_keras.images",
        "sr_keras.models",
        "sr_keras.models.edsr",
        "sr_keras.layers",
        "tensorflow",
    }


@every
def test_a_module_imports_only_what_stands_below_it(module):
    assert unit(module) in ORDER, "Give the new module its place in ORDER."
    below = ORDER[: ORDER.index(unit(module))]
    assert {unit(name) for name in inside(module)} <= {*below, unit(module)}


@every
def test_nothing_imports_the_command_line_or_the_whole_package(module):
    if unit(module) not in ("cli", "__main__"):
        assert not {unit(name) for name in inside(module)} & {"cli", "__main__"}
        assert "__init__" not in inside(module)


@every
def test_what_runs_on_every_backend_imports_no_other_framework(module):
    if unit(module) in ON_EVERY_BACKEND:
        assert outside(module) <= {"keras", "numpy", "cv2", "PIL", "h5py", *IMAGE_FILES}
    elif unit(module) not in WITH_TENSORFLOW:
        assert not outside(module) & {"tensorflow", "tensorflow_datasets"}


def test_papers_do_not_import_each_other():
    papers = {
        (module.split(".")[1], name.split(".")[1])
        for module in FILES
        if unit(module) == "models" and module != "models.__init__"
        for name in inside(module)
        if name.startswith("models.") and name != "models.network"
    }
    assert papers == BUILT_ON
