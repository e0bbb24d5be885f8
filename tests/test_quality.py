import csv
import pathlib

import numpy as np
import pytest
import skimage.data

from sr_keras import datasets, images, models, quality, upscale
from sr_keras.degradations import JPEG, Downscale, GaussianBlur, GaussianNoise

# Each is worse than the previous one.
SERIES = {
    "blur": [lambda image, s=s: GaussianBlur(s)(image) for s in (0.8, 1.2, 1.8, 3)],
    "noise": [
        lambda image, s=s: GaussianNoise(s)(image, seed=1)
        for s in (0.02, 0.05, 0.1, 0.2)
    ],
    "jpeg": [lambda image, q=q: JPEG(q)(image) for q in (60, 30, 15, 5)],
}


def chelsea(height=201, width=205):
    return skimage.data.chelsea()[40 : 40 + height, 100 : 100 + width]


def noise(height, width, channels=3, dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("score", [quality.vif, quality.ifc])
def test_fidelity_falls_as_the_image_gets_worse(score, name):
    hr = chelsea()
    scores = [score(hr, hr), *(score(hr, degrade(hr)) for degrade in SERIES[name])]
    assert np.all(np.diff(scores) < 0) and scores[-1] > 0
    assert scores[-1] < 0.35 * scores[1]


@pytest.mark.parametrize("name", SERIES)
def test_niqe_rises_as_the_image_gets_worse(name):
    hr = chelsea(288, 300)
    scores = [quality.niqe(image) for image in [hr, *(f(hr) for f in SERIES[name])]]
    assert np.all(np.diff(scores) > 0.4)
    assert scores[0] < 4 and scores[-1] > 10


def test_vif_of_changes_without_loss():
    hr = chelsea() / 400
    assert quality.vif(hr, hr) == pytest.approx(1)
    assert quality.vif(hr, hr + 0.2) == pytest.approx(1, abs=1e-4)
    assert 1.01 < quality.vif(hr, 1.2 * hr) < 1.5
    assert quality.vif(hr, 0.8 * hr) < 0.99


def test_ifc_counts_bits_whatever_the_contrast():
    hr = chelsea() / 255
    sr = GaussianBlur(1.0)(GaussianNoise(0.02)(hr, seed=0))
    expected = quality.ifc(hr, sr)
    assert quality.ifc(hr, 0.5 * sr) == pytest.approx(expected, rel=1e-3)
    assert 60 < quality.ifc(hr, hr) < 80
    # Independent noise carries no information; chance correlations remain.
    assert quality.ifc(hr, noise(201, 205)) < 0.15 * expected


def test_signal_and_noise_are_separated():
    # y = g x + n, where the variance of g x is 9 times that of n, in every band
    rng = np.random.default_rng(0)
    hr = 0.5 + 0.1 * rng.standard_normal((400, 405))
    sr = 0.6 * (hr - 0.5) + 0.02 * rng.standard_normal(hr.shape) + 0.5
    # Coarse bands have small windows, in which some noise is taken for signal.
    tolerances = [0.05, 0.05, 0.2, 0.2]
    for tolerance, (signal, gain, noise) in zip(
        tolerances, quality._channels(hr, sr, 0), strict=False
    ):
        np.testing.assert_allclose(np.mean(gain), 0.6, rtol=tolerance / 2)
        ratio = np.mean(gain**2 * signal.mean(0)) / np.mean(noise)
        np.testing.assert_allclose(ratio, 9, rtol=tolerance)


@pytest.mark.slow
def test_vif_and_ifc_of_bicubic_upscaling(data_dir):
    # measured once with the filters of pyrtools
    expected = {2: (5.755, 0.666), 4: (2.286, 0.322)}
    for scale in (2, 4):
        dataset = datasets.benchmark("Set5", scale, data_dir / "benchmark")
        model = models.bicubic(scale)
        scores = []
        for lr, hr in dataset:
            pair = hr, upscale(model, lr)
            scores.append([quality.ifc(*pair, scale), quality.vif(*pair, scale)])
        np.testing.assert_allclose(np.mean(scores, 0), expected[scale], rtol=2e-3)


def test_pyramid_separates_sizes_and_directions():
    y, x = np.mgrid[:97, :131]
    for level in range(4):
        period = 4 * 2**level  # half of the highest frequency of that level
        waves = np.cos(2 * np.pi * x / period)
        energy = [np.sqrt(np.mean(band**2)) for band in quality._bands(waves)]
        assert np.argmax(energy) == 2 * level
        assert energy[2 * level + 1] < 0.05 * energy[2 * level]
        energy = [
            np.mean(band**2) for band in quality._bands(np.cos(2 * np.pi * y / 8))
        ]
        assert np.argmax(energy) == 3
    shapes = [band.shape for band in quality._bands(waves)]
    assert shapes[::2] == shapes[1::2] == [(97, 131), (49, 66), (25, 33), (13, 17)]
    assert max(np.abs(b).max() for b in quality._bands(np.full((80, 90), 7.0))) < 1e-9


def test_vif_and_ifc_crop_borders_and_accept_all_kinds_of_images():
    hr, sr = chelsea(), GaussianBlur(1.0)(chelsea())
    expected = quality.vif(hr[3:-3, 3:-3], sr[3:-3, 3:-3])
    assert quality.vif(hr, sr, border=3) == expected
    sr_framed = sr.copy()
    sr_framed[:3] = sr_framed[-3:] = sr_framed[:, :3] = sr_framed[:, -3:] = 0
    assert quality.vif(hr, sr_framed, border=3) == expected
    inner = quality.ifc(hr[3:-3, 3:-3], sr[3:-3, 3:-3])
    assert quality.ifc(hr, sr_framed, border=3) == inner
    grey = hr[..., 0], sr[..., 0]
    expected = quality.vif(*grey)
    assert quality.vif(*(g[..., None] for g in grey)) == expected
    deep = (g.astype("uint16") * 257 for g in grey)
    assert quality.vif(*deep) == pytest.approx(expected, rel=1e-5)
    assert quality.vif(*(g / 255 for g in grey)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("score", [quality.vif, quality.ifc])
def test_vif_and_ifc_reject_images_that_do_not_fit(score):
    hr = noise(72, 75)
    assert np.isfinite(score(hr, hr))
    with pytest.raises(ValueError, match="72x72 .*: 70x73"):
        score(hr, hr, border=1)
    with pytest.raises(
        ValueError, match=r"same shape.*\(72, 75, 3\) and \(72, 75, 1\)"
    ):
        score(hr, hr[..., :1])
    with pytest.raises(ValueError, match=r"1 or 3.*\(1, 72, 75, 3\)"):
        score(hr[None], hr[None])
    with pytest.raises(ValueError, match="uint8, uint16 or float. Received: .*int64"):
        score(hr.astype("int64"), hr.astype("int64"))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lr_psnr_undoes_the_bicubic_of_the_degradations(scale, dtype):
    hr = noise(7 * scale, 11 * scale, dtype=dtype)
    lr = Downscale(scale)(hr)
    assert quality.lr_psnr(lr, hr) == 100
    lr_off = lr.copy()
    lr_off[2, 3, 1] ^= 1  # one value of 7 * 11 * 3, by one level
    peak = np.iinfo(dtype).max
    expected = min(100, 10 * np.log10(7 * 11 * 3 * float(peak) ** 2))
    assert quality.lr_psnr(lr_off, hr) == pytest.approx(expected)
    grey = Downscale(scale)(hr[..., :1])[..., 0]
    assert quality.lr_psnr(grey, hr[..., 0]) == 100


def test_lr_psnr_by_hand():
    lr = np.full((3, 5, 3), 100, np.uint8)
    sr = np.full((12, 20, 3), 110, np.uint8)
    assert quality.lr_psnr(lr, sr) == pytest.approx(20 * np.log10(25.5))
    with pytest.raises(
        ValueError, match=r"integer multiple .*\(3, 5, 3\) and \(11, 20, 3\)"
    ):
        quality.lr_psnr(lr, sr[1:])
    with pytest.raises(
        ValueError, match=r"integer multiple .*\(3, 5, 3\) and \(2, 20, 3\)"
    ):
        quality.lr_psnr(lr, sr[:2])
    with pytest.raises(ValueError, match="both be uint8 .*: uint8 and uint16"):
        quality.lr_psnr(lr, sr.astype("uint16"))
    with pytest.raises(ValueError, match="float64 and float64"):
        quality.lr_psnr(lr / 255, sr / 255)


def test_asymmetric_gaussians_are_recognized():
    rng = np.random.default_rng(0)
    normal = np.abs(rng.normal(size=300_000))
    # A density is continuous, so the wider side has more of the values.
    skewed = np.concatenate([-2 * normal[:200_000], normal[200_000:]])
    shape, left, right = quality._fit_asymmetric(skewed)
    # A Gaussian exp(-x**2 / (2 s**2)) has the width sqrt(2) s.
    np.testing.assert_allclose([shape, left, right], [2, 8**0.5, 2**0.5], rtol=0.03)
    found = quality._fit_asymmetric(rng.laplace(0, 3, 200_000))
    np.testing.assert_allclose(found, [1, 3, 3], rtol=0.03)
    assert np.isnan(quality._fit_asymmetric(np.ones(9))).all()


def test_features_of_white_noise():
    rng = np.random.default_rng(0)
    luma = 128 + 20 * rng.normal(size=(192, 97))
    features, sharpness = quality._patch_features(luma)
    assert features.shape == (2, 36) and sharpness.shape == (2,)
    # Neighbours differ once the local mean, which contains them, is subtracted.
    assert features[:, 0] == pytest.approx([2.8, 2.8], abs=0.4)
    assert np.all(features[:, [3, 7]] < 0)
    # The local mean has 1 / (4 pi s**2) of the variance for a window of s = 7 / 6.
    expected = 20 * np.sqrt(1 - 1 / (4 * np.pi * (7 / 6) ** 2))
    np.testing.assert_allclose(sharpness, expected, rtol=0.04)


@pytest.mark.parametrize(
    "index, shift", list(enumerate([(0, 1), (1, 0), (1, 1), (1, -1)]))
)
def test_features_describe_the_four_neighbours(index, shift):
    noise = np.random.default_rng(0).normal(size=(96, 96))
    alike = noise + np.roll(noise, shift, (0, 1))  # shares half with one neighbour
    means = np.array(quality._describe(alike))[[3, 7, 11, 15]]
    assert means[index] > 1
    assert np.all(np.abs(np.delete(means, index)) < 0.2)


def test_flat_and_incomplete_patches_are_ignored():
    photo = chelsea(250, 290)  # 2 x 3 patches
    expected = quality.niqe(photo)
    assert quality.niqe(photo[:192, :288]) == expected
    wider = np.pad(photo[:192, :288], ((0, 0), (0, 200), (0, 0)))
    features, sharpness = quality._patch_features(quality._luma(wider))
    assert features.shape == (6, 36) and sharpness.shape == (6,)


def test_niqe_crops_borders_and_accepts_all_kinds_of_images():
    photo = chelsea(203, 299)
    expected = quality.niqe(photo[5:-5, 5:-5])
    assert quality.niqe(photo, border=5) == expected
    assert quality.niqe(photo / 255, border=5) == pytest.approx(expected, rel=1e-2)
    grey = images.luma(photo)
    assert quality.niqe(grey, border=5) == quality.niqe(grey[..., 0], 5) == expected
    with pytest.raises(
        ValueError, match=r"two patches .*\(150, 150, 3\) .* border of 0"
    ):
        quality.niqe(photo[:150, :150])
    with pytest.raises(ValueError, match=r"two patches .*\(90, 290, 3\)"):
        quality.niqe(photo[:90, :290])


def test_niqe_measures_the_distance_from_the_photos_it_was_fitted_to():
    photos = skimage.data.astronaut(), skimage.data.coffee()
    blurred = [GaussianBlur(2.0)(photo) for photo in photos]
    model, blurred_model = (
        quality.fit_niqe(
            photo[y : y + 96, x : x + 96]
            for photo in some
            for y in range(0, 300, 96)
            for x in range(0, 500, 96)
        )
        for some in (photos, blurred)
    )
    assert model["mean"].shape == (36,) and model["covariance"].shape == (36, 36)
    sharp, soft = photos[0], blurred[0]
    assert quality.niqe(sharp, model=model) < quality.niqe(sharp, model=blurred_model)
    assert quality.niqe(soft, model=blurred_model) < quality.niqe(soft, model=model)


def test_only_sharp_patches_are_fitted():
    sharp = np.tile(chelsea(96, 96), (7, 7, 1))  # 49 equal patches
    blurred = GaussianBlur(2.0)(sharp)
    both = np.concatenate([sharp, blurred])
    expected = quality.fit_niqe([np.concatenate([sharp, sharp])])["mean"]
    np.testing.assert_allclose(quality.fit_niqe([both])["mean"], expected, rtol=0.1)
    with pytest.raises(ValueError, match="at least 37 sharp patches .*: 2"):
        quality.fit_niqe([chelsea(96, 96), chelsea(50, 50), chelsea(97, 98)])
    with pytest.raises(ValueError, match="Received: 0"):
        quality.fit_niqe([])
    with pytest.raises(ValueError, match=r"in \[0, 1\]. Received: sharpness=75"):
        quality.fit_niqe([both], sharpness=75)


@pytest.mark.slow
def test_niqe_with_a_model_of_all_patches_is_near_matlabs(data_dir):
    folder = data_dir / "iqa_calibration"
    with open(folder / "official.csv") as file:
        official = {row.pop("method"): row for row in csv.DictReader(file)}
    photos = datasets.folder(data_dir / "bsds500" / "train", scale=1)
    chosen = [photos.hr(i) for i in range(0, len(photos), 4)]
    model = quality.fit_niqe(chosen, sharpness=0)
    sharp = quality.fit_niqe(chosen)
    for name, expected in official["niqe_matlab"].items():
        photo = images.read(folder / f"{name}_dist.png")
        found = quality.niqe(photo, model=model)
        assert found == pytest.approx(float(expected), abs=1.5), name
        if name == "I03":  # blurred as a whole, and no sharp patch resembles it
            assert quality.niqe(photo, model=sharp) > 2 * found


def test_the_shipped_model_is_that_of_bsds500(data_dir):
    photos = datasets.folder(data_dir / "bsds500" / "train", scale=1)
    few = quality.fit_niqe(photos.hr(i) for i in range(0, len(photos), 10))
    path = pathlib.Path(quality.__file__).with_name("niqe_bsds500.npz")
    model = dict(np.load(path))
    deviation = np.sqrt(np.diag(model["covariance"]))
    assert np.max(np.abs(few["mean"] - model["mean"]) / deviation) < 0.5
    assert np.linalg.eigvalsh(model["covariance"]).min() > 0


def test_photos_are_more_natural_than_bicubic_upscaling(data_dir):
    photos = datasets.folder(data_dir / "bsds500" / "test", scale=4)
    chosen = [photos[i] for i in range(0, len(photos), 25)]
    model = models.bicubic(4)
    natural = [quality.niqe(hr, 4) for _, hr in chosen]
    bicubic = [quality.niqe(upscale(model, lr), 4) for lr, _ in chosen]
    assert np.mean(natural) < 4.5
    assert np.all(np.array(bicubic) > np.array(natural) + 1)


def flat(value, size=(80, 90)):
    return np.full((*size, 3), value, np.uint8)


@pytest.mark.parametrize(
    "hr, sr, vif",
    [
        (flat(0), flat(0), 1),
        (flat(0), flat(255), 1),  # only the brightness differs
        (flat(100), noise(80, 90), 0),
        (noise(80, 90), flat(100), 0),
    ],
)
def test_vif_and_ifc_of_flat_images(hr, sr, vif):
    assert quality.vif(hr, sr) == pytest.approx(vif, abs=1e-9)
    assert quality.ifc(hr, sr) == pytest.approx(0, abs=1e-9)


def test_an_almost_flat_original_does_not_inflate_vif():
    hr = flat(100)
    hr[40, 40] = 101
    assert quality.vif(hr, hr) == 1
    assert quality.vif(hr, noise(80, 90)) == 0
    # One faint edge is information.
    hr[:, 45:] = 104
    assert quality.vif(hr, flat(100)) == 0
    assert quality.vif(hr, hr) == pytest.approx(1)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_niqe_of_a_flat_image_is_an_error(value):
    with pytest.raises(ValueError, match=r"not flat. Received: \(96, 200, 3\)"):
        quality.niqe(flat(value, (96, 200)))


def test_images_that_are_not_finite_are_an_error():
    good, bad = np.full((100, 200), 0.5), np.full((100, 200), np.nan)
    for score in (quality.vif, quality.ifc):
        with pytest.raises(ValueError, match="finite. Received: NaN"):
            score(good, bad)
    with pytest.raises(ValueError, match="finite. Received: NaN"):
        quality.niqe(bad)
    with pytest.raises(ValueError, match="finite. Received: NaN"):
        quality.grid_energy(bad)


def test_lr_psnr_of_extreme_images():
    black, white = np.zeros((2, 3), np.uint8), np.full((4, 6), 255, np.uint8)
    assert quality.lr_psnr(black, np.zeros((4, 6), np.uint8)) == 100
    assert quality.lr_psnr(black, white) == 0
    assert quality.lr_psnr(black[:1, :1], white[:2, :2]) == 0
    with pytest.raises(ValueError, match=r"must have pixels. Received: \(0, 3\)"):
        quality.lr_psnr(black[:0], white[:0])


def test_vif_equals_the_official_program(data_dir):
    folder = data_dir / "iqa_calibration"
    with open(folder / "official.csv") as file:
        official = {row.pop("method"): row for row in csv.DictReader(file)}
    for name, expected in official["vif"].items():
        # MATLAB's `rgb2gray`, as in the official program
        weights = [0.298936021293775, 0.587043074451121, 0.114020904255103]
        pair = [
            np.floor(images.read(folder / f"{name}_{kind}.png") @ weights + 0.5)
            for kind in ("ref", "dist")
        ]
        found = quality.vif(*(image.astype("uint8") for image in pair))
        assert found == pytest.approx(float(expected), abs=1e-4)


def test_grid_energy_by_hand():
    # one pixel of 16 in each cell of 4 x 4: the variance is 15, and the means of the
    # cells of 2 x 2 are 4, 0, 0, 0, with the variance 3
    pattern = np.zeros((12, 20))
    pattern[::4, ::4] = 16
    found = quality.grid_energy(pattern)
    assert found == {2: pytest.approx(3 / 15), 4: pytest.approx(1)}
    assert quality.grid_energy(pattern + 7.3, periods=[4])[4] == pytest.approx(1)

    checkerboard = np.indices((9, 7)).sum(0) % 2  # int64; an odd row and column
    assert quality.grid_energy(checkerboard)[2] == pytest.approx(1)

    # columns 0 to 7 have the variance 63 / 12, even and odd ones the means 3 and 4
    ramp = np.tile(np.arange(8.0), (4, 1))
    assert quality.grid_energy(ramp, (2,)) == {2: pytest.approx(0.25 * 12 / 63)}

    # a grid in one of two channels with the same variance
    waves = np.sin(np.arange(64) * 2 * np.pi / 64) * 2**0.5
    both = np.stack([(-1.0) ** np.indices((64, 64)).sum(0), np.tile(waves, (64, 1))])
    assert quality.grid_energy(np.moveaxis(both, 0, -1), (2,))[2] == pytest.approx(
        0.5, abs=1e-3
    )


def test_grid_energy_of_noise_and_of_nothing():
    rng = np.random.default_rng(0)
    assert quality.grid_energy(rng.normal(size=(400, 400)))[4] < 3 * 16 / 400**2
    assert quality.grid_energy(np.zeros((8, 8))) == {2: 0, 4: 0}
    assert quality.grid_energy(np.full((8, 9, 3), 0.1)) == {2: 0, 4: 0}


def test_grid_energy_rejects_bad_arguments():
    with pytest.raises(ValueError, match="signed integers. Received: uint8"):
        quality.grid_energy(np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"at least 4x4 pixels. Received: \(8, 3\)"):
        quality.grid_energy(np.zeros((8, 3)))
    with pytest.raises(ValueError, match=r"channels\]\). Received: \(1, 8, 8, 3\)"):
        quality.grid_energy(np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="`periods` must be a list of positive"):
        quality.grid_energy(np.zeros((8, 8)), periods=(0, 4))
