"""Networks are the same on every backend: made on another, loaded on TensorFlow."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import preloaded
import pytest

from sr_keras.models import NETWORKS
from tests.models.test_all import build

BACKENDS = [
    pytest.param(
        backend,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(backend) is None,
            reason=f"{backend} is not installed: pip install {backend}",
        ),
    )
    for backend in ("jax", "torch")
]

MAKE = """
import os
import sys
import keras
import numpy as np
from sr_keras.models import NETWORKS
from tests.models.test_all import build

assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
keras.utils.set_random_seed(0)
for network in NETWORKS:
    model = build(network)
    lr = np.random.default_rng(0).random((1, 5, 7, model.input_shape[-1]), "float32")
    model.save_weights(f"{sys.argv[1]}/{network}.weights.h5")
    image = keras.ops.convert_to_numpy(model(lr))
    np.save(f"{sys.argv[1]}/{network}.npy", image)
"""

TRAIN = """
import os
import keras
import numpy as np
from sr_keras import losses, metrics, models

assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
network = models.on_luma(models.espcn(2, filters=(4, 4)))
vgg = {"vgg_weights": None}
terms = ["l1", "ssim", "hfenn", "tv", losses.Content("VGG22", **vgg)]
terms.append(losses.Texture("vgg19/block1_conv1", **vgg))
network.compile(
    "adam",
    losses.WeightedSum([(1.0, term) for term in terms]),
    metrics=[metrics.PSNR(luma=True, border=2), metrics.SSIM(luma=True)],
)
rng = np.random.default_rng(0)
lr, hr = rng.random((2, 16, 16, 3), "float32"), rng.random((2, 32, 32, 3), "float32")
logs = network.fit(lr, hr, verbose=0).history
assert all(np.isfinite(value[0]) for value in logs.values()), logs
"""


def run(backend, program, *arguments):
    env = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    python = preloaded.python(backend)
    subprocess.run([*python, "-c", program, *arguments], env=env, check=True)


@pytest.fixture(scope="module", params=BACKENDS)
def made_elsewhere(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    run(request.param, MAKE, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_weights_made_elsewhere_give_the_same_image(network, made_elsewhere):
    model = build(network)
    model.load_weights(made_elsewhere / f"{network}.weights.h5")
    lr = np.random.default_rng(0).random((1, 5, 7, model.input_shape[-1]), "float32")
    expected = np.load(made_elsewhere / f"{network}.npy")
    np.testing.assert_allclose(model(lr), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_and_metrics_of_luma_and_of_features_train_elsewhere(backend):
    run(backend, TRAIN)
