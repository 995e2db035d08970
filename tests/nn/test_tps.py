"""Rectification: values of the published code, filled by rule, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout
from torch_layout import check, converted

from jstr.nn import tps


def test_localization_values(double):
    result = converted("tps", "vgg", "none", "ctc", classes=37)
    params = result.params["rectifier"]["localization"]
    fc2 = {"kernel": 0.05 * params["fc2"]["kernel"], "bias": tps.initial_fiducials(20).reshape(-1)}
    variables = {"params": {**params, "fc2": fc2}, "batch_stats": result.batch_stats["rectifier"]["localization"]}
    out = tps.Localization(20).apply(variables, torch_layout.signal(1, 32, 100, 1), train=False)
    assert out.shape == (1, 20, 2)
    check(out, 0.000472, 0.622397, [-0.982712, -0.021201, -0.753017], 0.024260)


def test_spline_constants():
    inverse, basis = tps.inverse_system(20), tps.pixel_basis(20, 32, 100)
    assert np.abs(inverse).sum() == pytest.approx(818.050422, abs=1e-5)
    np.testing.assert_allclose(inverse[0, :3], [-0.795309, 0.746833, 0.096170], atol=1e-6)
    assert basis.sum() == pytest.approx(69408.330816, abs=1e-4)
    np.testing.assert_allclose(basis[0, :5], [1, -0.99, -0.96875, -0.003679, -0.070835], atol=1e-6)


def curved():
    x = np.linspace(-1, 1, 10)
    return np.stack([np.tile(x, 2), np.concatenate([-0.8 + 0.2 * x**2, 0.8 + 0.1 * x])], axis=1)


@pytest.mark.parametrize(
    "points, positions, mean, first",
    [
        (
            tps.initial_fiducials(20),
            [(-0.99, 0.010625), (0.99, -0.979375), (0.01, 0.010625), (0.99, -0.010625)],
            -0.003851,
            [0.022271, 0.159303, 0.296884],
        ),
        (
            curved(),
            [(-0.99, -0.582861), (0.99, -0.581306), (0.01, 0.023793), (0.99, 0.875464)],
            0.010171,
            [0.160902, 0.078363, -0.009561],
        ),
        (tps.fiducials(20), None, -0.003542, [0.411425, 0.419080, 0.426694]),
    ],
    ids=["initial", "curved", "identity"],
)
def test_spline_sampling(double, points, positions, mean, first):
    grid = tps.sampling_grid(jnp.asarray(points)[None], 32, 100)
    if positions is not None:
        np.testing.assert_allclose(grid.reshape(-1, 2)[jnp.array([0, 99, 1650, 3199])], positions, atol=1e-6)
    image = torch_layout.signal(1, 32, 100, 1)
    out = tps.bilinear_sample(jnp.asarray(image), grid)
    np.testing.assert_allclose(out.mean(), mean, atol=1e-6)
    np.testing.assert_allclose(out.reshape(-1)[:3], first, atol=1e-6)
    if mean == -0.003542:
        np.testing.assert_allclose(np.abs(out - image).max(), 0.468214, atol=1e-6)
    if mean == 0.010171:
        np.testing.assert_allclose([out.std(), out[0, 16, 50, 0]], [0.652804, -0.591263], atol=1e-6)


def test_sampling_repeats_the_border_without_gradient():
    image = jnp.arange(12.0).reshape(1, 3, 4, 1)
    grid = jnp.array([[[[-3.0, 0.0], [3.0, 0.0], [0.0, -9.0], [1.0, 1.0]]]])
    np.testing.assert_allclose(tps.bilinear_sample(image, grid).reshape(-1), [4, 7, 1.5, 11])
    gradient = jax.grad(lambda g: tps.bilinear_sample(image, g).sum())(grid)
    assert gradient[0, 0, 0, 0] == 0 and gradient[0, 0, 1, 0] == 0 and gradient[0, 0, 2, 1] == 0
    assert gradient[0, 0, 2, 0] != 0


def test_sampling_is_bilinear_everywhere():
    """Against the four neighbours of each position, taken one by one; a single row or column, too."""
    rng = np.random.default_rng(0)
    for height, width in ((5, 7), (1, 4), (3, 1)):
        image = rng.normal(size=(2, height, width, 3))
        grid = rng.uniform(-1.2, 1.2, (2, 4, 6, 2))
        x = np.clip((grid[..., 0] + 1) / 2 * (width - 1), 0, width - 1)
        y = np.clip((grid[..., 1] + 1) / 2 * (height - 1), 0, height - 1)
        rows, columns = np.arange(height), np.arange(width)
        weights = np.maximum(0, 1 - np.abs(y[..., None] - rows))[..., :, None]
        weights = weights * np.maximum(0, 1 - np.abs(x[..., None] - columns))[..., None, :]
        expected = np.einsum("bhwyx,byxc->bhwc", weights, image)
        got = tps.bilinear_sample(jnp.asarray(image, jnp.float32), jnp.asarray(grid, jnp.float32))
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_an_untrained_network_predicts_the_slanted_points():
    """Whatever the image: the last layer has no weights yet."""
    module = tps.Localization(6, channels=16)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 24, 1)), jnp.float32)
    variables = module.init(jax.random.key(0), images, train=False)
    found = module.apply(variables, images, train=False)
    np.testing.assert_array_equal(found, np.stack([tps.initial_fiducials(6).astype(np.float32)] * 2))


def test_the_grid_is_summed_term_by_term():
    """In float32, rounded after every product and every sum in the published order, bit by bit, as compiled."""
    points = (tps.fiducials(20) + np.random.default_rng(0).normal(size=(20, 2)) / 20).astype(np.float32)
    basis, system = (x.astype(np.float32) for x in tps.constants(20, 32, 100))

    def product(matrix, x):
        total = matrix[:, :1] * x[0]
        for k in range(1, len(x)):
            total = total + matrix[:, k : k + 1] * x[k]
        return total

    grid = jax.jit(lambda p: tps.sampling_grid(p, 32, 100))(jnp.asarray(points)[None])
    np.testing.assert_array_equal(grid.reshape(-1, 2), product(basis, product(system, points)))
