"""Fixtures that several tests share."""

import os
import pathlib

import pytest

# One thread for each process of pytest-xdist; TensorFlow reads this when it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# so that programs which tests start find the package, installed or not
_ROOT = str(pathlib.Path(__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [_ROOT, os.environ.get("PYTHONPATH")])
)


@pytest.fixture
def data_dir():
    """The folder of the real photos, which data/README.md describes."""
    path = os.environ.get("SR_KERAS_DATA")
    if not path:
        pytest.skip(
            "SR_KERAS_DATA is not set: it must name the folder that has `benchmark`,"
            " `bsds500` and `t91` in it, see data/README.md"
        )
    return pathlib.Path(path)
