import csv
import json
import time
import warnings

import keras
import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sr_keras import (
    datasets,
    files,
    images,
    losses,
    lpips,
    metrics,
    models,
    quality,
    training,
    upscale,
)
from sr_keras.evaluation import evaluate, evaluate_images, score, write_csv

# Bicubic in the papers: PSNR and SSIM at x2, x3, x4.
PUBLISHED = {
    "Set5": {2: (33.66, 0.9299), 3: (30.39, 0.8682), 4: (28.42, 0.8104)},
    "Set14": {2: (30.24, 0.8688), 3: (27.55, 0.7742), 4: (26.00, 0.7027)},
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", PUBLISHED)
def test_bicubic_scores_what_papers_print(data_dir, name, scale):
    dataset = datasets.benchmark(name, scale, data_dir / "benchmark")
    mean = evaluate(models.bicubic(scale), dataset)["mean"]
    psnr, ssim = PUBLISHED[name][scale]
    assert mean["psnr_y"] == pytest.approx(psnr, abs=0.02)
    assert mean["ssim_y"] == pytest.approx(ssim, abs=0.001)


def photos(count=2):
    shape = (count, 30, 36, 3)
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return datasets.Pairs(range(count), 2, array.__getitem__), array


@pytest.mark.parametrize(
    "build",
    [
        lambda: training.GAN(
            models.espcn(2, filters=(4, 4), channels=3),
            models.patchgan(filters=2, num_layers=1),
        ),
        lambda: training.VAE(
            models.vae_encoder(2, filters=4, latent_channels=2),
            models.vae_decoder(2, filters=4, num_blocks=1, latent_channels=2),
        ),
        lambda: training.Diffusion(models.denoiser(2, filters=8, num_levels=1)),
    ],
    ids=["gan", "vae", "diffusion"],
)
def test_trainers_of_networks_know_their_scale_and_are_scored_by_path(build, tmp_path):
    pairs, hrs = photos()
    for i, hr in enumerate(hrs):
        images.write(tmp_path / "photos" / f"{i}.png", hr)
    trainer = build()
    assert models.scale_of(trainer) == 2
    trainer.save(tmp_path / "trainer.keras")
    with pytest.raises(ValueError, match="is a network for x2. Received: scale=3"):
        models.load(tmp_path / "trainer.keras", 3)
    mean = evaluate(tmp_path / "trainer.keras", tmp_path / "photos")["mean"]
    network = getattr(trainer, "upscaler", None) or trainer.generator
    expected = evaluate(network, pairs)["mean"]
    assert mean["psnr_y"] == pytest.approx(expected["psnr_y"], abs=1e-4)


def test_score_agrees_with_scikit_image():
    rng = np.random.default_rng(1)
    hr = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    sr = np.clip(hr + rng.normal(0, 20, hr.shape), 0, 255).astype(np.uint8)
    found = score(hr, sr, border=3, rgb=True)
    hr, sr = hr[3:-3, 3:-3] / 255, sr[3:-3, 3:-3] / 255
    weights = np.array([65.481, 128.553, 24.966]) / 255
    options = {
        "data_range": 1,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    luma = hr @ weights + 16 / 255, sr @ weights + 16 / 255
    assert found["psnr_y"] == pytest.approx(
        peak_signal_noise_ratio(*luma, data_range=1), abs=1e-3
    )
    assert found["ssim_y"] == pytest.approx(
        structural_similarity(*luma, **options), abs=1e-4
    )
    assert found["psnr_rgb"] == pytest.approx(
        peak_signal_noise_ratio(hr, sr, data_range=1), abs=1e-3
    )
    assert found["ssim_rgb"] == pytest.approx(
        structural_similarity(hr, sr, channel_axis=2, **options), abs=1e-4
    )


def test_means_are_over_images_and_outputs_are_rounded():
    _, hr = photos()
    wrong = [10, 40]

    def oracle(lr):  # the HR image, brighter by almost 10 and 40 levels
        i = oracle.calls
        oracle.calls += 1
        return np.minimum(hr[i : i + 1] // 2 + wrong[i] - 0.4, 255) / 255

    oracle.calls = 0
    half = datasets.Pairs("ab", 2, lambda i: hr[i] // 2)
    result = evaluate(oracle, half)
    # A change of RGB by d changes the luma by d * 218.999 / 255.
    expected = [-20 * np.log10(d * 219 / 255 / 255) for d in wrong]
    found = [row["psnr_y"] for row in result["images"]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert result["mean"]["psnr_y"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert [row["name"] for row in result["images"]] == ["a", "b"]


def test_a_grey_photo_is_scored_on_its_own_values():
    def brighter(lr):
        return np.full((1, 30, 36, 3), 0.5)

    grey = datasets.Pairs("a", 2, lambda i: np.full((30, 36, 1), 108, np.uint8))
    found = evaluate(brighter, grey)["mean"]["psnr_y"]
    assert found == pytest.approx(-20 * np.log10(20 / 255), abs=1e-3)  # 128 - 108


def test_conditions_say_how_it_was_measured():
    dataset, _ = photos()
    text = evaluate(models.nearest(2), dataset, rgb=True, self_ensemble=True)
    text = text["conditions"]
    for part in ("BT.601", "RGB", "2 border pixels", "bicubic", "self-ensemble"):
        assert part in text


def crops(scale=2):
    photos = skimage.data.chelsea(), skimage.data.coffee()
    crops = [photo[50:250, 100:316] for photo in photos]
    return datasets.Pairs(["chelsea", "coffee"], scale, crops.__getitem__), crops


def test_extra_scores_are_those_of_their_functions():
    dataset, hr = crops()
    extra = ["ms_ssim", "hfenn", "vif", "ifc", "niqe", "lr_psnr"]
    seen = []
    result = evaluate(
        models.bicubic(2), dataset, on_image=lambda *v: seen.append(v), extra=extra
    )
    _, lr, sr, target, row = seen[1]
    floats = images.to_float(target)[None], images.to_float(sr)[None]
    assert {name: row[name] for name in extra} == {
        "ms_ssim": float(metrics.ms_ssim(*floats, luma=True, border=2)[0]),
        "hfenn": float(metrics.hfenn(*floats, luma=True, border=2)[0]),
        "vif": quality.vif(target, sr, border=2),
        "ifc": quality.ifc(target, sr, border=2),
        "niqe": quality.niqe(sr, border=2),
        "lr_psnr": quality.lr_psnr(lr, sr),
    }
    first = result["images"][0]
    assert result["mean"]["vif"] == pytest.approx((first["vif"] + row["vif"]) / 2)
    for part in ("MS-SSIM on luma", "HFENN", "VIF", "bits per pixel", "BSDS500"):
        assert part in result["conditions"]
    assert "LR-PSNR (dB) after bicubic downscaling" in result["conditions"]

    plain = evaluate(models.bicubic(2), dataset)
    assert set(plain["mean"]) == {"psnr_y", "ssim_y", "seconds"}
    assert plain["mean"]["psnr_y"] == result["mean"]["psnr_y"]
    assert result["conditions"].startswith(plain["conditions"] + "; MS-SSIM")


@pytest.mark.slow
def test_vgg_scores_name_their_layers(data_dir):
    array = skimage.data.astronaut()[None, 100:132, 200:248]
    dataset = datasets.Pairs(["astronaut"], 2, array.__getitem__)
    result = evaluate(models.bicubic(2), dataset, extra=["vgg", "vgg:VGG22"])
    sr = upscale(models.bicubic(2), dataset[0][0])
    pair = [images.to_float(image)[None, 2:-2, 2:-2] for image in (array[0], sr)]
    found = result["mean"]
    for name, layer in (("vgg", "vgg19/block4_conv4"), ("vgg:VGG22", "VGG22")):
        assert found[name] == pytest.approx(float(losses.Content(layer)(*pair)))
        assert f"features of {layer}" in result["conditions"]


def test_one_extra_score_may_be_given_by_its_name():
    dataset, _ = photos()
    result = evaluate(models.nearest(2), dataset, extra="lr_psnr")
    assert result["mean"].keys() == {"psnr_y", "ssim_y", "seconds", "lr_psnr"}
    assert result["conditions"].endswith("all channels, no border cut")


@pytest.mark.parametrize("name", ["niqe:VGG22", "VGG22", ""])
def test_an_unknown_score_is_an_error(name):
    dataset, _ = photos()
    message = f"'{name}' is not the name of an extra score.* ms_ssim, .*, lpips, vgg"
    with pytest.raises(ValueError, match=message):
        evaluate(models.nearest(2), dataset, extra=[name])


def test_an_image_too_small_for_a_score_is_named():
    dataset, _ = photos()
    with pytest.raises(ValueError, match="0: NIQE needs .*30, 36, 3.* border of 2"):
        evaluate(models.nearest(2), dataset, extra=["niqe"])


def test_every_image_is_handed_over():
    dataset, hr = photos()
    seen = []
    evaluate(models.nearest(2), dataset, on_image=lambda *values: seen.append(values))
    assert [i for i, *_ in seen] == [0, 1]
    _, lr, sr, target, scores = seen[1]
    np.testing.assert_array_equal(target, hr[1])
    np.testing.assert_array_equal(sr, lr.repeat(2, 0).repeat(2, 1))
    assert images.to_float(lr).shape == (15, 18, 3)
    assert scores["name"] == 1


def test_a_model_of_another_scale_is_an_error():
    dataset, _ = photos()
    message = "0: .* upscales 15x18 pixels to 45x54. At scale 2 .* must be 30x36"
    with pytest.raises(ValueError, match=message):
        evaluate(models.nearest(3), dataset)


def test_images_score_as_the_model_that_made_them(tmp_path):
    dataset, _ = photos()
    model = models.bicubic(2)
    for i, suffix in enumerate((".png", "x2.tiff")):
        images.write(tmp_path / f"{i}{suffix}", upscale(model, dataset[i][0]))
    (tmp_path / "notes.txt").write_text("how I did it")
    found = evaluate_images(tmp_path, dataset, rgb=True, extra=["lr_psnr"])
    expected = evaluate(model, dataset, rgb=True, extra=["lr_psnr"])
    for row in (*expected["images"], expected["mean"]):
        del row["seconds"]
    assert found == {**expected, "model": tmp_path.name}


def test_images_that_do_not_fit_are_named(tmp_path):
    dataset, array = photos()
    images.write(tmp_path / "0.png", array[0])
    with pytest.raises(FileNotFoundError, match="has no image for 1. It must contain"):
        evaluate_images(tmp_path, dataset)
    images.write(tmp_path / "1.png", array[1][:, :-1])
    with pytest.raises(
        ValueError, match=r"1.png must be 30x36 with 3 .*: 30x35 with 3"
    ):
        evaluate_images(tmp_path, dataset)
    images.write(tmp_path / "1x2.png", array[1])
    with pytest.raises(ValueError, match="several for 1: 1.png, 1x2.png"):
        evaluate_images(tmp_path, dataset)


def test_a_grey_image_may_be_saved_in_colour(tmp_path):
    _, array = photos(1)
    dataset = datasets.Pairs(["0"], 2, array[..., :1].__getitem__)
    images.write(tmp_path / "0.png", np.repeat(array[0][..., :1], 3, axis=2))
    assert evaluate_images(tmp_path, dataset)["mean"]["ssim_y"] == pytest.approx(1)


def test_an_empty_dataset_is_an_error():
    dataset, _ = photos()
    with pytest.raises(ValueError, match="must contain images"):
        evaluate(models.bicubic(2), dataset.subset([]))


def names_and_scores(result):
    return [{**row, "seconds": None} for row in result["images"]]


def test_models_and_data_may_be_names_and_paths(tmp_path, monkeypatch):
    _, array = photos()
    for name, photo in zip("ab", array, strict=True):
        images.write(tmp_path / "set" / f"{name}.png", photo)
    network = models.espcn(2, filters=(4, 4), name="mine")
    network.save(tmp_path / "mine.keras")
    dataset = datasets.open_data(str(tmp_path / "set"), 2)
    expected = evaluate(network, dataset)
    assert expected["model"] == "mine"
    for model, data in (
        (network, tmp_path / "set"),
        (tmp_path / "mine.keras", dataset),
        (str(tmp_path / "mine.keras"), str(tmp_path / "set")),
    ):
        result = evaluate(model, data)
        assert names_and_scores(result) == names_and_scores(expected)
        assert (result["scale"], result["conditions"]) == (2, expected["conditions"])
    assert result["model"] == str(tmp_path / "mine.keras")

    # Interpolations need a scale, which the dataset or an argument gives.
    scores = names_and_scores(evaluate("bicubic", dataset))
    assert scores == names_and_scores(evaluate(models.bicubic(2), dataset))
    assert scores == names_and_scores(evaluate("bicubic", tmp_path / "set", scale=2))
    with pytest.raises(ValueError, match="`scale` is needed"):
        evaluate("bicubic", tmp_path / "set")
    with pytest.raises(
        ValueError, match="must be that of `data`, 2. Received: scale=3"
    ):
        evaluate(models.bicubic(2), dataset, scale=3)
    with pytest.raises(
        ValueError, match="must be a `datasets.Pairs`.* Received: ndarray"
    ):
        evaluate(models.bicubic(2), array)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate(models.bicubic(2), tmp_path / "nowhere")


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.upscale = keras.layers.UpSampling2D(2)

    def call(self, inputs):
        return self.upscale(inputs)


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.Sequential([keras.layers.UpSampling2D(2)]),
        lambda: keras.Sequential(
            [keras.Input((None, None, 3)), keras.layers.UpSampling2D(2)]
        ),
        Subclass,
        lambda: lambda lr: lr.repeat(2, 1).repeat(2, 2),
    ],
)
def test_any_kind_of_model_on_photos_of_several_sizes(build):
    sizes = [(30, 36), (28, 44), (50, 24), (30, 36)]
    rng = np.random.default_rng(0)
    hr = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    dataset = datasets.Pairs("abcd", 2, hr.__getitem__)
    result = evaluate(build(), dataset)
    expected = evaluate(models.nearest(2), dataset)
    assert names_and_scores(result) == names_and_scores(expected)


@pytest.mark.parametrize(
    "wrong, received",
    [
        (lambda sr: np.uint8(255 * sr), "uint8"),
        (lambda sr: 255 * sr, "floats from 0 to 2"),
    ],
)
def test_outputs_in_0_to_255_are_an_error(wrong, received):
    dataset, _ = crops()

    def model(lr):
        return wrong(lr.repeat(2, 1).repeat(2, 2))

    with pytest.raises(ValueError, match=r"floats in \[0, 1\]. Received: " + received):
        evaluate(model, dataset)
    network = keras.Sequential(
        [keras.layers.UpSampling2D(2), keras.layers.Rescaling(255.0)]
    )
    with pytest.raises(ValueError, match="chelsea: .* floats from 0 to 2"):
        evaluate(network, dataset)


def test_bad_outputs_in_the_right_range_are_scored():
    dataset, _ = crops()
    for model in (
        lambda lr: np.zeros((1, 200, 216, 3)),
        lambda lr: np.round(lr.repeat(2, 1).repeat(2, 2)),
        # an untrained or diverged network
        lambda lr: np.random.default_rng(0).normal(0, 100, (1, 200, 216, 3)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert evaluate(model, dataset)["mean"]["psnr_y"] < 20
    # a page in black and white
    hr = 255 * (np.indices((30, 36)).sum(0)[..., None] % 2).astype(np.uint8)
    hr = hr.repeat(3, -1)
    pairs = datasets.Pairs("a", 2, [hr].__getitem__)
    assert evaluate(lambda lr: hr[None] / 255.0, pairs)["mean"]["psnr_y"] == 100


def test_seconds_leave_out_compilation():
    class SlowToTrace(keras.layers.Layer):
        def call(self, inputs):
            time.sleep(0.5)  # happens when the graph is traced
            return keras.ops.repeat(keras.ops.repeat(inputs, 2, 1), 2, 2)

    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, SlowToTrace()(inputs))
    sizes = [(30, 36), (28, 44), (50, 24)]
    hr = [np.zeros((*size, 3), np.uint8) for size in sizes]
    result = evaluate(model, datasets.Pairs("abc", 2, hr.__getitem__))
    assert max(row["seconds"] for row in result["images"]) < 0.4


def test_a_callable_is_called_once_per_image():
    calls = []

    def model(lr):
        calls.append(lr.shape)
        return lr.repeat(2, 1).repeat(2, 2)

    evaluate(model, photos()[0])
    assert calls == [(1, 15, 18, 3)] * 2


def test_many_models_cause_no_warning_about_retracing(caplog):
    sizes = [(30, 36), (28, 44)]
    hr = [np.zeros((*size, 3), np.uint8) for size in sizes]
    dataset = datasets.Pairs("ab", 2, hr.__getitem__)
    for _ in range(6):
        evaluate(keras.Sequential([keras.layers.UpSampling2D(2)]), dataset)
    assert not [r for r in caplog.records if "retracing" in r.getMessage()]


def test_scores_of_flat_and_black_photos_are_valid_json(tmp_path):
    hr = [np.zeros((96, 200, 3), np.uint8), np.full((96, 200, 3), 77, np.uint8)]
    hr += [np.random.default_rng(0).integers(0, 256, (96, 200, 3), dtype=np.uint8)]
    dataset = datasets.Pairs("abc", 2, hr.__getitem__)
    extra = ["hfenn", "vif", "ifc", "lr_psnr"]
    result = evaluate(models.bicubic(2), dataset, rgb=True, extra=extra)
    assert all(np.isfinite(value) for value in result["mean"].values())
    assert [row["vif"] for row in result["images"][:2]] == [1, 1]
    files.write_json(tmp_path / "scores.json", result)
    text = (tmp_path / "scores.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == result


def test_lpips_is_that_of_its_function(data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    dataset, hr = crops()
    result = evaluate(models.bicubic(2), dataset, extra=["lpips", "lpips:squeeze"])
    sr = upscale(models.bicubic(2), dataset[0][0], tile=None)
    pair = [images.to_float(image)[None, 2:-2, 2:-2] for image in (hr[0], sr)]
    for key, net in (("lpips", "alex"), ("lpips:squeeze", "squeeze")):
        expected = float(lpips.Distance(net)(*pair)[0])
        assert result["images"][0][key] == pytest.approx(expected, rel=1e-4)
        assert f"LPIPS v0.1 ({net}) on RGB" in result["conditions"]


def test_csv_has_a_row_for_each_image_and_mean(tmp_path):
    dataset, _ = photos()
    first = evaluate(models.nearest(2), dataset)
    second = evaluate(models.bicubic(2), dataset, rgb=True)
    write_csv(tmp_path / "scores.csv", first, second)
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["0", "1", "mean"] * 2
    assert [row["model"] for row in rows] == ["nearest"] * 3 + ["bicubic"] * 3
    assert float(rows[1]["psnr_y"]) == first["images"][1]["psnr_y"]
    assert rows[1]["psnr_rgb"] == ""
    assert float(rows[5]["ssim_rgb"]) == second["mean"]["ssim_rgb"]


@pytest.mark.parametrize(
    "names",
    [
        ["baby_SwinIR.png", "baby_face_SwinIR.png", "img 1_SwinIR.png"],
        ["babyx2_out.png", "baby_facex2_out.png", "img 1x2_out.png"],
        ["baby-mine.png", "baby_face.mine.png", "img 1 (2).png"],
        ["baby.png", "baby_face.png", "img 1.png", "img 1_old.png", "img 12.png"],
        ["baby.png", "baby_face.png", "img 1.png", "old/baby.png", ".baby_x.png"],
    ],
)
def test_results_are_found_by_the_names_of_the_photos(tmp_path, names):
    _, array = photos(3)
    dataset = datasets.Pairs(["baby", "baby_face", "img 1"], 2, array.__getitem__)
    for name, image in zip(names, [*array, array[0], array[0]], strict=False):
        images.write(tmp_path / name, image)
    result = evaluate_images(tmp_path, dataset)
    assert [row["ssim_y"] for row in result["images"]] == pytest.approx([1, 1, 1])


def test_results_in_subfolders_like_the_photos(tmp_path):
    _, array = photos(2)
    for name, image in zip(["x/1", "y/1"], array, strict=True):
        images.write(tmp_path / "hr" / f"{name}.png", image)
        images.write(tmp_path / "sr" / f"{name}_out.png", image)
    result = evaluate_images(tmp_path / "sr", tmp_path / "hr", scale=2)
    assert [row["psnr_y"] for row in result["images"]] == [100, 100]
    with pytest.raises(ValueError, match="`scale` is required"):
        evaluate_images(tmp_path / "sr", tmp_path / "hr")


def test_missing_and_ambiguous_results_are_named(tmp_path):
    _, array = photos(2)
    dataset = datasets.Pairs(["baby", "bird"], 2, array.__getitem__)
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        evaluate_images(tmp_path / "nowhere", dataset)
    images.write(tmp_path / "baby_a.png", array[0])
    images.write(tmp_path / "birdie.png", array[1])
    with pytest.raises(FileNotFoundError, match="no image for bird. .* bird_mine.png"):
        evaluate_images(tmp_path, dataset)
    images.write(tmp_path / "baby_b.jpg", array[0])
    with pytest.raises(ValueError, match="several for baby: baby_a.png, baby_b.jpg"):
        evaluate_images(tmp_path, dataset)
