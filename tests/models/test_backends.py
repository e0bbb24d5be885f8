"""Networks are the same on every backend: made on JAX, loaded on TensorFlow."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from sr_keras.models import NETWORKS
from tests.models.test_all import build

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed: pip install jax",
)

MAKE = """
import sys
import keras
import numpy as np
from sr_keras.models import NETWORKS
from tests.models.test_all import build

assert keras.backend.backend() == "jax"
keras.utils.set_random_seed(0)
for network in NETWORKS:
    model = build(network)
    lr = np.random.default_rng(0).random((1, 5, 7, model.input_shape[-1]), "float32")
    model.save_weights(f"{sys.argv[1]}/{network}.weights.h5")
    np.save(f"{sys.argv[1]}/{network}.npy", np.asarray(model(lr)))
"""


@pytest.fixture(scope="module")
def made_on_jax(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax")
    env = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", MAKE, folder], env=env, check=True)
    return folder


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_made_on_jax_give_the_same_image_on_tensorflow(network, made_on_jax):
    model = build(network)
    model.load_weights(made_on_jax / f"{network}.weights.h5")
    lr = np.random.default_rng(0).random((1, 5, 7, model.input_shape[-1]), "float32")
    expected = np.load(made_on_jax / f"{network}.npy")
    np.testing.assert_allclose(model(lr), expected, atol=1e-5)
