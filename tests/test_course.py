import warnings

import keras
import numpy as np
import pytest

from sr_keras import course


@pytest.mark.parametrize(
    "fast, steps, said",
    [
        ("1", 5, "FAST is on"),
        ("0", 100, "computes for about 3 min on two CPU cores"),
        ("", 100, "computes for about 3 min on two CPU cores"),
    ],
)
def test_start_chooses_settings(monkeypatch, capsys, fast, steps, said):
    monkeypatch.setenv("SR_KERAS_FAST", fast)
    monkeypatch.setattr(course.tf.config, "list_physical_devices", lambda kind: [])
    here = course.start(minutes=(0.5, 3, 1), steps=(5, 100, 1000))
    text = capsys.readouterr().out
    assert here.steps == steps and here.gpu is False and here.fast is (fast == "1")
    assert said in text and f"Settings: steps = {steps}" in text and "no GPU" in text


def test_start_names_the_gpu_and_takes_its_settings(monkeypatch, capsys):
    monkeypatch.delenv("SR_KERAS_FAST", raising=False)
    monkeypatch.setattr(course.tf.config, "list_physical_devices", lambda kind: ["0"])
    monkeypatch.setattr(
        course.tf.config.experimental,
        "get_device_details",
        lambda gpu: {"device_name": "Tesla T4"},
    )
    here = course.start(minutes=(0.5, 3, 1), steps=(5, 100, 1000))
    text = capsys.readouterr().out
    assert here.steps == 1000 and here.gpu is True
    assert "1 x Tesla T4" in text and "1 min on a GPU (an estimate)" in text


def test_a_lesson_is_free_of_the_warning_that_keras_gives_about_datasets():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = course.tf.data.Dataset.from_tensors((np.zeros((2, 1)), np.zeros((2, 1))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        course.start(minutes=(1, 1, 1))
        model.fit(data, verbose=0)
    assert not [str(w.message) for w in caught if "shuffle" in str(w.message)]


def test_start_needs_triples():
    with pytest.raises(ValueError, match=r"`steps` must be a triple.* \(1, 2\)"):
        course.start(minutes=(1, 2, 3), steps=(1, 2))


@pytest.mark.parametrize(
    "answer, said",
    [
        (None, "No answer yet."),
        (..., "No answer yet."),
        (2.00001, "Right!"),
        (2.1, "Not yet: the shape fits, the values do not."),
        ([2.0], r"Not yet: the shape is (1,), and should be ()."),
        (np.nan, "Not yet: the shape fits, the values do not."),
    ],
)
def test_check_says_whether_an_answer_is_right(capsys, answer, said):
    course.check(answer, 2.0)
    assert capsys.readouterr().out == said + "\n"
