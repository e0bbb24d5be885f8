import warnings

import keras
import numpy as np
import pytest

from sr_keras import course


@pytest.mark.parametrize(
    "fast, steps, said",
    [
        ("1", 5, "FAST is on"),
        ("0", 100, "takes about 3 min on two CPU cores"),
        ("", 100, "takes about 3 min on two CPU cores"),
    ],
)
def test_start_chooses_settings(monkeypatch, capsys, fast, steps, said):
    monkeypatch.setenv("SR_KERAS_FAST", fast)
    monkeypatch.setattr(course.tf.config, "list_physical_devices", lambda kind: [])
    here = course.start(minutes=(0.5, 3, 1), steps=(5, 100, 1000))
    text = capsys.readouterr().out
    assert here.steps == steps and here.gpu is False and here.fast is (fast == "1")
    assert said in text and f"Settings: steps = {steps}" in text and "no GPU" in text


def test_start_prints_the_gpu_and_uses_its_settings(monkeypatch, capsys):
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


def test_no_warning_of_keras_about_datasets():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = course.tf.data.Dataset.from_tensors((np.zeros((2, 1)), np.zeros((2, 1))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        course.start(minutes=(1, 1, 1))
        model.fit(data, verbose=0)
    assert not [str(w.message) for w in caught if "shuffle" in str(w.message)]


def test_settings_must_be_triples():
    with pytest.raises(ValueError, match=r"`steps` must be a triple.* steps=\(1, 2\)"):
        course.start(minutes=(1, 2, 3), steps=(1, 2))


@pytest.mark.parametrize(
    "answer, said",
    [
        (None, "No answer yet."),
        (..., "No answer yet."),
        (2.00001, "Right!"),
        (2.1, "Not yet: the shape is right, but the values are not."),
        ([2.0], "Not yet: the shape must be (), but it is (1,)."),
        (np.nan, "Not yet: the shape is right, but the values are not."),
    ],
)
def test_check_prints_whether_an_answer_is_right(capsys, answer, said):
    course.check(answer, 2.0)
    assert capsys.readouterr().out == said + "\n"


@pytest.mark.parametrize(
    "answer, said",
    [
        (None, "No answer yet."),
        (15 / 16, "Right!"),
        (0.9377, "Not yet: the shape is right, but the values are not."),
        ([15 / 16], "Not yet: the shape must be (), but it is (1,)."),
    ],
)
def test_check_knows_the_answers_of_the_course_by_name(capsys, answer, said):
    course.check(answer, "00.1")  # LR has one of 16 numbers
    assert capsys.readouterr().out == said + "\n"


def test_the_tolerance_is_stored_with_the_answer_or_given(capsys):
    course.check(0.0199, "16.1")  # a simulation of 0.04 / sqrt(4)
    course.check(0.0194, "16.1")
    course.check(0.0194, "16.1", tolerance=1e-3)
    course.check(0.0198, 0.02)
    course.check(0.0198, 0.02, tolerance=1e-3)
    lines = capsys.readouterr().out.splitlines()
    assert [line == "Right!" for line in lines] == [True, False, True, False, True]


@pytest.mark.parametrize("answer", [None, 1])
def test_an_unknown_exercise_is_an_error_with_or_without_an_answer(answer):
    message = "'05.2' is not the name of an exercise .*Did you mean '05.2[ab]' or '05.2"
    with pytest.raises(ValueError, match=message):
        course.check(answer, "05.2")


def test_linear_filter_recovers_filters():
    rng, scale, side = np.random.default_rng(0), 2, 3
    filters = rng.normal(size=(side, side, scale, scale))

    def enlarge(lr):  # a sum for each pixel of a tile, each channel by itself
        hr = np.zeros((len(lr), 2 * lr.shape[1], 2 * lr.shape[2], 3))
        padded = np.pad(lr, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        for (i, j, row, column), weight in np.ndenumerate(filters):
            part = padded[:, i : i + lr.shape[1], j : j + lr.shape[2]]
            hr[:, row::scale, column::scale] += weight * part
        return hr

    patches = rng.random((2, 4, 6, 5, 3))
    model = course.linear_filter([(lr, enlarge(lr)) for lr in patches], scale, side)
    lr = rng.random((1, 7, 9, 3)).astype("float32")
    np.testing.assert_allclose(model(lr), enlarge(lr), atol=1e-5)
    assert model.count_params() == 3 * 3 * 3 * 12


def test_linear_filter_has_the_least_error():
    lr = np.array([1.0, 2, 3, 4]).reshape(1, 2, 2, 1)
    hr = np.array([3.0, 3, 7, 7]).reshape(1, 2, 2, 1)
    model = course.linear_filter([(lr, hr)], scale=1, side=1)
    # the sum of lr * hr by the sum of lr * lr: (3 + 6 + 21 + 28) / 30
    np.testing.assert_allclose(model(lr), 58 / 30 * lr, rtol=1e-6)


@pytest.mark.parametrize("side", [0, 4])
def test_linear_filter_needs_a_middle(side):
    with pytest.raises(ValueError, match=f"positive odd number. Received: side={side}"):
        course.linear_filter([], 2, side)
