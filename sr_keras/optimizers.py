"""SOAP: Adam in the eigenbasis of the gradients of each kernel."""

import math

import keras
from keras import ops

from sr_keras.checks import check_counts


@keras.saving.register_keras_serializable(package="sr_keras")
class SOAP(keras.optimizers.Optimizer):
    """Runs Adam in the eigenbasis of the gradients of each kernel.

    Adam has a separate step size for every weight. This helps if the loss is steep
    along one weight and flat along another, but not if it is steep along a combination
    of weights. SOAP treats each kernel as a matrix and keeps moving averages of
    `G @ G.T` and `G.T @ G` for its gradients `G`. It rotates the gradients into the
    eigenvectors of these, applies Adam, and rotates the update back. The eigenvectors
    are updated by single steps of power iteration.

    A kernel `(height, width, inputs, outputs)` is treated as a matrix with
    `height * width * inputs` rows and `outputs` columns. Biases and PReLU slopes have
    one row and are updated by Adam. There are two differences from the paper: the
    paper has a basis for each axis of a kernel, and its first step only initializes the
    bases, while here it is a step of Adam.

    Args:
        learning_rate: A float or a `keras.optimizers.schedules.LearningRateSchedule`.
        beta_1: Decay rate of the average of the gradients.
        beta_2: Decay rate of the averages of their squares and products.
        epsilon: Added to the square root of the average of the squares.
        precondition_frequency: Number of steps between two power iterations.
        max_precond_dim: Largest number of rows or columns that have a basis. The time
            and memory of a step grow with the square of this number, and the time of a
            power iteration with its cube.
        name: Name of the optimizer.
        **kwargs: Arguments of every Keras optimizer.

    Raises:
        ValueError: If `precondition_frequency` or `max_precond_dim` is not a positive
            integer.

    Reference:
        [Vyas et al., 2024](https://arxiv.org/abs/2409.11321)
    """

    def __init__(
        self,
        learning_rate=3e-3,
        beta_1=0.95,
        beta_2=0.95,
        epsilon=1e-8,
        precondition_frequency=10,
        max_precond_dim=10_000,
        name="soap",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        check_counts(
            precondition_frequency=precondition_frequency,
            max_precond_dim=max_precond_dim,
        )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.precondition_frequency = precondition_frequency
        self.max_precond_dim = max_precond_dim

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        self._squares = self.add_optimizer_variables(variables, "square")
        # two for each variable, for its rows and its columns; None without a basis
        self._products = [self._add_sides(v, "product", "zeros") for v in variables]
        self._bases = [self._add_sides(v, "basis", "identity") for v in variables]

    def _add_sides(self, variable, name, initializer):
        rows, columns = _matrix_shape(variable)
        if rows == 1:
            return [None, None]
        prefix = variable.path.replace("/", "_")
        return [
            self.add_variable(
                (size, size),
                initializer,
                variable.dtype,
                name=f"{prefix}_{side}_{name}",
            )
            if 1 < size <= self.max_precond_dim
            else None
            for side, size in (("rows", rows), ("columns", columns))
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        products, bases = self._products[index], self._bases[index]
        momentum, squares = self._momentums[index], self._squares[index]
        dtype, shape = variable.dtype, _matrix_shape(variable)
        step = ops.cast(self.iterations + 1, dtype)
        gradient = ops.reshape(ops.cast(gradient, dtype), shape)

        average = ops.reshape(momentum, shape)
        average += (1 - self.beta_1) * (gradient - average)
        square = ops.reshape(squares, shape)
        square += (1 - self.beta_2) * (ops.square(_rotate(gradient, bases)) - square)
        mean = _rotate(average, bases) / (1 - ops.power(self.beta_1, step))
        deviation = ops.sqrt(square / (1 - ops.power(self.beta_2, step)))
        change = _rotate_back(mean / (deviation + self.epsilon), bases)
        change *= ops.cast(learning_rate, dtype)

        self.assign(momentum, ops.reshape(average, variable.shape))
        self.assign_sub(variable, ops.reshape(change, variable.shape))
        axes = [axis for axis in (0, 1) if bases[axis] is not None]
        for axis in axes:
            other = gradient if axis == 0 else ops.transpose(gradient)
            latest = ops.matmul(other, ops.transpose(other))
            difference = latest - products[axis]
            self.assign_add(products[axis], (1 - self.beta_2) * difference)
        if axes:  # one condition for both, because it takes long to trace
            new_bases, square = ops.cond(
                ops.equal(self.iterations % self.precondition_frequency, 0),
                lambda: _update_bases(products, bases, square, axes),
                lambda: ([ops.convert_to_tensor(bases[axis]) for axis in axes], square),
            )
            for axis, basis in zip(axes, new_bases, strict=True):
                self.assign(bases[axis], basis)
        self.assign(squares, ops.reshape(square, variable.shape))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "precondition_frequency": self.precondition_frequency,
            "max_precond_dim": self.max_precond_dim,
        }


def _matrix_shape(variable):
    """Returns the rows and columns of a variable; one row if it is not a kernel."""
    sizes = tuple(variable.shape)
    columns = sizes[-1] if sizes else 1
    return math.prod(sizes) // columns, columns


def _rotate(matrix, bases):
    rows, columns = bases
    if rows is not None:
        matrix = ops.matmul(ops.transpose(rows), matrix)
    if columns is not None:
        matrix = ops.matmul(matrix, columns)
    return matrix


def _rotate_back(matrix, bases):
    rows, columns = bases
    return _rotate(
        matrix,
        (
            None if rows is None else ops.transpose(rows),
            None if columns is None else ops.transpose(columns),
        ),
    )


def _update_bases(products, bases, square, axes):
    """Updates the bases of a kernel, and the squares with them."""
    new_bases = []
    for axis in axes:
        basis, square = _update_basis(products[axis], bases[axis], square, axis)
        new_bases.append(basis)
    return new_bases, square


def _update_basis(product, basis, square, axis):
    """Takes one step of power iteration, and sorts by descending eigenvalues."""
    product, basis = ops.convert_to_tensor(product), ops.convert_to_tensor(basis)
    image = ops.matmul(product, basis)
    order = ops.flip(ops.argsort(ops.sum(basis * image, axis=0)))
    basis, _ = ops.qr(ops.take(image, order, axis=1))
    return basis, ops.take(square, order, axis=axis)
