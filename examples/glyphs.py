"""Trains the networks of lesson 18 on small characters, and checks their samples.

    python examples/glyphs.py [diffusion|vae|l1] [STEPS]

The images are hexadecimal digits in three fonts at 25 positions. The LR image is four
times smaller and so noisy that it often fits several digits. As there are only 1,200
images, the probability of each is known, and the samples can be compared with it.

`diffusion` and `l1` train the same U-Net. For `l1` it sees zeros in place of the noisy
image, so it has one answer for each LR image.

Stop it with Ctrl-C; the same command resumes the run in runs/glyphs.
"""

import argparse
import pathlib

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
STEPS = {"diffusion": 10_000, "vae": 2000, "l1": 2500}


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


def build(method, steps):
    """Returns the model to train, its networks by name, and the one that upscales."""

    def adam(rate):
        warmup = steps // 50
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warmup, warmup_target=rate, warmup_steps=warmup
        )
        return keras.optimizers.Adam(
            schedule, global_clipnorm=1.0, use_ema=True, ema_momentum=0.998
        )

    if method == "vae":
        options = {"filters": 32, "num_blocks": 2, "latent_channels": 4, "channels": 1}
        encoder = sr.models.vae_encoder(4, **options)
        decoder = sr.models.vae_decoder(4, **options)
        model = sr.training.VAE(encoder, decoder, seed=SEED)
        model.compile(adam(2e-3), kl_weight=3e-3, annealing_steps=steps // 5)
        return model, {"vae": decoder, "vae_encoder": encoder}, model.upscaler
    denoiser = sr.models.denoiser(4, filters=24, channels=1)
    if method == "diffusion":
        model = sr.training.Diffusion(denoiser, seed=SEED)
        model.compile(adam(2e-3))
        return model, {"denoiser": denoiser}, model.upscaler
    upscaler = sr.models.denoiser_upscaler(denoiser)
    upscaler.compile(adam(2e-3), loss="mae")
    return upscaler, {"denoiser": denoiser}, upscaler


def exact_posterior(lr, small, digits):
    """Returns the probability of each digit, `(n, 16)`, from all images."""
    difference = lr.reshape(len(lr), 1, -1) - small.reshape(1, len(small), -1)
    log_likelihood = -(difference**2).sum(axis=-1) / (2 * NOISE**2)
    weights = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.stack([weights[:, digits == d].sum(axis=1) for d in DIGITS], axis=1)


def nearest(samples, hr):
    """Returns the number of the most similar image for each of `(n, 32, 32, 1)`."""
    flat, known = samples.reshape(len(samples), -1), hr.reshape(len(hr), -1)
    distances = (known**2).sum(axis=1) - 2 * flat @ known.T
    return distances.argmin(axis=1)


def main(method="diffusion", steps=None, folder="runs/glyphs", photos=64, draws=16):
    steps = STEPS[method] if steps is None else steps
    keras.utils.set_random_seed(SEED)
    model, networks, upscaler = build(method, steps)
    run = sr.training.TrainingRun(
        pathlib.Path(folder, method), steps, 500, upscaler=upscaler, monitor=None
    )
    run.fit(model, training_batches)
    history = {"steps": steps, "seconds": round(run.seconds), "batch_size": BATCH_SIZE}
    for network, part in networks.items():
        path = run.folder / f"{network}-x4-glyphs-{method}.weights.h5"
        sr.weights.save(part, path, half=True, history=history)
    check(model, method, photos, draws)
    return model


def check(model, method, num_photos, num_samples):
    """Prints how far samples are from images and from the exact probabilities."""
    hr, digits = glyphs()
    small = sr.degradations.Downscale(4)(hr)
    rng = np.random.default_rng(SEED + 1)
    chosen = rng.integers(0, len(hr), num_photos)
    lr = photographs(small[chosen], rng)
    if method == "diffusion":
        samples = model.sample(lr, num_steps=20, num_samples=num_samples, seed=SEED)
    elif method == "vae":
        samples = model.sample(lr, num_samples=num_samples, seed=SEED)
    else:
        samples = model.predict(lr, verbose=0)[None]
    exact = exact_posterior(lr, small, digits)
    shares, distances = np.zeros_like(exact), []
    for sample in samples:
        found = nearest(sample, hr)
        shares += (digits[found][:, None] == np.array(list(DIGITS))) / len(samples)
        distances.append(np.mean((np.clip(sample, 0, 1) - hr[found]) ** 2))
    distance = 0.5 * np.abs(shares - exact).sum(axis=1).mean()
    print(f"total variation distance of the digits from the exact: {distance:.3f}")
    print(f"root mean square distance to an image: {np.sqrt(np.mean(distances)):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", nargs="?", choices=STEPS, default="diffusion")
    parser.add_argument("steps", nargs="?", type=int)
    arguments = parser.parse_args()
    main(arguments.method, arguments.steps)
