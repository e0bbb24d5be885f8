"""SOAP: Adam, in the directions that the gradients of each kernel have."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sr_keras")
class SOAP(keras.optimizers.Optimizer):
    """Runs Adam in the eigenvectors of each kernel's gradients: learns in fewer steps.

    Adam gives every weight a step size of its own. That helps where the loss is steep
    along one weight and flat along another, and not where it is steep along a mixture
    of them. SOAP takes each kernel for a matrix; averages the products of its
    gradients `G`, `G @ G.T` for the rows and `G.T @ G` for the columns; turns the
    gradients to the eigenvectors of these; does what Adam does; and turns back. The
    eigenvectors follow the products by one power iteration at a time.

    A kernel `(height, width, inputs, outputs)` is a matrix of `height * width *
    inputs` rows and `outputs` columns. Biases and slopes, which have one row, are left
    to Adam. Unlike in the paper, a kernel does not have eigenvectors for each of its
    axes, and the first step is Adam's, instead of one that only finds eigenvectors.

    Args:
        learning_rate: A float or a `keras.optimizers.schedules.LearningRateSchedule`.
        beta_1: Decay of the averaged gradients.
        beta_2: Decay of the averages of their squares and products.
        epsilon: Is added to the root of the squares.
        precondition_frequency: Steps from one power iteration to the next.
        max_precond_dim: The most rows or columns that are turned. A step's time and
            memory grow with their square, a power iteration's time with the cube.
        name: Name of the optimizer.
        **kwargs: What every Keras optimizer takes.

    Raises:
        ValueError: If `precondition_frequency` is below 1.

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
        if precondition_frequency < 1:
            raise ValueError(
                "`precondition_frequency` must be at least 1."
                f" Received: {precondition_frequency}"
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
        # of each variable two, for its rows and its columns, or None
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
        square += (1 - self.beta_2) * (ops.square(_turn(gradient, bases)) - square)
        mean = _turn(average, bases) / (1 - ops.power(self.beta_1, step))
        deviation = ops.sqrt(square / (1 - ops.power(self.beta_2, step)))
        change = _turn_back(mean / (deviation + self.epsilon), bases)
        change *= ops.cast(learning_rate, dtype)

        self.assign(momentum, ops.reshape(average, variable.shape))
        self.assign_sub(variable, ops.reshape(change, variable.shape))
        for axis, other in enumerate((gradient, ops.transpose(gradient))):
            product, basis = products[axis], bases[axis]
            if product is None:
                continue
            latest = ops.matmul(other, ops.transpose(other))
            self.assign_add(product, (1 - self.beta_2) * (latest - product))
            new_basis, square = ops.cond(
                ops.equal(self.iterations % self.precondition_frequency, 0),
                lambda p=product, b=basis, s=square, a=axis: _iterate(p, b, s, a),
                lambda b=basis, s=square: (ops.convert_to_tensor(b), s),
            )
            self.assign(basis, new_basis)
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
    """Returns the rows and columns of a variable: of all but kernels, one row."""
    sizes = tuple(variable.shape)
    columns = sizes[-1] if sizes else 1
    return math.prod(sizes) // columns, columns


def _turn(matrix, bases):
    rows, columns = bases
    if rows is not None:
        matrix = ops.matmul(ops.transpose(rows), matrix)
    if columns is not None:
        matrix = ops.matmul(matrix, columns)
    return matrix


def _turn_back(matrix, bases):
    rows, columns = bases
    return _turn(
        matrix,
        (
            None if rows is None else ops.transpose(rows),
            None if columns is None else ops.transpose(columns),
        ),
    )


def _iterate(product, basis, square, axis):
    """Brings a basis nearer to the eigenvectors, those of the largest values first."""
    product, basis = ops.convert_to_tensor(product), ops.convert_to_tensor(basis)
    image = ops.matmul(product, basis)
    order = ops.flip(ops.argsort(ops.sum(basis * image, axis=0)))
    basis, _ = ops.qr(ops.take(image, order, axis=1))
    return basis, ops.take(square, order, axis=axis)
