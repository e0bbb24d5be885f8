"""What a long training needs besides `fit`: evaluation, checkpoints, resuming."""

import contextlib
import importlib.util
import json
import math
import os
import pathlib
import signal
import time

import keras
import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sr_keras import files, images, models, plotting
from sr_keras.checks import check_counts
from sr_keras.evaluation import conditions, evaluate
from sr_keras.inference import NotFiniteError
from sr_keras.precision import with_precision
from sr_keras.training import distribution

_STATE_FILE = "model.weights.h5"
_TILE = 2048  # HR pixels: larger photos are scored in tiles to limit memory


class TrainingRun(keras.callbacks.Callback):
    """Evaluates, saves and resumes a training, and keeps its results in a folder.

    Every `evaluate_every` steps the model is scored on whole images, and its complete
    state is saved: weights, optimizers, step and log. A run that was killed at any
    moment is resumed from the last state. If the batches depend on the step alone, it
    ends exactly as if it had not been interrupted. Ctrl-C and SIGTERM save first.

        run = TrainingRun("runs/mine", num_steps=10_000, validation=photos)
        run.fit(model, functools.partial(sr_keras.pipeline.training_batches, dataset))

    The same call resumes the run, and does nothing if it is complete.

    The folder gets `last.keras` and `best.keras` (without optimizers), `log.json`,
    `curves.png`, `strip.png` (the same crop at every evaluation) and `state`. If the
    optimizer keeps a moving average of the weights (`use_ema`), that average is what
    is scored and kept in `last.keras` and `best.keras`.

    A model may be compiled with `steps_per_execution`, which is faster for small
    networks. Under a `tf.distribute` strategy or a `keras.distribution` nothing
    changes. Of several processes the first writes all files, and the others read the
    state.

    Args:
        folder: Folder of the run; it is created.
        num_steps: Number of steps of the whole training.
        evaluate_every: Steps between two evaluations.
        validation: None, or a `datasets.Pairs` to score on. Photos of more than 2048
            pixels are scored in tiles, see `upscale`.
        upscaler: None, or the network that upscales, if it is not the model that `fit`
            trains (the generator of a GAN, for example) but shares its weights. It is
            what is scored and what the `.keras` files hold.
        monitor: The score that decides which model is the best: "psnr_y" or "ssim_y".
            None if no score shows which network is best (the PSNR of a GAN falls while
            it learns); `best.keras` is then not written.
        save_every: Steps between two saves of the state; None for `evaluate_every`.
        tensorboard: Whether to write logs for TensorBoard as well, which is a package
            of its own.
        console: A `rich.console.Console`.

    Attributes:
        log: A list of {"step", "seconds", "loss", "learning_rate", ..., "psnr_y",
            "ssim_y"}, one for each evaluation. Losses are means since the previous
            evaluation, or since the run was resumed. They are missing where a run ended
            at the step at which it had been stopped.
        stopped: None, or why the training ended before its last step: "nan" or
            "signal".

    Raises:
        ValueError: If a number is out of range, or there is no such score to monitor.
        ImportError: If `tensorboard` is asked for and not installed.
    """

    def __init__(
        self,
        folder,
        num_steps,
        evaluate_every=1000,
        validation=None,
        upscaler=None,
        monitor="psnr_y",
        save_every=None,
        tensorboard=False,
        console=None,
    ):
        super().__init__()
        check_counts(
            num_steps=num_steps,
            evaluate_every=evaluate_every,
            save_every=evaluate_every if save_every is None else save_every,
        )
        if monitor not in (None, "psnr_y", "ssim_y"):
            raise ValueError(
                '`monitor` must be "psnr_y", "ssim_y" or None. Received:'
                f" monitor={monitor!r}"
            )
        self.folder = folder = pathlib.Path(folder)
        self.num_steps = num_steps
        self.evaluate_every = evaluate_every
        self.save_every = evaluate_every if save_every is None else save_every
        self.validation = validation
        self.upscaler = upscaler
        self.monitor = monitor
        self.console = console or Console()
        self._progress, self._old_handlers = None, {}
        self.log = []
        self.step = self._first_step = 0
        self.seconds = 0.0
        self.stopped = None
        self._signal = None
        self._strip = _Strip()
        self._networks = None
        self._writes = distribution.is_first_process()
        self._writer = None
        if tensorboard:
            if importlib.util.find_spec("tensorboard") is None:
                raise ImportError("TensorBoard is missing: pip install tensorboard")
            if self._writes:
                import tensorflow as tf

                path = folder / "tensorboard"
                self._writer = tf.summary.create_file_writer(str(path))

    def fit(self, model, batches):
        """Trains a model from the step that the run has reached to the last one.

        Args:
            model: A compiled `keras.Model`, built as when the run was started.
            batches: A function that is called as `batches(start_step=k)` and returns
                the batches from step k on, as `model.fit` takes them. It is not
                called if the run is complete.

        Raises:
            ValueError: If the state in the folder does not fit the model, the network
                cannot be copied and saved, or `steps_per_execution` does not divide
                the number of steps.
        """
        self.restore(model)
        self._check_model(model)
        if self.step >= self.num_steps:
            # It was stopped at this step, and now `num_steps` says that it is the last.
            if not self.log or self.log[-1]["step"] < self.step:
                self._evaluate_at_rest(model)
            optimizer = getattr(model, "optimizer", None)
            if isinstance(optimizer, keras.optimizers.Optimizer):  # as `fit` ends
                optimizer.finalize_variable_values(model.trainable_variables)
            return
        try:
            model.fit(
                batches(start_step=self.step),
                steps_per_epoch=self.num_steps - self.step,
                shuffle=False,
                callbacks=[self],
                verbose=0,
            )
        finally:
            self.release()

    def _evaluate_at_rest(self, model):
        """Scores and saves a model that is not trained any further."""
        self.set_model(model)
        self.on_train_begin()
        try:
            self._evaluate({})
            self._save()
        finally:
            self.on_train_end()

    def _check_model(self, model):
        """Raises a ValueError at the start for what would fail at the first save."""
        size = model.steps_per_execution
        for name, value in (
            ("the number of steps", self.num_steps),
            ("the steps done", self.step),
            ("`evaluate_every`", self.evaluate_every),
            ("`save_every`", self.save_every),
        ):
            # the last evaluation and save come at the end in any case
            if value % size and value < self.num_steps or self.num_steps % size:
                raise ValueError(
                    f"`steps_per_execution` must divide {name}, which is {value}."
                    f" Received: steps_per_execution={size}"
                )
        network = self.upscaler or model
        try:
            bare = _bare(network)
            with distribution.local():
                copy = with_precision(keras.models.clone_model(bare), "float32")
                config = keras.saving.serialize_keras_object(copy)
                keras.saving.deserialize_keras_object(config, safe_mode=True)
        except Exception as error:  # of Keras, or of the model's own code
            raise ValueError(
                f"'{network.name}' cannot be copied and saved, so a run cannot keep it."
                " It must be a functional or Sequential model of registered layers,"
                " without `Lambda` layers; a model of another kind can name the"
                f" network that upscales as `upscaler`. {type(error).__name__}: {error}"
            ) from error

    # Saving and restoring

    def restore(self, model):
        """Loads the last state, if there is one, into a compiled model.

        Args:
            model: A compiled `keras.Model`, built as when the state was saved.

        Returns:
            The number of steps that are done: 0 for a new run.

        Raises:
            ValueError: If the state does not fit the model, or several processes found
                different states.
        """
        states = self._states()
        step = int(states[-1].name.removeprefix("step_")) if states else 0
        distribution.check_same_step(step)
        if not states:
            return 0
        _build_optimizers(model)
        try:
            model.load_weights(states[-1] / _STATE_FILE)
        except ValueError as error:
            raise ValueError(
                f"The state in {states[-1]} does not fit this model: {error}"
            ) from error
        state = json.loads((states[-1] / "state.json").read_text())
        self.step, self.log = state["step"], state["log"]
        self.seconds = state["seconds"]
        if (states[-1] / "strip.png").is_file():
            self._strip.pixels = images.read(states[-1] / "strip.png")
        return self.step

    def _states(self):
        states = (self.folder / "state").glob("step_*[0-9]")
        return sorted(states)

    def _copy_upscaler(self):
        """Copies the network without optimizer, to this device alone.

        `predict` of the network itself would need a batch for every replica and the
        participation of all processes, and JAX would overwrite weights that are in use.
        """
        network = self.upscaler or self.model
        if self._networks is None:
            bare = _bare(network)
            self._networks = bare, keras.models.clone_model(bare)
        bare, copy = self._networks
        copy.set_weights(bare.get_weights())
        return copy

    def _write_upscaler(self, network, name):
        """Writes a copy of the network in float32, whole or not at all."""
        if self._writes:
            with files.replacing(self.folder / name) as temporary:
                with_precision(network, "float32").save(temporary)

    def _save(self):
        """Saves the complete state, under its name only when it is whole."""
        if self._is_broken():
            return
        with averaged_weights(self.model), distribution.local():
            self._write_upscaler(self._copy_upscaler(), "last.keras")
        if not self._writes:
            return
        state = self.folder / "state" / f"step_{self.step:09}"
        with files.replacing(state) as partial:
            partial.mkdir()
            with distribution.local():  # Keras makes an optimizer, to see what one has
                self.model.save_weights(partial / _STATE_FILE)
            content = {"step": self.step, "seconds": self._elapsed(), "log": self.log}
            files.write_json(partial / "state.json", content)
            if self._strip.pixels is not None:
                images.write(partial / "strip.png", self._strip.pixels)
            files.remove(state)
        for old in state.parent.iterdir():  # also what a killed process left
            if old != state:
                files.remove(old)

    # Callback

    def on_train_begin(self, logs=None):
        self._first_step = self.step
        self.stopped = self._signal = None
        if self.validation is not None:
            self.console.print(
                f"Scores: {conditions(self.validation)}.", highlight=False
            )
        if self._writes:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._networks = None
        self._start = time.perf_counter()
        self._old_handlers = {}
        handlers = {signal.SIGINT: self._on_signal, signal.SIGTERM: self._on_signal}
        if distribution.num_processes() > 1:
            # they have to stop together: SIGTERM is `distribution.is_asked_to_stop`'s
            handlers = {signal.SIGINT: lambda *_: os.kill(os.getpid(), signal.SIGTERM)}
        try:
            for number, handler in handlers.items():
                self._old_handlers[number] = signal.signal(number, handler)
        except ValueError:
            pass  # signals reach the main thread only: a notebook's worker has none
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            # In a notebook rich draws its bars by ipywidgets; without that package
            # the lines of the evaluations are all that is shown.
            disable=self.console.is_jupyter
            and importlib.util.find_spec("ipywidgets") is None,
        )
        self._task = self._progress.add_task(
            "training", total=self.num_steps, completed=self.step
        )
        self._progress.start()

    def on_train_end(self, logs=None):
        self.release()
        self.seconds = self._elapsed()
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        # Keras passes the last of the batches that ran as one call.
        before, self.step = self.step, self._first_step + batch + 1
        if not math.isfinite(float(logs["loss"])):
            self._stop_at_nan()
            return
        self._progress.update(
            self._task, completed=self.step, description=f"loss {logs['loss']:.4g}"
        )
        try:
            self._evaluate_and_save(logs, before)
        except BaseException:  # after one, `fit` calls no `on_train_end`
            self.release()
            raise

    def _evaluate_and_save(self, logs, before):
        def is_due(every):
            return self.step // every > before // every

        is_last = self.step >= self.num_steps
        if is_due(self.evaluate_every) or is_last:
            self._evaluate(logs)
        is_asked = distribution.is_asked_to_stop(self.step) or self._signal is not None
        is_stopping = is_asked and not is_last
        if is_due(self.save_every) or is_last or is_stopping:
            self._save()
        if is_stopping and self.stopped is None:
            self.stopped = "signal"
            self.model.stop_training = True

    def _on_signal(self, number, frame):
        if self._signal is not None:  # second signal: the step may hang
            self.release()
            signal.raise_signal(number)
        self._signal = number

    def release(self):
        """Ends the progress bar and restores the signal handlers."""
        if self._progress is not None:
            self._progress.stop()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers = {}

    def _score(self, network):
        """Returns the mean scores on the validation photos, if they are finite."""
        tile = _TILE // self.validation.scale
        try:
            mean = evaluate(
                network, self.validation, tile=tile, on_image=self._strip.add
            )["mean"]
        except NotFiniteError as error:
            self.console.print(f"Not scored at step {self.step}: {error}")
            return {}
        return {name: value for name, value in mean.items() if name != "seconds"}

    def _is_broken(self):
        """Returns True, and stops the training, if a weight is NaN or infinite."""
        if all(np.isfinite(w).all() for w in self.model.get_weights()):
            return False
        self._stop_at_nan()
        return True

    def _stop_at_nan(self):
        self.stopped = "nan"
        self.model.stop_training = True

    def _elapsed(self):
        return self.seconds + time.perf_counter() - self._start

    def _evaluate(self, logs):
        if self._is_broken():
            return
        entry = {"step": self.step, "seconds": round(self._elapsed(), 1)}
        entry.update({name: float(value) for name, value in logs.items()})
        for optimizer, network in _optimizers(self.model):
            prefix = "" if network is self.model else f"{network.name}_"
            rate = keras.ops.convert_to_numpy(optimizer.learning_rate)
            entry[f"{prefix}learning_rate"] = float(rate)
        best = max(
            (old[self.monitor] for old in self.log if self.monitor in old),
            default=-math.inf,
        )
        if self.validation is not None:
            with averaged_weights(self.model), distribution.local():
                network = self._copy_upscaler()
                scores = self._score(network)
                entry.update(scores)
                if self.monitor is not None and scores.get(self.monitor, best) > best:
                    self._write_upscaler(network, "best.keras")
        self.model.reset_metrics()
        self.log.append(entry)
        self._print(entry)
        if not self._writes:
            return
        if self._strip.pixels is not None:
            images.write(self.folder / "strip.png", self._strip.pixels)
        files.write_json(self.folder / "log.json", self.log)
        if self._writer is not None:
            import tensorflow as tf

            with self._writer.as_default(step=self.step):
                for name, value in entry.items():
                    tf.summary.scalar(name, value)
        score = self.monitor or "psnr_y"
        if not logs and score not in entry and len(self.log) == 1:
            return  # there is neither a loss nor a score to draw
        figure = plotting.history(self.log, score if score in entry else None)
        with files.replacing(self.folder / "curves.png") as temporary:
            figure.savefig(temporary, dpi=120)

    def _print(self, entry):
        numbers = ", ".join(
            f"{name} {value:.4g}" for name, value in entry.items() if name != "step"
        )
        self._progress.console.print(f"step {self.step}: {numbers}", highlight=False)


class _Strip:
    """A picture that grows by the same crop of a photo at every evaluation."""

    size = 96

    def __init__(self):
        self.pixels = None

    def add(self, index, lr, sr, hr, scores):
        if index > 0:
            return
        top, left = (max(0, side - self.size) // 2 for side in sr.shape[:2])
        crop = images.to_integer(images.to_float(sr))
        crop = crop[top : top + self.size, left : left + self.size]
        if self.pixels is not None:
            crop = np.concatenate([np.atleast_3d(self.pixels), crop], axis=1)
        self.pixels = crop


@contextlib.contextmanager
def averaged_weights(model):
    """Within the context a model has the moving averages of its weights, if any.

    An optimizer that has not taken a step yet has no averages, and its network keeps
    the weights that it has.

    Args:
        model: A compiled `keras.Model`, `GAN` or `VAE`.
    """
    pairs = [
        (optimizer, network)
        for optimizer, network in _optimizers(model)
        if getattr(optimizer, "inner_optimizer", optimizer).use_ema
        and int(keras.ops.convert_to_numpy(optimizer.iterations)) > 0
    ]
    kept = model.get_weights() if pairs else None
    for optimizer, network in pairs:
        optimizer.finalize_variable_values(network.trainable_variables)
    try:
        yield
    finally:
        if pairs:
            model.set_weights(kept)


def _bare(network):
    """Returns the graph of a network without optimizer and loss."""
    inputs, outputs = (
        getattr(network, "inputs", None),
        getattr(network, "outputs", None),
    )
    if not inputs or not outputs:
        raise TypeError("The network has no graph of layers.")
    make = models.Network if isinstance(network, models.Network) else keras.Model
    inputs, outputs = (x[0] if len(x) == 1 else x for x in (inputs, outputs))
    return make(inputs, outputs, name=network.name)


def _optimizers(model):
    """Returns pairs of an optimizer and the model whose weights it trains."""
    if hasattr(model, "optimizers"):  # several, as a GAN has
        return model.optimizers()
    optimizer = getattr(model, "optimizer", None)
    return [] if optimizer is None else [(optimizer, model)]


def _build_optimizers(model):
    """Creates the optimizers' variables, which loading would otherwise skip."""
    for optimizer, network in _optimizers(model):
        if not optimizer.built:
            optimizer.build(network.trainable_variables)
