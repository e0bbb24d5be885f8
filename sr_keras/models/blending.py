"""A network between two networks."""

import keras

from sr_keras import weights


def blend(first, second, amount):
    """Interpolates between the weights of two networks of the same architecture.

    The weights are `(1 - amount) * first + amount * second`. Between a generator that
    was trained on pixels and the same generator after adversarial training, the amount
    of invented detail can be chosen in this way without further training. Networks that
    were trained independently cannot be blended: their filters do not correspond, and
    what lies between them is worse than both.

    Args:
        first: A functional `keras.Model`.
        second: A functional `keras.Model` of the same architecture, trained from
            `first`, or from the same start.
        amount: A number from 0, for `first`, to 1, for `second`.

    Returns:
        A new model of the class of `first`.

    Raises:
        ValueError: If `amount` is out of range, the networks were built by different
            calls, or their weights do not have the same shapes.

    Reference:
        Network interpolation in [Wang et al., 2018](https://arxiv.org/abs/1809.00219)
        (ESRGAN), studied for other tasks in
        [Wang et al., 2019](https://arxiv.org/abs/1811.10515)
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"`amount` must be from 0 to 1. Received: amount={amount}")
    known = [getattr(network, "identity", None) for network in (first, second)]
    if None not in known and known[0] != known[1]:
        raise ValueError(
            "Both networks must have the same architecture. Received:"
            f" {weights.call_of(known[0])} and {weights.call_of(known[1])}"
        )
    pairs = list(zip(first.get_weights(), second.get_weights(), strict=False))
    if len(first.weights) != len(second.weights) or any(
        a.shape != b.shape for a, b in pairs
    ):
        raise ValueError(
            "Both networks must have weights of the same shapes. Received:"
            f" '{first.name}' with {first.count_params()} parameters and"
            f" '{second.name}' with {second.count_params()}"
        )
    between = keras.models.clone_model(first)
    between.set_weights([(1 - amount) * a + amount * b for a, b in pairs])
    return between
