import os
import shutil
import signal
import subprocess

import numpy as np
import preloaded
import pytest
import tensorflow as tf

from sr_keras import degradations, images
from sr_keras.datasets import Pairs, concatenate, decode, folder
from sr_keras.degradations import Downscale


def noise(seed, *shape, dtype="uint8"):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def of(hr, lr=None, scale=2, **kwargs):
    """A dataset of arrays in memory."""
    names = [f"photo {i}" for i in range(len(hr))]
    kwargs = {"key": "photos", **kwargs}
    return Pairs(names, scale, hr.__getitem__, lr and lr.__getitem__, **kwargs)


# mixed sizes, odd and not square; grey and alpha among colour; 16 bits
MIXED = [
    noise(0, 9, 14, 3),
    noise(1, 11, 6),
    noise(2, 8, 8, 4),
    noise(3, 7, 10, 3, dtype="uint16"),
]


def test_lr_is_made_by_the_degradation_of_the_cut_hr():
    dataset = of(MIXED, scale=4)
    assert len(dataset) == 4
    assert [(lr.shape, hr.shape) for lr, hr in dataset] == [
        ((2, 3, 3), (8, 12, 3)),
        ((2, 1, 1), (8, 4, 1)),
        ((2, 2, 3), (8, 8, 3)),
        ((1, 2, 3), (4, 8, 3)),
    ]
    lr, hr = dataset[3]
    assert lr.dtype == hr.dtype == np.uint16
    np.testing.assert_array_equal(hr, MIXED[3][:4, :8])
    np.testing.assert_array_equal(lr, Downscale(4)(hr))
    np.testing.assert_array_equal(dataset[-1][1], hr)
    with pytest.raises(IndexError):
        dataset[4]


def test_a_slice_is_a_subset():
    dataset = of(MIXED)
    assert dataset[:3].names == ["photo 0", "photo 1", "photo 2"]
    part = dataset[::-2]
    assert part.names == ["photo 3", "photo 1"]
    np.testing.assert_array_equal(part[1][1], dataset[1][1])


def test_random_degradations_depend_on_the_index_only():
    dataset = of([MIXED[0], MIXED[0]], degradation="noise")
    np.testing.assert_array_equal(dataset[0][0], dataset[0][0])
    assert (dataset[0][0] != dataset[1][0]).any()


def test_hr_images_are_cut_to_what_lr_images_cover():
    hr = noise(0, 11, 14, 3)  # LR of 5x6 covers 10x12; 14 is one LR pixel more
    dataset = of([hr], [noise(1, 5, 6, 3)])
    lr, cut = dataset[0]
    assert dataset.degradation is None
    assert lr.shape == (5, 6, 3)
    np.testing.assert_array_equal(cut, hr[:10, :12])


def test_grey_and_colour_of_one_pair_become_colour():
    grey = noise(0, 3, 4)
    lr, hr = of([noise(1, 6, 8, 3)], [grey])[0]
    np.testing.assert_array_equal(lr, np.stack([grey] * 3, axis=-1))
    assert hr.shape == (6, 8, 3)


@pytest.mark.parametrize("lr_shape", [(6, 5, 3), (5, 6, 3), (3, 5, 3)])
def test_a_pair_of_wrong_sizes_is_named(lr_shape):
    dataset = of([noise(0, 10, 10, 3)], [noise(1, *lr_shape)])
    sizes = f"{lr_shape[0]}x{lr_shape[1]} does not fit the HR image of 10x10 at scale 2"
    with pytest.raises(ValueError, match=f"photo 0: the LR image of {sizes}"):
        dataset[0]


def test_an_image_that_is_too_small_is_named():
    with pytest.raises(ValueError, match="photo 1: an image of 3x9 is smaller than"):
        of([MIXED[0], noise(0, 3, 9, 3)], scale=4)[1]


def test_as_dataset_keeps_the_order():
    dataset = of(MIXED[:3])
    pairs = dataset.as_dataset()
    assert pairs.cardinality() == 3
    for (lr, hr), expected in zip(pairs.as_numpy_iterator(), dataset, strict=True):
        np.testing.assert_array_equal(lr, expected[0])
        np.testing.assert_array_equal(hr, expected[1])


def test_as_dataset_names_an_image_of_another_dtype():
    pairs = of(MIXED).as_dataset()
    message = "photo 3: the LR and HR images are uint16 and uint16, but the first ones"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(pairs)


@pytest.mark.parametrize("with_lr", [False, True])
def test_subset(with_lr):
    lr = [noise(i, 5, 3, 3) for i in range(3)] if with_lr else None
    dataset = of([noise(i, 10, 6, 3) for i in range(3)], lr, key="photos")
    part = dataset.subset([2, 0])
    assert part.names == ["photo 2", "photo 0"]
    for i, j in enumerate([2, 0]):
        np.testing.assert_array_equal(part[i][0], dataset[j][0])
        np.testing.assert_array_equal(part[i][1], dataset[j][1])
    assert part.key != dataset.subset([0, 2]).key


def test_validation_images_are_taken_at_even_intervals():
    dataset = of([MIXED[0]] * 10)
    rest, held_out = dataset.split(2)
    assert held_out.names == ["photo 2", "photo 7"]
    assert rest.names == [f"photo {i}" for i in (0, 1, 3, 4, 5, 6, 8, 9)]
    rest, held_out = dataset.split(9)
    assert (len(rest), len(held_out)) == (1, 9)


@pytest.mark.parametrize("count", [0, 4, -1, 1.5])
def test_a_split_leaves_images_on_both_sides(count):
    message = (
        f"from 1 to 3, because there are 4 images. Received: num_validation={count}"
    )
    with pytest.raises(ValueError, match=message):
        of(MIXED).split(count)


def test_one_photo_cannot_be_split():
    with pytest.raises(ValueError, match="A dataset of 1 image cannot be split .*"):
        of(MIXED[:1]).split(1)


def test_floats_are_refused():
    message = (
        r"photo 0: images must be uint8 or uint16. Received: dtype=float32, values from"
        r" 0 to 255. `datasets.arrays` accepts floats"
    )
    photo = np.linspace(0, 255, 8 * 9 * 3, dtype="float32").reshape(8, 9, 3)
    with pytest.raises(ValueError, match=message):
        of([photo])[0]
    with pytest.raises(ValueError, match="photo 0: images must be uint8"):
        of([MIXED[0]], [photo])[0]


@pytest.mark.parametrize("shape", [(3, 8, 9), (8, 9, 5), (8, 9, 0), (1, 8, 9, 3)])
def test_images_with_other_axes_are_refused(shape):
    message = rf"photo 0: .* at most 4 channels\. Received: shape=\({shape[0]}, "
    with pytest.raises(ValueError, match=message):
        of([np.zeros(shape, "uint8")])[0]


def test_lr_files_and_a_degradation_exclude_each_other():
    with pytest.raises(ValueError, match="`read_lr` and `degradation` cannot be comb"):
        of([MIXED[0]], [MIXED[0]], degradation="bicubic")


def test_repr():
    made, read = of(MIXED), of([MIXED[0]], [noise(0, 4, 7, 3)])
    assert repr(made).startswith("<Pairs: 4 images, x2, LR by Downscale(scale=2, ")
    assert repr(read) == "<Pairs: 1 images, x2, LR images of their own>"


def test_concatenate():
    first = of([MIXED[0]], [noise(0, 4, 7, 3)], key="a")
    second = of(MIXED[:2], [noise(1, 4, 7, 3), noise(2, 5, 3)], key="b")
    both = concatenate([first, second])
    assert both.names == ["photo 0", "photo 0", "photo 1"]
    assert both.key == "a b"
    for i, expected in enumerate([first[0], second[0], second[1]]):
        np.testing.assert_array_equal(both[i][0], expected[0])
        np.testing.assert_array_equal(both[i][1], expected[1])


@pytest.mark.parametrize(
    "other",
    [
        of(MIXED, scale=4),
        of(MIXED, degradation="blur"),
        of([MIXED[0]], [noise(0, 4, 7, 3)]),
    ],
)
def test_concatenate_refuses_different_datasets(other):
    with pytest.raises(ValueError, match="must have the same scale and degradation"):
        concatenate([of(MIXED), other])
    with pytest.raises(ValueError, match="must not be empty"):
        concatenate([])


def count_reads(dataset):
    """Returns the dataset and the list of the HR images it will have read."""
    reads, read_hr = [], dataset._read_hr

    def read(index):
        reads.append(index)
        return read_hr(index)

    dataset._read_hr = read
    return dataset, reads


@pytest.mark.parametrize("with_lr", [False, True])
def test_decoded_images_are_the_same_and_decoded_once(with_lr, tmp_path):
    lr = [noise(i, h // 2, w // 2, 3) for i, (h, w) in enumerate([(9, 14), (11, 6)])]
    dataset = of(MIXED[:2], lr) if with_lr else of(MIXED)
    seen = []

    def progress(indices):
        for i in indices:
            seen.append(i)
            yield i

    decoded = decode(dataset, tmp_path, progress=progress)
    assert seen == list(range(len(dataset)))
    assert decoded.names == dataset.names
    assert decoded.degradation is None
    for pair, expected in zip(decoded, dataset, strict=True):
        for image, expected_image in zip(pair, expected, strict=True):
            assert image.dtype == expected_image.dtype
            assert not image.flags.writeable
            np.testing.assert_array_equal(image, expected_image)

    dataset, reads = count_reads(dataset)
    decode(dataset, tmp_path)
    assert reads == []


def test_a_dataset_without_a_key_is_not_cached(tmp_path):
    keyless = of(MIXED, key=None)
    mixed = concatenate([of(MIXED), keyless])
    for dataset in (keyless, keyless[:2], mixed, mixed[:2]):
        with pytest.raises(ValueError, match="needs a `key` .* Received: key=None"):
            decode(dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="/proc is not there")
def test_decoded_images_are_mapped_from_one_open_file(tmp_path):
    decoded = decode(of([noise(i, 4, 6, 3) for i in range(50)]), tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    images_in_use = list(decoded)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not images_in_use[0][1].flags.owndata


def test_random_degradations_are_applied_after_decoding(tmp_path):
    dataset = of(MIXED[:1], degradation="noise")
    decoded = decode(dataset, tmp_path)
    assert decoded.degradation == dataset.degradation
    np.testing.assert_array_equal(decoded[0][0], dataset[0][0])
    np.testing.assert_array_equal(decoded.hr(0), dataset.hr(0))


def photos(path, count=4):
    for i in range(count):
        images.write(path / f"{i}.png", noise(i, 9, 14, 3))
    return path


KILLED = """
import importlib, os, signal, sys
from sr_keras import degradations, images
from sr_keras.datasets import decode, folder

# every image is written to disk at once
importlib.import_module("sr_keras.datasets.pairs")._SYNC_SECONDS = -1

def progress(indices):
    for i in indices:
        if i == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield i

decode(folder(sys.argv[1], 2), sys.argv[2], progress=progress)
"""


def test_killed_decoding_is_resumed(tmp_path):
    photos(tmp_path / "photos")
    arguments = (tmp_path / "photos", tmp_path / "cache")
    command = [*preloaded.python(), "-c", KILLED, *arguments]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    [index] = (tmp_path / "cache").glob("*/index.jsonl")
    with open(index, "a") as lines:
        lines.write('{"image": 3, "err')  # the line it was killed in
    with open(index.with_name("pixels.bin"), "ab") as pixels:
        pixels.write(b"half an image")

    dataset, reads = count_reads(folder(tmp_path / "photos", 2))
    for _ in range(2):
        decoded = decode(dataset, tmp_path / "cache")
        for i in range(4):
            np.testing.assert_array_equal(decoded.hr(i), noise(i, 9, 14, 3)[:8])
    assert reads == [3, 3]  # for its size, to ask for space, and then for its pixels


def test_an_error_loses_no_image_that_is_decoded(tmp_path):
    photos(tmp_path / "photos")
    torn = tmp_path / "photos" / "3.png"
    torn.write_bytes(torn.read_bytes()[:100])
    dataset, reads = count_reads(folder(tmp_path / "photos", 2))
    for _ in range(2):
        with pytest.raises(ValueError, match="3.png"):
            decode(dataset, tmp_path / "cache")
    assert reads[-2:] == [3, 3]
    assert sum(reads.count(i) for i in range(3)) == 6  # each for its size, and once


def test_many_small_images_are_not_synced_one_by_one(tmp_path, monkeypatch):
    syncs, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: syncs.append(sync(file)))
    decode(of([noise(i, 8, 8, 3) for i in range(60)]), tmp_path)
    assert len(syncs) < 20


class Kernel(degradations.Degradation):
    """A degradation whose code changes without a trace in its name or settings."""

    scale = 2
    offset = 0

    def _degrade(self, image, rng):
        return np.ascontiguousarray(image[self.offset :: 2, ::2])


def test_another_result_of_the_degradation_is_decoded_again(tmp_path, monkeypatch):
    hr = [noise(0, 8, 10, 3)]
    for offset in (0, 1):
        monkeypatch.setattr(Kernel, "offset", offset)
        decoded = decode(of(hr, degradation=Kernel()), tmp_path)
        np.testing.assert_array_equal(decoded[0][0], hr[0][offset::2, ::2])
    assert len(list(tmp_path.iterdir())) == 2
    decode(of(hr, degradation=Kernel()), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_random_degradations_share_one_cache(tmp_path):
    for degradation in ("noise", "jpeg", "crappify"):
        decode(of(MIXED[:1], degradation=degradation), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_lost_pixels_are_decoded_again(tmp_path):
    dataset = folder(photos(tmp_path / "photos"), 2)
    decode(dataset, tmp_path / "cache")
    [pixels] = (tmp_path / "cache").glob("*/pixels.bin")
    os.truncate(pixels, pixels.stat().st_size - 1)
    decoded = decode(dataset, tmp_path / "cache")
    np.testing.assert_array_equal(decoded.hr(3), noise(3, 9, 14, 3)[:8])


def test_two_processes_can_decode_at_once(tmp_path):
    dataset = folder(photos(tmp_path / "photos"), 2)

    def other_process(indices):
        for i in indices:
            if i == 2:
                decode(dataset, tmp_path / "cache")
            yield i

    decode(dataset, tmp_path / "cache", progress=other_process)
    decoded = decode(dataset, tmp_path / "cache")
    for i in range(4):
        np.testing.assert_array_equal(decoded.hr(i), noise(i, 9, 14, 3)[:8])


def test_changed_file_is_decoded_again(tmp_path):
    photos(tmp_path / "photos")
    decode(folder(tmp_path / "photos", 2), tmp_path / "cache")
    images.write(tmp_path / "photos" / "1.png", noise(9, 9, 14, 3))
    decoded = decode(folder(tmp_path / "photos", 2), tmp_path / "cache")
    np.testing.assert_array_equal(decoded.hr(1), noise(9, 9, 14, 3)[:8])


def test_corrupt_file_is_named_or_left_out(tmp_path):
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "1.png").write_bytes(b"no image")
    dataset = folder(tmp_path / "photos", 2)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(ValueError, match="photos/1.png"):
            decode(dataset, tmp_path / "cache")
        with pytest.warns(UserWarning, match="Skipping .*photos/1.png"):
            decoded = decode(dataset, tmp_path / "cache", skip_bad=True)
    assert decoded.names == ["0", "2", "3"]
    np.testing.assert_array_equal(decoded.hr(1), noise(2, 9, 14, 3)[:8])


def test_a_dataset_of_corrupt_files_only(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"no image")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="None of the"):
        decode(folder(tmp_path, 2), tmp_path / "cache", skip_bad=True)


def test_checks_the_disk_first(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    dataset = of([noise(i, 8, 10, 3) for i in range(20)])
    needed = 20 * (8 * 10 * 3 + 4 * 5 * 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=needed - 1))
    with pytest.raises(OSError, match="Decoding 20 images takes about 0.0 GB"):
        decode(dataset, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=needed))
    assert len(decode(dataset, tmp_path)) == 20
