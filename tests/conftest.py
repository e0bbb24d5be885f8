"""Settings and fixtures that several test files share."""

import os
import pathlib

import pytest

# One thread per process of pytest-xdist. TensorFlow reads these when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# Programs that the tests start find the package, whether it is installed or not.
_ROOT = str(pathlib.Path(__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [_ROOT, os.environ.get("PYTHONPATH")])
)


def pytest_collection_modifyitems(items):
    """Runs slow tests first, so that no process waits for another one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Lets a process that is done take over tests of another one."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Seeds Python, NumPy and Keras, so that a test does the same in every run."""
    import keras  # not above: the number of threads has to be set before

    keras.utils.set_random_seed(0)


@pytest.fixture
def data_dir():
    """Returns the folder of real photos, which data/README.md describes."""
    path = os.environ.get("SR_KERAS_DATA")
    if not path:
        pytest.skip(
            "SR_KERAS_DATA is not set. It must be the folder that contains"
            " `benchmark`, `bsds500` and `t91`; see data/README.md."
        )
    return pathlib.Path(path)
