"""The training step of a `GAN` on TensorFlow and on JAX.

Both do the same. The generator runs once and the discriminator twice, on `hr` and on
`sr`. The gradient of the generator passes back through the discriminator's pass on
`sr`, without changing the discriminator.
"""

import contextlib
import threading

import keras
from keras import ops

from sr_keras.images import to_float

# What `GAN.track` was given in the current step, in each thread: TensorFlow runs the
# replicas of a `MirroredStrategy` in threads that take turns.
_threads = threading.local()


@contextlib.contextmanager
def recording():
    """Within this context, `record` adds to the dict that the context returns."""
    before = getattr(_threads, "recorded", None)
    _threads.recorded = {}
    try:
        yield _threads.recorded
    finally:
        _threads.recorded = before


def record(name, value):
    """Stores a value for the logs of the current step; outside a step, does nothing."""
    recorded = getattr(_threads, "recorded", None)
    if recorded is not None:
        recorded[name] = value


def float_pair(data):
    """Converts the batch of a `train_step` to float tensors `(lr, hr)`.

    Raises:
        ValueError: If the batch is not a pair.
    """
    lr, hr, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if hr is None or sample_weight is not None:
        received = "only lr" if hr is None else "(lr, hr, sample_weight)"
        raise ValueError(f"Batches must be (lr, hr). Received: {received}")
    return to_float(ops.convert_to_tensor(lr)), to_float(ops.convert_to_tensor(hr))


def gradients(function, x):
    """Computes the gradients of several scalars.

    Args:
        function: Takes a tensor and returns a dict of scalars.
        x: A tensor.

    Returns:
        A dict of the same names and tensors of the shape of `x`.
    """
    if keras.backend.backend() == "jax":
        import jax

        values, pull_back = jax.vjp(function, x)
        zeros = dict.fromkeys(values, ops.zeros(()))
        return {name: pull_back({**zeros, name: ops.ones(())})[0] for name in values}
    import tensorflow as tf

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        values = function(x)
    return {
        name: tape.gradient(value, x, unconnected_gradients="zero")
        for name, value in values.items()
    }


def norm(gradient):
    """Returns the Euclidean norm of a tensor."""
    return ops.sqrt(ops.sum(ops.square(gradient)))


def train_on_tensorflow(gan, data):
    """Trains on a batch and returns the logs."""
    import tensorflow as tf

    lr, hr = float_pair(data)
    with recording() as recorded:
        with tf.GradientTape(persistent=gan.log_gradient_norms) as generator_tape:
            sr = gan.generator(lr, training=True)
            # This tape begins behind the generator, which it does not need.
            with tf.GradientTape() as discriminator_tape:
                real, fake = gan.discriminate(hr, lr), gan.discriminate(sr, lr)
                discriminator_loss, objective = _discriminator(
                    gan, lr, hr, sr, real, fake
                )
            terms, total = _generator(gan, lr, hr, sr, real, fake)
        if gan.log_gradient_norms:
            for name, (_, value) in terms.items():
                slope = generator_tape.gradient(value, sr, unconnected_gradients="zero")
                _record_norm(gan, name, slope)
        turns = gan.turns(discriminator_loss)
        for tape, loss, is_turn, (optimizer, network) in zip(
            (generator_tape, discriminator_tape),
            (total, objective),
            turns,
            gan.optimizers(),
            strict=True,
        ):
            _apply(tape, loss, is_turn, optimizer, network.trainable_variables)
    return gan.finish_step(lr, hr, sr, discriminator_loss, recorded)


def _discriminator(gan, lr, hr, sr, real, fake):
    """Returns the loss of the discriminator, and what it minimizes, scaled."""
    loss = sum(map(gan.discriminator_loss, real, fake))
    objective = loss + gan.discriminator_penalty(lr, hr, sr)
    record("discriminator_loss", loss)
    return loss, gan.discriminator_optimizer.scale_loss(objective)


def _generator(gan, lr, hr, sr, real, fake):
    """Returns the terms of the generator, and their weighted sum, scaled."""
    terms = gan.generator_losses(lr, hr, sr, real, fake)
    for name, (_, value) in terms.items():
        record(name, value)
    total = sum(weight * value for weight, value in terms.values())
    record("loss", total)
    return terms, gan.generator_optimizer.scale_loss(total)


def _record_norm(gan, name, gradient):
    # Of equal parts, the whole batch has the norm of one part times the root of their
    # number. Logs are multiplied by the number of replicas.
    record(f"gradient_norm_{name}", norm(gradient) / gan.num_replicas**0.5)


def _apply(tape, loss, is_turn, optimizer, variables):
    import tensorflow as tf

    if not variables:  # frozen
        return

    def update():
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    if is_turn is True:
        update()
    else:
        tf.cond(is_turn, update, lambda: None)


def train_on_jax(gan, state, data):
    """Trains on a batch and returns `(logs, state)`; a pure function.

    Args:
        gan: A compiled `GAN`.
        state: Lists of the values of `trainable_variables`, `non_trainable_variables`,
            `optimizer.variables` and `metrics_variables`.
        data: `(lr, hr)`, integers or floats in [0, 1].
    """
    import jax

    lr, hr = float_pair(data)
    groups = [
        gan.trainable_variables,
        gan.non_trainable_variables,
        gan.optimizer.variables,
    ]
    variables = [v for group in groups for v in group]
    values = {
        id(v): x
        for group, found in zip(groups, state, strict=False)
        for v, x in zip(group, found, strict=True)
    }
    recorded = {}

    def run(function, values):
        """Returns the result, and the values of the variables and the logs after it."""
        with recording() as logs:
            with keras.StatelessScope([(v, values[id(v)]) for v in variables]) as scope:
                result = function()
        after = {id(v): scope.get_current_value(v) for v in variables}
        return result, (after, logs)

    def weights_of(network, values):
        return {id(v): values[id(v)] for v in network.trainable_variables}

    # Forward. Every stage continues with the values that the previous one left, because
    # normalizations update theirs.
    def generate(weights):
        return run(lambda: gan.generator(lr, training=True), {**values, **weights})

    sr, pull_generator, (values_1, _) = jax.vjp(
        generate, weights_of(gan.generator, values), has_aux=True
    )

    def discriminate(weights, sr):
        return run(
            lambda: (gan.discriminate(hr, lr), gan.discriminate(sr, lr)),
            {**values_1, **weights},
        )

    (real, fake), pull_discriminator, (values_2, _) = jax.vjp(
        discriminate, weights_of(gan.discriminator, values_1), sr, has_aux=True
    )

    # The gradient of each objective with respect to the logits continues through the
    # discriminator.
    def discriminator_objective(weights, real, fake):
        (loss, objective), (after, logs) = run(
            lambda: _discriminator(gan, lr, hr, sr, real, fake),
            {**values_2, **weights},
        )
        return objective, (loss, after, logs)

    direct, (discriminator_loss, values_3, logs) = jax.grad(
        discriminator_objective, argnums=(0, 1, 2), has_aux=True
    )(weights_of(gan.discriminator, values_2), real, fake)
    recorded.update(logs)

    def discriminator_gradients():
        through_logits, _ = pull_discriminator(direct[1:])
        return jax.tree.map(ops.add, direct[0], through_logits)

    def generator_objective(sr, real, fake):
        (terms, total), (after, logs) = run(
            lambda: _generator(gan, lr, hr, sr, real, fake), values_3
        )
        terms = {name: value for name, (_, value) in terms.items()}
        return {**terms, "": total}, (after, logs)

    losses, pull_losses, (values_4, logs) = jax.vjp(
        generator_objective, sr, real, fake, has_aux=True
    )
    recorded.update(logs)

    def image_gradient(name):
        cotangent = {key: ops.zeros_like(value) for key, value in losses.items()}
        cotangent[name] = ops.ones_like(losses[name])
        direct, *of_logits = pull_losses(cotangent)
        return direct + pull_discriminator(tuple(of_logits))[1]

    def generator_gradients():
        return pull_generator(image_gradient(""))[0]

    if gan.log_gradient_norms:
        with recording() as logs:
            for name in losses:
                if name:
                    _record_norm(gan, name, image_gradient(name))
        recorded.update(logs)

    turns, (values, _) = run(lambda: gan.turns(discriminator_loss), values_4)
    for is_turn, gradients_of, (optimizer, network) in zip(
        turns,
        (generator_gradients, discriminator_gradients),
        gan.optimizers(),
        strict=True,
    ):
        trained = [*network.trainable_variables, *optimizer.variables]
        if not network.trainable_variables:  # frozen
            continue

        def update(
            optimizer=optimizer,
            weights=network.trainable_variables,
            gradients_of=gradients_of,
            values=values,
        ):
            slopes = gradients_of()
            new_weights, new_state = optimizer.stateless_apply(
                [values[id(v)] for v in optimizer.variables],
                [slopes[id(v)] for v in weights],
                [values[id(v)] for v in weights],
            )
            return [*new_weights, *new_state]

        if is_turn is True:
            updated = update()
        else:
            before = [values[id(v)] for v in trained]
            updated = jax.lax.cond(is_turn, update, lambda before=before: before)
        values = {**values, **dict(zip(map(id, trained), updated, strict=True))}

    # Logs
    with jax.ensure_compile_time_eval():  # so that new trackers hold numbers
        for name in recorded:
            gan.add_tracker(name)
    metrics = gan.metrics_variables
    found = [*state[3], *(v.value for v in metrics[len(state[3]) :])]
    scope = keras.StatelessScope(
        [*((v, values[id(v)]) for v in variables), *zip(metrics, found, strict=True)]
    )
    with scope:
        logs = gan.finish_step(lr, hr, sr, discriminator_loss, recorded)
    return logs, tuple(
        [scope.get_current_value(v) for v in group] for group in (*groups, metrics)
    )


def test_on_jax(gan, state, data):
    """Scores a batch and returns `(logs, state)`; a pure function."""
    groups = [
        gan.trainable_variables,
        gan.non_trainable_variables,
        gan.metrics_variables,
    ]
    pairs = [
        pair
        for group, found in zip(groups, state, strict=True)
        for pair in zip(group, found, strict=True)
    ]
    with keras.StatelessScope(pairs) as scope:
        logs = gan.scores(*float_pair(data))
    return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)
