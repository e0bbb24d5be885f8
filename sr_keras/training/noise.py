"""Random numbers of a training step, which depend on the seed and the step alone."""

import keras
from keras import ops


def normal(shape, seed, step):
    """Draws from the standard normal distribution.

    Args:
        shape: Shape of the result.
        seed: An integer.
        step: An integer, or a scalar tensor. Every step has different numbers, and so
            has every replica of a `tf.distribute` strategy.

    Returns:
        A float32 tensor.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.random.normal(_key(seed, step), shape)
    import tensorflow as tf

    return tf.random.stateless_normal(shape, _seeds(seed, step))


def uniform(shape, seed, step):
    """Draws from [0, 1), otherwise like `normal`.

    Numbers of the same seed and step are not independent of those of `normal`.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.random.uniform(_key(seed, step), shape)
    import tensorflow as tf

    return tf.random.stateless_uniform(shape, _seeds(seed, step))


def _key(seed, step):
    import jax

    return jax.random.fold_in(jax.random.key(seed), ops.convert_to_tensor(step))


def _seeds(seed, step):
    import tensorflow as tf

    replicas = tf.distribute.get_replica_context()
    step = ops.cast(step, "int32") * replicas.num_replicas_in_sync
    step = step + ops.cast(replicas.replica_id_in_sync_group, "int32")
    return ops.stack([seed, step])
