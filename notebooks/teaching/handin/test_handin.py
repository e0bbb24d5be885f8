"""Grades the numbers of a hand-in: a point for each test."""

import numpy as np
import pytest

RANDOM = np.random.default_rng(7)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_conditions_are_complete(handin):
    missing = [key for key, value in handin.CONDITIONS.items() if not str(value)]
    if len(missing) == len(handin.CONDITIONS):
        raise NotImplementedError
    assert not missing
    assert handin.GENERATED, "Say what was generated, or 'nothing'."


def down(image):
    return image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1).mean(
        (1, 3)
    )


def up(image):
    return image.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("scale, fraction", [(2, 0.75), (3, 8 / 9), (8, 63 / 64)])
def test_lesson_00_undetermined(handin, scale, fraction):
    close(handin.undetermined(scale), fraction)


def test_lesson_00_lr_psnr_does_not_see_lost_detail(handin):
    lr = RANDOM.random((3, 4, 3))
    checkerboard = np.indices((6, 8)).sum(axis=0)[..., None] % 2 - 0.5
    for detail in (0, checkerboard):
        close(handin.lr_psnr(lr, up(lr) + detail + 0.1, down), 20)


@pytest.mark.parametrize("error, decibels", [(0.1, 20), (1, 0), (0.01, 40)])
def test_lesson_01_psnr(handin, error, decibels):
    image = np.zeros((4, 5, 3))
    close(handin.psnr(image, image + error), decibels)


@pytest.mark.parametrize(
    "position, weights", [(0.875, {0: 0.125, 1: 0.875}), (3.25, {3: 0.75, 4: 0.25})]
)
def test_lesson_01_bilinear_weights(handin, position, weights):
    found = handin.bilinear_weights(position)
    assert {int(k) for k in found} == set(weights)
    for pixel, weight in weights.items():
        close(found[pixel], weight)


def test_lesson_02_patches_are_aligned(handin):
    lr = RANDOM.random((9, 8, 3))
    hr = lr.repeat(3, axis=0).repeat(3, axis=1)  # every pixel knows where it is from
    small, large = handin.cut_pair(lr, hr, scale=3, top=2, left=4, size=3)
    close(small, lr[2:5, 4:7])
    close(large[::3, ::3], small)
    assert large.shape == (9, 9, 3)


@pytest.mark.parametrize(
    "sizes, filters, channels, expected",
    [([9, 1, 5], [64, 32, 1], 1, 8129), ([3], [32], 16, 4640)],
)
def test_lesson_03_num_weights(handin, sizes, filters, channels, expected):
    assert handin.num_weights(sizes, filters, channels) == expected


def test_lesson_04_pixel_shuffle_of_numbers(handin):
    found = handin.pixel_shuffle(np.arange(12.0).reshape(1, 1, 12), 2)
    assert found.shape == (2, 2, 3)
    close(found[1, 0], [6, 7, 8])


def test_lesson_04_pixel_shuffle_keeps_all_values(handin):
    x = RANDOM.random((3, 4, 9))
    found = handin.pixel_shuffle(x, 3)
    assert found.shape == (9, 12, 1)
    close(found[3:6, 6:9, 0].ravel(), x[1, 2])


@pytest.mark.parametrize(
    "sizes, dilations, width",
    [([3, 3, 3], [1, 2, 4], 15), ([9, 1, 5], [1, 1, 1], 13), ([3] * 20, [1] * 20, 41)],
)
def test_lesson_05_receptive_field(handin, sizes, dilations, width):
    assert handin.receptive_field(sizes, dilations) == width


@pytest.mark.parametrize(
    "values, mean, median",
    [([0, 0, 1], 1 / 3, 0), ([0.1, 0.2, 0.2, 0.7, 0.8], 0.4, 0.2)],
)
def test_lesson_06_best_answers(handin, values, mean, median):
    close(handin.best_answers(values), (mean, median))


def test_lesson_07_gram_matrix(handin):
    features = np.array([[[1.0, 0], [2, 1]], [[0, 3], [1, 1]]])
    close(handin.gram_matrix(features), [[6, 3], [3, 11]])


def test_lesson_07_gram_matrix_has_no_positions(handin):
    features = RANDOM.random((4, 3, 5))
    moved = RANDOM.permutation(features.reshape(12, 5)).reshape(4, 3, 5)
    close(handin.gram_matrix(moved), handin.gram_matrix(features))


def test_lesson_08_fold_one_weight(handin):
    parts = (np.array(v, float).reshape(-1) for v in (0.5, 3, 1, 0.5, 4))
    kernel, bias = handin.fold_batch_norm(np.full((1, 1, 1, 1), 2.0), *parts, 0.0)
    close(np.ravel(kernel), [3])
    close(np.ravel(bias), [1])


def test_lesson_08_folded_equals_both(handin):
    kernel, x = RANDOM.random((1, 1, 3, 4)), RANDOM.random((6, 3))
    bias, gamma, beta, mean, variance = RANDOM.random((5, 4))
    both = (x @ kernel[0, 0] + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    folded, shift = handin.fold_batch_norm(
        kernel, bias, gamma, beta, mean, variance, 1e-3
    )
    close(x @ folded[0, 0] + shift, both)


def test_lesson_09_back_projection_makes_consistent(handin):
    lr, image = RANDOM.random((3, 4, 1)), RANDOM.random((6, 8, 1))
    found = handin.back_project(image, lr, down, up)
    close(down(found), lr)
    close(found - up(down(found)), image - up(down(image)))  # detail stays


@pytest.mark.parametrize(
    "real, fake, loss",
    [(0.0, 0.0, 2 * np.log(2)), (800.0, -800.0, 0.0), (-800.0, -800.0, 800.0)],
)
def test_lesson_10_discriminator_loss(handin, real, fake, loss):
    found = handin.discriminator_loss(np.full((4, 1), real), np.full((4, 1), fake))
    close(found, loss)


@pytest.mark.parametrize(
    "mean, variance, nats", [(0, 1, 0), (2, 0.01, 3.807585), (1, 1, 0.5)]
)
def test_lesson_11_kl_divergence(handin, mean, variance, nats):
    close(handin.kl_divergence(np.array([mean]), np.log([variance])), nats)


def test_lesson_12_interval(handin):
    mean, half = handin.interval([1, 2, 3, 4, 5, 3, 3, 3, 3], t=2.306)
    close([mean, half], [3, 2.306 * np.sqrt(10 / 8) / 3])


@pytest.mark.parametrize("share, expected", [(0.5, 0.8), (0.1, 4 / 13), (0.9, 36 / 37)])
def test_lesson_13_posterior(handin, share, expected):
    close(handin.posterior_of_b(0.2, 0.8, share), expected)


def test_lesson_14_num_patches(handin):
    assert handin.num_patches(64, 64, 24, 8) == 13_448
    assert handin.num_patches(30, 24, 24, 1) == 7


def test_lesson_15_overhead(handin):
    close(handin.overhead(64, 20), 2.640625)
    close(handin.overhead(256, 0), 1)


@pytest.mark.parametrize("detail, values", [(0, (1, 2)), (1, (5, 0)), (0.25, (2, 1.5))])
def test_lesson_16_blend(handin, detail, values):
    kernels = np.full((3, 3, 1, 2), 1.0), np.full((3, 3, 1, 2), 5.0)
    biases = np.full(2, 2.0), np.zeros(2)
    found = handin.blend(*zip(kernels, biases, strict=True), detail)
    assert [np.shape(x) for x in found] == [(3, 3, 1, 2), (2,)]
    for array, value in zip(found, values, strict=True):
        close(array, np.full(array.shape, value))


@pytest.mark.parametrize("value, photons, std", [(1, 100, 0.1), (0.36, 900, 0.02)])
def test_lesson_16_photon_noise(handin, value, photons, std):
    close(handin.photon_noise_std(value, photons), std)


def test_lesson_17_attention_on_paper(handin):
    query, key = np.array([[1.0], [0.0]]), np.log([[1.0], [2.0], [5.0]])
    value = np.array([[8.0, 1], [4, 1], [0, 1]])
    close(handin.attention(query, key, value), [[2, 1], [4, 1]])


def test_lesson_17_attention_divides_by_the_root_and_does_not_overflow(handin):
    query, key = np.full((1, 4), 0.5), np.log([[2.0] * 4, [6.0] * 4])
    close(handin.attention(query, key, np.array([[1.0], [0.0]])), [[0.25]])
    large = np.array([[2000.0], [0.0]])
    close(handin.attention(large, large, np.array([[3.0], [5.0]])), [[3], [4]])


def test_lesson_17_fold_branches(handin):
    x, one = RANDOM.random((7, 8, 2)), RANDOM.random((1, 1, 2, 3))
    kernel, (bias, bias_of_one) = RANDOM.random((3, 3, 2, 3)), RANDOM.random((2, 3))
    folded, shift = handin.fold_branches(kernel, bias, one, bias_of_one)

    def conv(weights):  # of the pixels inside
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
        return np.einsum("hwiyx,yxio->hwo", windows, weights)

    both = conv(kernel) + bias + x[1:-1, 1:-1] @ one[0, 0] + bias_of_one
    close(conv(folded) + shift, both)


@pytest.mark.parametrize("time", [0.3, 1])
def test_lesson_18_image_from_velocity(handin, time):
    image, noise = RANDOM.random((2, 4, 5, 1))
    angle = np.radians(90 * time)
    x = np.cos(angle) * image + np.sin(angle) * noise
    velocity = np.cos(angle) * noise - np.sin(angle) * image
    close(handin.image_from_velocity(x, velocity, time), image)


@pytest.mark.parametrize("time, earlier", [(1, 0.7), (0.1, 0)])
def test_lesson_18_ddim_step_keeps_image_and_noise(handin, time, earlier):
    image, noise = RANDOM.random((2, 4, 5, 1))
    before, after = np.radians(90 * time), np.radians(90 * earlier)
    x = np.cos(before) * image + np.sin(before) * noise
    found = handin.ddim_step(x, image, time, earlier)
    close(found, np.cos(after) * image + np.sin(after) * noise)


LEADERBOARD = {
    "bicubic": {"psnr_y": 27.0, "niqe": 2.0},
    "a": {"psnr_y": 26.9, "niqe": 3.0},
    "b": {"psnr_y": 27.0, "niqe": 4.0},
    "c": {"psnr_y": 29.0, "niqe": 6.0},
    "d": {"psnr_y": 28.0, "niqe": 5.0},
}


@pytest.mark.parametrize(
    "absent, expected", [("", ("c", "b")), ("b", ("c", "d")), ("c", ("d", "b"))]
)
def test_lesson_19_winners(handin, absent, expected):
    entries = {name: row for name, row in LEADERBOARD.items() if name != absent}
    assert tuple(handin.winners(entries)) == expected
