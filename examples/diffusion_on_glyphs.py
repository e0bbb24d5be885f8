"""Trains the diffusion model of lesson 18 on small characters, and checks its samples.

    python examples/diffusion_on_glyphs.py [STEPS]

The images are hexadecimal digits in three fonts at 25 positions. The LR image is four
times smaller and so noisy that it often fits several digits. As there are only 1,200
images, the probability of each is known, and the samples can be compared with it.

Stop it with Ctrl-C; the same command resumes the run in runs/diffusion_on_glyphs.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

import sr_keras as sr

DIGITS = "0123456789ABCDEF"
FONTS = ("DejaVu Sans Mono:bold", "DejaVu Sans:bold", "DejaVu Serif:bold")
NOISE = 0.2  # standard deviation in the LR image, where white is 1
BATCH_SIZE = 32
SEED = 0


def glyphs():
    """Returns all images, `(1200, 32, 32, 1)` in [0, 1], and the digit of each."""
    images, digits = [], []
    for name in FONTS:
        font = ImageFont.truetype(font_manager.findfont(name), 22)  # of matplotlib
        for digit in DIGITS:
            for dx, dy in np.ndindex(5, 5):
                canvas = Image.new("L", (32, 32))
                place = (14 + dx, 14 + dy)
                ImageDraw.Draw(canvas).text(place, digit, 255, font, anchor="mm")
                images.append(np.asarray(canvas))
                digits.append(digit)
    return sr.images.to_float(np.stack(images))[..., None], np.array(digits)


def photographs(small, rng):
    """Adds noise to images that were scaled down, `(n, 8, 8, 1)`."""
    return small + NOISE * rng.standard_normal(small.shape, "float32")


def training_batches(start_step=0):
    """Returns a `tf.data.Dataset` of batches; each depends on its step alone."""
    hr, _ = glyphs()
    small = sr.degradations.Downscale(4)(hr)

    def batches():
        step = start_step
        while True:
            rng = np.random.default_rng((SEED, step))
            chosen = rng.integers(0, len(hr), BATCH_SIZE)
            yield photographs(small[chosen], rng), hr[chosen]
            step += 1

    signature = (
        tf.TensorSpec((BATCH_SIZE, 8, 8, 1)),
        tf.TensorSpec((BATCH_SIZE, 32, 32, 1)),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


def exact_posterior(lr, small, digits):
    """Returns the probability of each digit, `(n, 16)`, from all images."""
    difference = lr.reshape(len(lr), 1, -1) - small.reshape(1, len(small), -1)
    log_likelihood = -(difference**2).sum(axis=-1) / (2 * NOISE**2)
    weights = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.stack([weights[:, digits == d].sum(axis=1) for d in DIGITS], axis=1)


def read(samples, hr, digits):
    """Returns the digit of the most similar image for each of `(n, 32, 32, 1)`."""
    flat, known = samples.reshape(len(samples), -1), hr.reshape(len(hr), -1)
    distances = (known**2).sum(axis=1) - 2 * flat @ known.T
    return digits[distances.argmin(axis=1)]


def main(steps=2000, folder="runs/diffusion_on_glyphs", num_photos=64, num_samples=16):
    keras.utils.set_random_seed(SEED)
    denoiser = sr.models.denoiser(4, filters=24, channels=1)
    model = sr.training.Diffusion(denoiser, seed=SEED)
    # A constant rate, because the moving average of the weights calms them as well.
    rate = keras.optimizers.schedules.ExponentialDecay(2e-3, 1, 1.0)
    optimizer = keras.optimizers.Adam(
        rate, global_clipnorm=1.0, use_ema=True, ema_momentum=0.998
    )
    model.compile(optimizer)
    run = sr.training.TrainingRun(
        folder, steps, 500, upscaler=model.upscaler, monitor=None, save_every=250
    )
    run.fit(model, training_batches)
    history = {"steps": steps, "seconds": round(run.seconds), "batch_size": BATCH_SIZE}
    path = run.folder / "denoiser-x4-glyphs-diffusion.weights.h5"
    sr.weights.save(denoiser, path, half=True, history=history)

    hr, digits = glyphs()
    small = sr.degradations.Downscale(4)(hr)
    rng = np.random.default_rng(SEED + 1)
    chosen = rng.integers(0, len(hr), num_photos)
    lr = photographs(small[chosen], rng)
    exact = exact_posterior(lr, small, digits)
    samples = model.sample(lr, num_steps=20, num_samples=num_samples, seed=SEED)
    shares = np.zeros_like(exact)
    for sample in samples:
        found = read(sample, hr, digits)
        shares += (found[:, None] == np.array(list(DIGITS))) / len(samples)
    distance = 0.5 * np.abs(shares - exact).sum(axis=1).mean()
    print(f"total variation distance of the digits from the exact: {distance:.3f}")
    return model


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
