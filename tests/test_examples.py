import importlib.util
import pathlib

import sr_keras as sr

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def test_my_model_beats_bicubic(capsys):
    spec = importlib.util.spec_from_file_location("my_model", EXAMPLES / "my_model.py")
    my_model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(my_model)
    model = my_model.main(steps=120)
    printed = capsys.readouterr().out
    assert "bicubic      29.98 dB" in printed
    photos = sr.datasets.samples(3, "validation")
    assert sr.evaluate(model, photos)["mean"]["psnr_y"] > 30.05
    assert sr.upscale(model, photos[0][0], tile=64).shape == photos[0][1].shape
