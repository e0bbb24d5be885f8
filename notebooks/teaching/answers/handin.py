"""A hand-in that reaches all points. For the teacher."""

import numpy as np

CONDITIONS = {
    "data": "motorcycle of scikit-image",
    "split": "validation",
    "scale": 4,
    "channel": "luma",
    "border": 4,
    "steps": 900,
    "seed": 0,
}
GENERATED = "nothing"


def undetermined(scale):
    return 1 - 1 / scale**2


def lr_psnr(lr, image, downscale):
    return psnr(lr, downscale(image))


def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2))


def bilinear_weights(position):
    low = int(np.floor(position))
    weights = {low: low + 1 - position, low + 1: position - low}
    return {pixel: weight for pixel, weight in weights.items() if weight > 0}


def cut_pair(lr, hr, scale, top, left, size):
    rows, columns = slice(top, top + size), slice(left, left + size)
    large = (slice(scale * s.start, scale * s.stop) for s in (rows, columns))
    return lr[rows, columns], hr[tuple(large)]


def num_weights(kernel_sizes, filters, channels):
    total = 0
    for size, outputs in zip(kernel_sizes, filters, strict=True):
        total += outputs * (size**2 * channels + 1)
        channels = outputs
    return total


def pixel_shuffle(x, scale):
    height, width, _ = x.shape
    tiles = x.reshape(height, width, scale, scale, -1).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(scale * height, scale * width, -1)


def receptive_field(kernel_sizes, dilations):
    pairs = zip(kernel_sizes, dilations, strict=True)
    return 1 + sum((size - 1) * dilation for size, dilation in pairs)


def best_answers(values):
    return np.mean(values), np.median(values)


def gram_matrix(features):
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat


def fold_batch_norm(kernel, bias, gamma, beta, mean, variance, epsilon):
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, (bias - mean) * factor + beta


def back_project(image, lr, downscale, upscale):
    return image + upscale(lr - downscale(image))


def discriminator_loss(real_logits, fake_logits):
    losses = np.logaddexp(0, -real_logits), np.logaddexp(0, fake_logits)
    return sum(loss.mean() for loss in losses)


def kl_divergence(mean, log_variance):
    return 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance)


def interval(grades, t):
    return np.mean(grades), t * np.std(grades, ddof=1) / np.sqrt(len(grades))


def posterior_of_b(likelihood_8, likelihood_b, share_of_b):
    b = likelihood_b * share_of_b
    return b / (b + likelihood_8 * (1 - share_of_b))


def num_patches(height, width, size, views):
    return (height - size + 1) * (width - size + 1) * views


def overhead(tile, halo):
    return (tile + 2 * halo) ** 2 / tile**2


def blend(weights, gan_weights, detail):
    pairs = zip(weights, gan_weights, strict=True)
    return [(1 - detail) * a + detail * b for a, b in pairs]


def photon_noise_std(value, photons):
    return np.sqrt(value / photons)


def attention(query, key, value):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ value


def fold_branches(kernel, bias, kernel_of_one, bias_of_one):
    folded = kernel.copy()
    folded[1, 1] += kernel_of_one[0, 0]
    return folded, bias + bias_of_one


def image_from_velocity(x, velocity, time):
    return np.cos(np.pi / 2 * time) * x - np.sin(np.pi / 2 * time) * velocity


def ddim_step(x, image, time, earlier):
    noise = (x - np.cos(np.pi / 2 * time) * image) / np.sin(np.pi / 2 * time)
    return np.cos(np.pi / 2 * earlier) * image + np.sin(np.pi / 2 * earlier) * noise


def winners(entries):
    others = {name: row for name, row in entries.items() if name != "bicubic"}
    limit = entries["bicubic"]["psnr_y"]
    allowed = [name for name, row in others.items() if row["psnr_y"] >= limit]
    return (
        max(others, key=lambda name: others[name]["psnr_y"]),
        min(allowed, key=lambda name: others[name]["niqe"]),
    )
