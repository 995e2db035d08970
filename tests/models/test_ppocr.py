"""PP-OCRv6 small: shapes, widths, the space that counts as blank, gradients. Published weights: tests/interop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import quick_jit

from jstr.core import ModelConfig
from jstr.models.ppocr import Model
from jstr.text.messages import InputError

CONFIG = ModelConfig((48, 64), channels=3, max_length=10, num_classes=7, first_id=1, pad_id=0)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def variables():
    return quick_jit(lambda key: Model(CONFIG).init(key, IMAGES, train=False))(jax.random.PRNGKey(0))


def test_shapes_of_every_width(variables):
    for width in (16, 64, 77):
        run = lambda v, x: Model(CONFIG).apply(v, x, train=False)  # noqa: E731
        outputs = jax.eval_shape(run, variables, jax.ShapeDtypeStruct((2, 48, width, 3), jnp.uint8))
        frames = (width + 3) // 4 // 2
        assert outputs["logits"].shape == (2, frames, 7) and outputs["logits"].dtype == jnp.float32
        assert outputs["frames"].shape == (2, frames, 120) and outputs["visual"].shape == (2, frames, 384)


def test_a_batch_is_read_as_its_images_are(variables):
    @quick_jit
    def both(v):
        return Model(CONFIG).apply(v, IMAGES, train=False), Model(CONFIG).apply(v, IMAGES, False, method="outputs")

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *both(variables))


def test_a_batch_of_open_size_is_traced(variables):
    shape = (*jax.export.symbolic_shape("batch"), 48, 64, 3)
    read = jax.jit(lambda x: Model(CONFIG).apply(variables, x, train=False)["logits"])
    exported = jax.export.export(read)(jax.ShapeDtypeStruct(shape, jnp.uint8))
    assert str(exported.out_avals[0].shape) == "(batch, 8, 7)"


def test_five_million_parameters_with_the_published_classes():
    config = ModelConfig((48, 320), 3, 25, 18710, first_id=1, pad_id=0)
    example = jax.ShapeDtypeStruct((1, 48, 320, 3), jnp.uint8)
    shapes = jax.eval_shape(lambda k, x: Model(config).init(k, x, train=False), jax.random.PRNGKey(0), example)
    assert round(sum(x.size for x in jax.tree.leaves(shapes["params"])) / 1e6, 2) == 5.27


def test_gradient_reaches_every_parameter(variables):
    def loss(params):
        outputs, _ = Model(CONFIG).apply(variables | {"params": params}, IMAGES, train=True, mutable=["batch_stats"])
        return (jax.nn.log_softmax(outputs["logits"]) ** 2).sum()

    gradients = quick_jit(jax.grad(loss))(variables["params"])
    assert all(np.any(g) and np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_a_space_that_counts_as_blank_adds_its_probability(variables):
    six = ModelConfig((48, 64), 3, 10, 6, first_id=1, pad_id=0)
    plain = Model(CONFIG).apply(variables, IMAGES, train=False)["logits"]
    merged = Model(six, space_as_blank=True).apply(variables, IMAGES, train=False)["logits"]
    all_of_them = jax.nn.softmax(plain)
    expected = jnp.concatenate([all_of_them[..., :1] + all_of_them[..., 6:], all_of_them[..., 1:6]], axis=-1)
    np.testing.assert_allclose(jax.nn.softmax(merged), expected, atol=1e-6)


def test_colours_are_read_as_bgr(variables):
    """The first kernel sees blue first: exchanging colours in image and kernel changes nothing."""
    params = jax.tree.map(lambda x: x, variables["params"])
    params["stem"]["halve_0"]["kernel"] = params["stem"]["halve_0"]["kernel"][:, :, ::-1]
    one = Model(CONFIG).apply(variables, IMAGES, train=False)["logits"]
    other = Model(CONFIG).apply(variables | {"params": params}, IMAGES[..., ::-1], train=False)["logits"]
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert not np.allclose(one, Model(CONFIG).apply(variables, IMAGES[..., ::-1], train=False)["logits"], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [(dict(channels=1), "RGB"), (dict(image_size=(32, 100)), "height 48"), (dict(bos_id=2, eos_id=3), "CTC")],
)
def test_configs_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        Model(ModelConfig(**vars(CONFIG) | change))
