import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sr_keras import datasets, images, losses, metrics, models, quality, upscale
from sr_keras.evaluation import evaluate, evaluate_images, score

# bicubic, from the papers: PSNR and SSIM at x2, x3, x4
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

    def oracle(lr):  # the HR image, made brighter by almost 10 and 40 levels
        i = oracle.calls
        oracle.calls += 1
        return np.minimum(hr[i : i + 1] // 2 + wrong[i] - 0.4, 255) / 255

    oracle.calls = 0
    half = datasets.Pairs("ab", 2, lambda i: hr[i] // 2)
    result = evaluate(oracle, half)
    # a change of RGB by d changes luma by d * 218.999 / 255
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


def test_further_scores_are_those_of_their_functions():
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


@pytest.mark.parametrize("name", ["lpips", "niqe:VGG22", "VGG22", ""])
def test_an_unknown_score_is_an_error(name):
    dataset, _ = photos()
    message = f'ms_ssim, hfenn, .*, "vgg" or "vgg:LAYER". Received: \'{name}\''
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
    message = "0: from 15x18 pixels the model makes 45x54; at scale 2 .* 30x36"
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
    with pytest.raises(FileNotFoundError, match="has no image for 1; it needs one"):
        evaluate_images(tmp_path, dataset)
    images.write(tmp_path / "1.png", array[1][:, :-1])
    with pytest.raises(ValueError, match=r"1.png: is 30x35 .* should be 30x36 with 3"):
        evaluate_images(tmp_path, dataset)
    images.write(tmp_path / "1x2.png", array[1])
    with pytest.raises(ValueError, match="two images for 1: .*1.png and .*1x2.png"):
        evaluate_images(tmp_path, dataset)


def test_a_grey_image_may_come_in_colours(tmp_path):
    _, array = photos(1)
    dataset = datasets.Pairs(["0"], 2, array[..., :1].__getitem__)
    images.write(tmp_path / "0.png", np.repeat(array[0][..., :1], 3, axis=2))
    assert evaluate_images(tmp_path, dataset)["mean"]["ssim_y"] == pytest.approx(1)


def test_no_images_have_no_score():
    dataset, _ = photos()
    with pytest.raises(ValueError, match="no images to score"):
        evaluate(models.bicubic(2), dataset.subset([]))
