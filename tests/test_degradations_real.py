import dataclasses
import time

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from sr_keras import datasets, degradations, pipeline, training
from sr_keras.degradations import (
    JPEG,
    CorrelatedNoise,
    Downscale,
    Function,
    GaussianNoise,
    KernelBlur,
    OneOf,
    SecondOrder,
    ShotNoise,
    Shuffled,
    Sinc,
    gaussian_kernel,
    sinc_kernel,
)

SAME = Function(lambda image: image)


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()[40:88, 180:252]  # a face, 48 x 72


def test_kernels_by_hand():
    line = np.exp(-0.5 * (np.arange(-2, 3) / 1.5) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    np.testing.assert_allclose(gaussian_kernel(5, 1.5), kernel)
    np.testing.assert_allclose(gaussian_kernel(5, 1.5, shape="generalized"), kernel)
    # 1, 2 and 3 standard deviations to the right of the centre
    plateau = gaussian_kernel(7, 1.0, shape="plateau", beta=1.5)[3, 3:]
    np.testing.assert_allclose(plateau / plateau[0], [1, 1 / 2, 1 / 9, 1 / 28])
    generalized = gaussian_kernel(7, 2.0, shape="generalized", beta=0.5)[3, 3:]
    expected = np.exp([0, -0.25, -0.5, -0.75])
    np.testing.assert_allclose(generalized / generalized[0], expected)


@pytest.mark.parametrize("angle, covariance", [(0, 0), (90, 0), (30, 2.9228)])
def test_an_anisotropic_kernel_has_the_moments_of_the_gaussian(angle, covariance):
    kernel = gaussian_kernel(31, 3.0, 1.5, angle)
    y, x = np.mgrid[15:-16:-1, -15:16]
    # 9 cos^2 + 2.25 sin^2, and the other way round
    cos2 = np.cos(np.radians(angle)) ** 2
    expected = [1, 2.25 + 6.75 * cos2, 9 - 6.75 * cos2, covariance]
    measured = [np.sum(kernel * m) for m in (1, x * x, y * y, x * y)]
    np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("cutoff", [np.pi / 4, np.pi / 2])
def test_a_sinc_passes_what_is_below_its_cutoff(cutoff):
    kernel = sinc_kernel(101, cutoff)
    y, x = np.mgrid[-50:51, -50:51]
    for direction in (0, 0.7):
        wave = np.cos(direction) * x + np.sin(direction) * y
        for share, gain in ((0.6, 1), (1.4, 0)):
            passed = np.sum(kernel * np.cos(share * cutoff * wave))
            assert passed == pytest.approx(gain, abs=0.06)


@pytest.mark.parametrize(
    "blur",
    [
        KernelBlur(),
        KernelBlur((0.2, 3.0), 21, anisotropic=(1, 1, 1)),
        KernelBlur(2.0, 7),
        Sinc(),
        Sinc(1.0, 21),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_an_image_is_filtered_with_the_kernel_that_was_drawn(photo, blur, dtype):
    peak = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = (photo / 255 * peak).astype(dtype)
    errors = []
    for seed in range(20):
        kernel = blur.draw_kernel(seed)
        assert kernel.sum() == pytest.approx(1)
        expected = ndimage.correlate(
            image.astype(float), kernel[..., None], mode="nearest"
        )
        result = blur(image, seed=seed)
        assert result.dtype == dtype
        if dtype != "float32":
            expected = np.clip(expected, 0, peak)
        errors.append(np.abs(result - expected).max() / peak)
    assert max(errors) < 0.012
    assert np.mean(errors) < 0.005


def test_shapes_and_directions_are_drawn_as_often_as_they_should():
    kernels = [KernelBlur((1, 3), 15).draw_kernel(seed) for seed in range(600)]
    is_round = [np.allclose(kernel, kernel.T) for kernel in kernels]
    # 0.7 * 9 / 14 + 0.3 * 0.8
    assert np.mean(is_round) == pytest.approx(0.69, abs=0.05)
    sizes = {len(KernelBlur().draw_kernel(seed)) for seed in range(200)}
    assert sizes == {7, 9, 11, 13, 15, 17, 19, 21}
    only = KernelBlur(2.0, 9, ("plateau",), (1,), (0,), beta_plateau=1.5)
    expected = gaussian_kernel(9, 2.0, shape="plateau", beta=1.5)
    np.testing.assert_allclose(only.draw_kernel(0), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("level", [4, 100, 200])
def test_shot_noise_is_that_of_photons(level, dtype):
    peak = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = np.full((120, 121, 3), level * peak / 255).astype(dtype)
    noise = (ShotNoise(0.6)(image, seed=0) - image.astype(float)) * 255 / peak
    assert noise.mean() == pytest.approx(0, abs=0.1)
    rounding = 1 / 12 if dtype == "uint8" else 0
    assert noise.var() == pytest.approx(0.36 * level + rounding, rel=0.05)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05
    assert not ShotNoise(2.0)(np.zeros_like(image), seed=0).any()


def test_grey_shot_noise_is_the_same_in_all_channels():
    image = np.full((60, 60, 3), [60, 100, 140], np.uint8)
    noise = ShotNoise(1.0, grey=True)(image, seed=0) - image.astype(int)
    np.testing.assert_array_equal(noise[..., 0], noise[..., 2])
    brightness = 0.299 * 60 + 0.587 * 100 + 0.114 * 140
    assert noise.var() == pytest.approx(brightness, rel=0.07)


def test_correlated_noise():
    image = np.full((12, 150, 150, 3), 0.5, "float32")
    noise = CorrelatedNoise(0.1)(image, seed=0) - image
    covariances = [np.cov(part.reshape(-1, 3).T) for part in noise]
    eigenvalues = np.linalg.eigvalsh(covariances) / 0.1**2
    assert eigenvalues.max() < 1.05
    assert eigenvalues.mean() == pytest.approx(0.5, abs=0.15)
    largest = max(abs(np.corrcoef(part.reshape(-1, 3).T)[0, 1]) for part in noise)
    assert largest > 0.3
    grey = CorrelatedNoise(0.1)(image[..., :1], seed=0) - image[..., :1]
    assert grey.shape == (12, 150, 150, 1)


def test_one_of_several_is_drawn(photo):
    inverse = Function(lambda image: 255 - image)
    results = OneOf((SAME, inverse), (3, 1))(np.stack([photo] * 200), seed=0)
    kept = [(result == photo).all() for result in results]
    assert np.mean(kept) == pytest.approx(0.75, abs=0.08)
    changed = [(result == 255 - photo).all() for result in results]
    assert sum(kept) + sum(changed) == 200
    results = OneOf((Downscale(2), Downscale(2, "area")))(photo, seed=1)
    assert results.shape == (24, 36, 3)
    assert OneOf((Downscale(2), Downscale(2, "area"))).margin == 4


def recorder(name, seen):
    def note(image):
        seen.append((name, image.shape[0]))
        return image

    return Function(note)


def test_second_order_has_the_steps_of_the_paper():
    seen = []
    names = ("blurs", "noises", "jpegs")
    steps = {n: tuple(recorder(f"{n}{i}", seen) for i in (1, 2)) for n in names}
    degradation = SecondOrder(4, final=recorder("final", seen), **steps)
    image = np.zeros((400, 8, 3), np.uint8)
    first, second, ends = [], [], []
    for seed in range(300):
        seen.clear()
        assert degradation(image, seed=seed).shape == (100, 2, 3)
        order, sizes = zip(*seen, strict=True)
        assert order[:5] == ("blurs1", "noises1", "jpegs1", "blurs2", "noises2")
        assert sizes[0] == 400 and sizes[1] == sizes[2] == sizes[3]
        first.append(sizes[1] / 400)
        second.append(sizes[4] / 100)
        ends.append(order[5:])
        assert dict(seen)["final"] == 100
        if order[5] == "final":
            assert sizes[6] == 100
        else:
            assert sizes[5] == sizes[4]
    assert set(ends) == {("final", "jpegs2"), ("jpegs2", "final")}
    assert np.mean([end[0] == "final" for end in ends]) == pytest.approx(0.5, abs=0.1)
    for factors, lowest, highest, odds in (
        (np.array(first), 0.15, 1.5, (0.2, 0.7, 0.1)),
        (np.array(second), 0.3, 1.2, (0.3, 0.4, 0.3)),
    ):
        assert lowest - 0.01 <= factors.min() < lowest + 0.05
        assert highest - 0.05 < factors.max() <= highest + 0.01
        shares = [np.mean(x) for x in (factors > 1, factors < 1, factors == 1)]
        # a factor near 1 may be rounded to it
        np.testing.assert_allclose(shares, odds, atol=0.08)


def test_resizes_draw_all_methods_and_clip_no_size_to_0(photo):
    blank = {"blurs": (SAME, SAME), "noises": (SAME, SAME), "jpegs": (SAME, SAME)}
    fixed = {"factors": ((1, 1), (1, 1)), "final": SAME, **blank}
    results = {SecondOrder(2, **fixed)(photo, seed=s).tobytes() for s in range(60)}
    methods = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
    expected = [cv2.resize(photo, (36, 24), interpolation=m) for m in methods]
    assert results == {image.tobytes() for image in expected}
    tiny = np.zeros((4, 5, 1), np.uint8)
    for seed in range(5):
        assert SecondOrder(4)(tiny, seed=seed).shape == (1, 1, 1)
        assert Shuffled(4)(tiny, seed=seed).shape == (1, 1, 1)


def test_shuffled_has_the_steps_of_the_paper():
    seen = []
    steps = [recorder(name, seen) for name in "abc"]
    degradation = Shuffled(4, steps, recorder("last", seen))
    image = np.zeros((400, 8, 3), np.uint8)
    orders, sizes, halved = set(), [], []
    for seed in range(300):
        seen.clear()
        assert degradation(image, seed=seed).shape[0] == 100
        *rest, last = seen
        assert last == ("last", 100)
        orders.add("".join(name for name, _ in rest))
        own = [size for _, size in rest]
        sizes += own
        halved.append(own[0] if own[0] in (400, 200) else None)
    assert len(orders) == 6
    # never below half of the result
    assert 50 <= min(sizes) < 60
    assert max(sizes) == 400
    known = [size for size in halved if size]
    assert np.mean(np.array(known) == 200) == pytest.approx(0.25, abs=0.1)
    assert 200 not in {size for size in sizes_at(Shuffled(4, steps, halved=0), image)}


def sizes_at(degradation, image):
    seen = []
    step = recorder("step", seen)
    blank = dataclasses.replace(degradation, steps=(step,), last=SAME)
    for seed in range(40):
        blank(image, seed=seed)
    return [size for _, size in seen if size == 200]


@pytest.mark.parametrize(
    "degradation",
    [
        Shuffled(4, (), SAME),
        Shuffled(3, (), SAME),
        SecondOrder(4, (SAME, SAME), noises=(SAME, SAME), jpegs=(SAME, SAME)),
    ],
    ids=["shuffled 4", "shuffled 3", "second order"],
)
def test_images_are_not_shifted(degradation):
    if isinstance(degradation, SecondOrder):
        degradation = dataclasses.replace(degradation, final=SAME)
    scale = degradation.scale
    ramp = np.tile(np.arange(240, dtype="float32")[None, :, None], (60, 1, 3)) / 255
    centres = scale * np.arange(240 // scale) + (scale - 1) / 2
    for seed in range(40):
        result = degradation(ramp, seed=seed) * 255
        off = (result - centres[:, None])[3:-3, 12:-12]
        assert np.abs(off.mean()) < 0.1  # of an HR pixel


@pytest.mark.parametrize("name", ["second_order", "shuffled"])
def test_batches_of_patches(name, photo):
    big = np.tile(photo, (2, 2, 1))
    dataset = datasets.arrays([big], scale=4, degradation=name)
    options = {"lr_patch_size": 12, "batch_size": 3}
    batches = pipeline.training_batches(dataset, **options).take(2)
    (lr, hr), (other, _) = ((x.numpy(), y.numpy()) for x, y in batches)
    assert lr.shape == (3, 12, 12, 3) and hr.shape == (3, 48, 48, 3)
    assert (lr != other).any()
    again, _ = next(iter(pipeline.training_batches(dataset, **options)))
    np.testing.assert_array_equal(lr, again)
    for lr_patch, hr_patch in zip(lr, hr, strict=True):
        assert np.abs(lr_patch.mean() - hr_patch.mean()) < 0.15


def test_recipes_take_the_names():
    recipe = training.Recipe(
        network="srcnn", scale=4, data=("samples",), degradation="shuffled"
    )
    assert recipe.build_degradation() == Shuffled(4)
    dataset = datasets.open_data("samples", 4, degradation=recipe.build_degradation())
    assert dataset.degradation == Shuffled(4)

    mine = dataclasses.replace(SecondOrder(4), final=JPEG((40, 60)))
    recipe = recipe.replace(degradation=degradations.serialize(mine))
    dataset = datasets.open_data("samples", 4, degradation=recipe.build_degradation())
    assert dataset.degradation == mine


def test_repr_shows_what_differs_from_the_paper():
    assert repr(SecondOrder(4)) == "SecondOrder(scale=4)"
    changed = dataclasses.replace(SecondOrder(2), final=JPEG(50))
    assert repr(changed) == "SecondOrder(scale=2, final=JPEG(quality=50))"


@pytest.mark.parametrize("name", ["second_order", "shuffled"])
def test_a_patch_takes_milliseconds(name):
    degradation = degradations.get(name, 4)
    window = data.astronaut()[:256, :256]
    degradation.degrade_patch(window, 32, 0)
    start = time.thread_time()
    for seed in range(20):
        degradation.degrade_patch(window, 32, seed)
    assert (time.thread_time() - start) / 20 < 0.03


def test_the_draws_of_a_seed_stay_the_same():
    """Stored outputs of the course depend on them."""
    image = np.full((6, 6, 3), 100, np.uint8)
    noisy = GaussianNoise((0.02, 0.1))(image, seed=3)
    assert noisy[0, :4, 0].tolist() == DRAWN["noise"]
    crappified = degradations.get("crappify", 2)(
        data.astronaut()[100:140, 200:240], seed=5
    )
    assert crappified[4, 4:12, 1].tolist() == pytest.approx(DRAWN["crappify"], abs=2)
    poisson = degradations.PoissonNoise((20, 60))(image, seed=3)
    assert poisson[0, :4, 0].tolist() == DRAWN["poisson"]


DRAWN = {
    "noise": [103, 106, 95, 105],
    "crappify": [176, 178, 179, 181, 183, 188, 193, 196],
    "poisson": [87, 163, 65, 109],
}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: gaussian_kernel(4, 1.0), "`size` must be odd.*: size=4"),
        (lambda: gaussian_kernel(5, 0), "`sigma` must be between .*: sigma=0"),
        (lambda: gaussian_kernel(5, 1, shape="box"), "`shape` must be one of gaussian"),
        (lambda: sinc_kernel(5, 4), "`cutoff` must be between .*: cutoff=4"),
        (lambda: KernelBlur(size=(7, 20)), r"`size` must be odd.*: size=\(7, 20\)"),
        (lambda: KernelBlur(shapes=("box",)), "`shapes` must be one of gaussian"),
        (lambda: KernelBlur(odds=(1, 2)), r"`odds` must be a tuple of 3.*\(1, 2\)"),
        (lambda: KernelBlur(anisotropic=(1,)), "`anisotropic` must have a number for"),
        (lambda: Sinc((1, 4)), r"`cutoff` must be between .*: cutoff=\(1, 4\)"),
        (lambda: ShotNoise(-1), "`strength` must be between 0 and 100"),
        (lambda: CorrelatedNoise(-1), "`sigma` must be between 0 and 10"),
        (lambda: OneOf(()), "`choices` must be one or more degradations"),
        (lambda: OneOf((SAME, Downscale(2))), "of the same scale"),
        (lambda: OneOf((SAME,), (0,)), r"not all 0. Received: odds=\(0,\)"),
        (lambda: SecondOrder(0), "`scale` must be a positive integer"),
        (lambda: SecondOrder(4, blurs=(SAME,)), "`blurs` must have an item for the"),
        (lambda: SecondOrder(4, final=Downscale(2)), "`final` must keep the size"),
        (lambda: SecondOrder(4, factors=((0.1, 0.5), (1, 1))), "with 1 between them"),
        (lambda: SecondOrder(4, methods=("cubic",)), "`methods` must be one of"),
        (lambda: Shuffled(4, methods=()), "`methods` must not be empty"),
        (lambda: Shuffled(4, steps=(Downscale(2),)), "`steps` must keep the size"),
        (lambda: Shuffled(4, halved=2), "`halved` must be between 0 and 1"),
    ],
)
def test_invalid_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
