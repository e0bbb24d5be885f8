import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from skimage import data

from sr_keras import images
from sr_keras.datasets import Pairs, folder
from sr_keras.degradations import Compose, Downscale, GaussianBlur, GaussianNoise
from sr_keras.pipeline import training_batches


def pairs_of(photos, scale=2, degradation=None, lr_photos=None):
    return Pairs(
        [f"photo {i}" for i in range(len(photos))],
        scale,
        lambda i: photos[i],
        lr_photos and (lambda i: lr_photos[i]),
        degradation=degradation,
        key="photos",
    )


def noise(*shape, dtype="uint8", seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def positions(height, width):
    """Makes an image whose 16-bit pixels are numbered row by row."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width, 1)


def take(count, dataset, **kwargs):
    """Returns `count` batches as arrays (lr, hr)."""
    kwargs = {"lr_patch_size": 4, "batch_size": 3, **kwargs}
    batches = training_batches(dataset, **kwargs).take(count)
    return [(lr.numpy(), hr.numpy()) for lr, hr in batches]


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        for image, other_image in zip(batch, other, strict=True):
            np.testing.assert_array_equal(image, other_image)


RANDOM = Compose([Downscale(2), GaussianNoise((0.01, 0.2))])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 3])
def test_batches_are_floats_of_known_shapes(scale, channels):
    dataset = pairs_of([noise(17, 25, 3)], scale)
    batches = training_batches(
        dataset, lr_patch_size=4, batch_size=2, channels=channels
    )
    lr, hr = batches.element_spec
    assert lr == tf.TensorSpec((2, 4, 4, channels), "float32")
    assert hr == tf.TensorSpec((2, 4 * scale, 4 * scale, channels), "float32")
    lr, hr = next(iter(batches))
    assert (0 <= hr.numpy().min()) and (0.5 < hr.numpy().max() <= 1)


@pytest.mark.parametrize("degradation", ["bicubic", RANDOM], ids=["fixed", "random"])
def test_a_batch_depends_only_on_seed_and_number(degradation):
    dataset = pairs_of([noise(16, 24, 3), noise(30, 20, 3)], 2, degradation)
    batches = take(5, dataset, seed=1)
    assert_equal(take(5, dataset, seed=1), batches)
    assert_equal(take(2, dataset, seed=1, start_step=3), batches[3:])
    for (lr, hr), (other_lr, other_hr) in zip(
        batches, take(5, dataset, seed=2), strict=True
    ):
        assert (lr != other_lr).any()
        assert (hr != other_hr).any()
    assert len({hr.tobytes() for _, hr in batches}) == 5


@pytest.mark.parametrize("seed", [0, 3])
def test_every_image_provides_one_patch_per_epoch(seed):
    photos = [np.full((16, 16, 1), 10 * i, np.uint8) for i in range(7)]
    batches = take(7, pairs_of(photos), batch_size=4, seed=seed)
    order = np.concatenate([hr[:, 0, 0, 0] for _, hr in batches]) * 25.5
    epochs = order.round().astype(int).reshape(4, 7).tolist()
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 4
    assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("is_random", [False, True])
@pytest.mark.parametrize("augment", [False, True])
def test_lr_and_hr_are_cropped_flipped_and_rotated_together(scale, is_random, augment):
    width = 11 * scale
    degradation = Downscale(scale, "area")
    if is_random:
        degradation = Compose([degradation, GaussianNoise(0)])
    dataset = pairs_of([positions(10 * scale, width)], scale, degradation)
    symmetries = set()
    for lr, hr in take(20, dataset, batch_size=4, augment=augment):
        lr, hr = (np.rint(x[..., 0] * 65535).astype(int) for x in (lr, hr))
        tiles = hr.reshape(4, 4, scale, 4, scale)
        np.testing.assert_array_equal(lr, np.floor(tiles.mean(axis=(2, 4)) + 0.5))
        for patch in hr:
            down, right = np.diff(patch, axis=0), np.diff(patch, axis=1)
            assert (down == down[0, 0]).all() and (right == right[0, 0]).all()
            symmetries.add((down[0, 0], right[0, 0]))
    directions = [(width, 1), (width, -1), (-width, 1), (-width, -1)]
    turned = [(right, down) for down, right in directions]
    assert symmetries == set(directions + turned if augment else directions[:1])


def test_patches_come_from_the_whole_image_at_random():
    dataset = pairs_of([positions(12, 14)], 2, "drop")
    corners = [hr[:, 0, 0, 0] for _, hr in take(40, dataset, augment=False)]
    corners = np.rint(np.concatenate(corners) * 65535).astype(int)
    # 3 x 4 places for an HR patch of 8 x 8, all multiples of the scale
    assert set(corners) == {14 * y + x for y in (0, 2, 4) for x in (0, 2, 4, 6)}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_patches_are_downscaled_hr_patches(scale):
    photo = data.astronaut()[:96, 160:256]
    dataset = pairs_of([photo], scale)
    for lr, hr in take(8, dataset, lr_patch_size=9):
        lr, hr = images.to_integer(lr).astype(int), images.to_integer(hr)
        expected = Downscale(scale)(hr)
        # beyond the border of a patch lies something else than repeated pixels
        np.testing.assert_allclose(lr[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=1)


@pytest.mark.parametrize("degradation", ["drop", "nearest"])
@pytest.mark.parametrize("cached", [False, True])
def test_patches_are_flipped_before_a_degradation_that_is_not_equivariant(
    degradation, cached, tmp_path
):
    dataset = pairs_of([noise(20, 24, 3)], 2, Downscale(2, degradation))
    first = {"drop": 0, "nearest": 1}[degradation]
    for lr, hr in take(8, dataset, cache=tmp_path if cached else None):
        np.testing.assert_array_equal(lr, hr[:, first::2, first::2])


@pytest.mark.parametrize("blur", [None, 1.0])
def test_a_degraded_patch_equals_a_crop_of_the_degraded_image(blur):
    # random by name, though its noise is none
    steps = [Downscale(2), GaussianNoise(0)]
    degradation = Compose(steps if blur is None else [GaussianBlur(blur), *steps])
    numbers = np.random.default_rng(0).permutation(26 * 30) * 80
    photo = numbers.astype(np.uint16).reshape(26, 30, 1)
    whole = degradation(photo, seed=0)
    dataset = pairs_of([photo], 2, degradation)
    # a blurred image goes on beyond its border in another way
    edge = 0 if blur is None else degradation.margin // 2
    tops = set()
    for lr, hr in take(40, dataset, augment=False):
        for lr_patch, hr_patch in zip(lr, hr, strict=True):
            corner = np.rint(hr_patch[0, 0, 0] * 65535)
            ((top, left),) = np.argwhere(photo[..., 0] == corner) // 2
            if edge <= top <= 9 - edge and edge <= left <= 11 - edge:
                tops.add(top)
                expected = whole[top : top + 4, left : left + 4] / np.float32(65535)
                np.testing.assert_array_equal(lr_patch[..., :1], expected)
    assert min(tops) == edge
    assert max(tops) == 9 - edge


def test_a_random_degradation_is_drawn_for_each_patch():
    photo = noise(8, 8, 3)
    dataset = pairs_of([photo], 2, RANDOM)
    batches = take(3, dataset, augment=False)
    for _, hr in batches:
        np.testing.assert_array_equal(hr, np.stack([photo] * 3) / np.float32(255))
    assert len({lr.tobytes() for lrs, _ in batches for lr in lrs}) == 9


def test_sizes_channels_and_depths_can_be_mixed():
    photos = [
        np.full((8, 30, 1), 51, np.uint8),
        np.full((20, 9, 3), [51, 102, 153], np.uint8),
        np.full((16, 16, 3), 39321, np.uint16),
    ]
    ((lr, hr),) = take(1, pairs_of(photos), seed=4)
    means = np.sort(hr.mean(axis=(1, 2)), axis=0)
    expected = [[0.2, 0.2, 0.2], [0.2, 0.4, 0.6], [0.6, 0.6, 0.6]]
    np.testing.assert_allclose(means, np.sort(expected, axis=0), atol=1e-6)
    np.testing.assert_allclose(lr.mean(axis=(1, 2)), hr.mean(axis=(1, 2)), atol=1e-6)


def test_lr_files_may_have_other_bits_than_hr_files():
    hr, lr = np.full((8, 8, 3), 51, np.uint8), np.full((4, 4, 3), 26214, np.uint16)
    ((lr_patch, hr_patch),) = take(1, pairs_of([hr], lr_photos=[lr]))
    np.testing.assert_allclose(hr_patch, 0.2, atol=1e-6)
    np.testing.assert_allclose(lr_patch, 0.4, atol=1e-6)


@pytest.mark.parametrize("degradation", ["bicubic", RANDOM], ids=["fixed", "random"])
def test_one_channel_is_luma(degradation):
    dataset = pairs_of([noise(16, 24, 3)], 2, degradation)
    for luma, rgb in zip(take(2, dataset, channels=1), take(2, dataset), strict=True):
        for image, rgb_image in zip(luma, rgb, strict=True):
            assert image.shape[-1] == 1
            np.testing.assert_allclose(image, images.luma(rgb_image), atol=1e-6)


def test_grey_is_used_as_luma_or_repeated_as_rgb():
    dataset = pairs_of([noise(16, 24, 1)])
    for (lr, hr), (lr3, hr3) in zip(
        take(2, dataset, channels=1), take(2, dataset, channels=3), strict=True
    ):
        np.testing.assert_array_equal(lr3, lr.repeat(3, axis=-1))
        np.testing.assert_array_equal(hr3, hr.repeat(3, axis=-1))
        assert hr.min() < 16 / 255  # not squeezed to 16-235


@pytest.mark.parametrize("degradation", ["bicubic", RANDOM], ids=["fixed", "random"])
def test_a_cache_on_disk_gives_the_batches_of_memory(tmp_path, degradation):
    photos = [noise(16, 24, 3), noise(31, 20, 1), noise(18, 17, 3, dtype="uint16")]
    dataset = pairs_of(photos, 2, degradation)
    expected = take(4, dataset)
    assert_equal(take(4, dataset, cache=tmp_path), expected)
    photos.clear()  # from now on, they cannot be read
    assert_equal(take(4, dataset, cache=tmp_path), expected)


@pytest.mark.parametrize("cached", [False, True])
def test_progress_is_shown_once_for_each_image(tmp_path, cached):
    seen = []

    def progress(iterable):
        for i in iterable:
            yield i
            seen.append(i)

    cache = tmp_path if cached else None
    take(1, pairs_of([noise(8, 8, 3)] * 4), cache=cache, progress=progress)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("degradation", ["bicubic", RANDOM], ids=["fixed", "random"])
def test_an_image_smaller_than_a_patch_is_named_before_training(degradation):
    dataset = pairs_of([noise(8, 8, 3), noise(9, 7, 3)], 2, degradation)
    message = "photo 1: the HR image of 8x6 is smaller than an HR patch of 8 pixels"
    with pytest.raises(ValueError, match=message):
        training_batches(dataset, lr_patch_size=4)
    with pytest.warns(UserWarning, match=f"Skipping {message}"):
        batches = take(3, dataset, skip_bad=True)
    assert len(batches) == 3
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="None of the"):
        training_batches(dataset, lr_patch_size=5, skip_bad=True)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("degradation", ["bicubic", RANDOM], ids=["fixed", "random"])
def test_a_corrupt_file_is_named_before_training(tmp_path, degradation, cached):
    for name in ("good", "torn"):
        images.write(tmp_path / "photos" / f"{name}.png", noise(16, 16, 3))
    torn = tmp_path / "photos" / "torn.png"
    torn.write_bytes(torn.read_bytes()[:300])
    dataset = folder(tmp_path / "photos", 2, degradation=degradation)
    cache = tmp_path / "cache" if cached else None
    with pytest.raises(ValueError, match=r"torn\.png cannot be read as an image"):
        training_batches(dataset, lr_patch_size=4, cache=cache)
    with pytest.warns(UserWarning, match=r"Skipping .*torn\.png cannot be read"):
        ((_, hr),) = take(1, dataset, cache=cache, skip_bad=True)
    assert np.isfinite(hr).all()


def test_invalid_arguments_are_refused():
    dataset = pairs_of([noise(8, 8, 3)])
    with pytest.raises(
        ValueError, match="`channels` must be 1 or 3. Received: channels=2"
    ):
        training_batches(dataset, lr_patch_size=4, channels=2)
    with pytest.raises(
        ValueError, match="`seed` must not be negative. Received: seed=-1"
    ):
        training_batches(dataset, lr_patch_size=4, seed=-1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cache_on_disk_is_not_loaded_into_memory(tmp_path):
    script = textwrap.dedent(
        """
        import sys
        import numpy as np
        from sr_keras.datasets import Pairs
        from sr_keras.pipeline import training_batches

        def private_megabytes():
            with open("/proc/self/smaps_rollup") as file:
                lines = dict(line.split(":", 1) for line in file if ":" in line)
            return int(lines["Anonymous"].split()[0]) / 1000

        def photo(i):
            rng = np.random.default_rng(i)
            return rng.integers(0, 256, (1000, 1600, 3), np.uint8)

        names = [str(i) for i in range(12)]
        dataset = Pairs(names, 2, photo, degradation="drop", key="noise")
        options = {"lr_patch_size": 32, "batch_size": 16, "cache": sys.argv[1]}
        next(iter(training_batches(dataset, **options)))  # decode, and warm up
        before = private_megabytes()
        for _ in training_batches(dataset, **options).take(40):
            pass
        print(private_megabytes() - before)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    size = sum(file.stat().st_size for file in tmp_path.rglob("pixels.bin"))
    assert size == 12 * 1000 * 1600 * 3 * 5 / 4  # 72 MB
    assert float(result.stdout) < 30


def test_a_program_ends_while_a_batch_is_being_made():
    script = textwrap.dedent(
        """
        import time
        import numpy as np
        from sr_keras import datasets, pipeline

        def slow(hr, seed):
            time.sleep(0.05)
            return hr

        photos = [np.zeros((32, 32, 3), np.uint8)]
        dataset = datasets.arrays(photos, scale=1, degradation=slow)
        batches = iter(pipeline.training_batches(dataset, 8, batch_size=4))
        next(batches)
        """
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_function_degrades_each_patch_with_a_seed_of_its_own():
    seeds = []

    def marked(hr, seed):
        seeds.append(seed)
        return np.full_like(hr[::2, ::2], seed % 256)

    dataset = pairs_of([noise(40, 40, 3)], 2, marked)
    batches = take(2, dataset)
    values = [patch.ravel() for lr, _ in batches for patch in lr]
    assert all((value == value[0]).all() for value in values)
    expected = {np.float32(seed % 256) / 255 for seed in seeds}
    assert {value[0] for value in values} <= expected
    assert len({value[0] for value in values}) > 3
    assert_equal(take(2, dataset), batches)


def test_flat_patches_are_drawn_again():
    photo = np.zeros((16, 160, 3), np.uint8)
    photo[:, 80:] = noise(16, 80, 3)
    dataset = pairs_of([photo])
    options = {"batch_size": 16, "min_contrast": 0.05}
    assert min(hr.std() for hr in take(1, dataset, batch_size=16)[0][1]) == 0
    batches = take(4, dataset, **options)
    # 10 tries all fall on the black half with a probability of 1e-3
    flat = [hr.std() < 0.05 for _, hrs in batches for hr in hrs]
    assert np.mean(flat) < 0.05
    assert_equal(take(1, dataset, **options, start_step=3), batches[3:])
    for lr, hr in batches:
        assert (lr.std(axis=(1, 2, 3)) > 0).all() == (hr.std(axis=(1, 2, 3)) > 0).all()

    black = pairs_of([np.zeros((16, 16, 3), np.uint8)])
    assert not take(1, black, **options)[0][1].any()


@pytest.mark.parametrize("min_contrast", [-0.1, 0.5, "high"])
def test_min_contrast_must_be_a_small_number(min_contrast):
    message = rf"`min_contrast` must be .* Received: min_contrast={min_contrast!r}"
    with pytest.raises(ValueError, match=message):
        training_batches(pairs_of([noise(8, 8, 3)]), 4, min_contrast=min_contrast)


def test_random_degradations_resume_with_the_pipeline():
    dataset = pairs_of([noise(40, 48, 3)], 2, RANDOM)
    long = take(6, dataset, seed=3)
    for step in (1, 5):
        assert_equal(take(1, dataset, seed=3, start_step=step), long[step : step + 1])
