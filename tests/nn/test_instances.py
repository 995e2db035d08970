"""From frames to the instances of a contrastive loss: windows, padding, projection heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.nn.instances import ProjectionHead, center_instances, frame_mask, map_frames

pool = jax.jit(map_frames, static_argnums=(2, 3))


def mapped(frames, mapping, size, valid=None):
    frames = jnp.asarray(frames, jnp.float32).reshape(1, -1, 1)
    mask = jnp.arange(frames.shape[1])[None] < (frames.shape[1] if valid is None else valid)
    instances, counts = pool(frames, mask, mapping, size)
    return np.asarray(instances[0, :, 0]), np.asarray(counts[0])


@pytest.mark.parametrize(
    "frames, mapping, size, expected",
    [
        (256, "window", 5, [25.5, 76.5, 127.5, 178.5, 229.5]),
        (26, "window", 5, [2.5, 7.5, 12.5, 17.5, 22.5]),
        (7, "window", 3, [1, 3, 5]),
        (26, "all", 5, [12.5]),
        (4, "frame", 5, [0, 1, 2, 3]),
        (3, "window", 5, [0, 0.5, 1, 1.5, 2]),
    ],
)
def test_pooling_oracles(frames, mapping, size, expected):
    values, counts = mapped(np.arange(frames), mapping, size)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert counts.all()


@pytest.mark.parametrize("mapping", ["all", "window", "frame"])
@pytest.mark.parametrize("valid", [1, 3, 4, 7, 12])
def test_padding_equals_a_shorter_word(mapping, valid):
    values, counts = mapped(np.arange(12) ** 2, mapping, 4, valid)
    shorter, _ = mapped(np.arange(valid) ** 2, mapping, 4)
    if mapping == "window":
        assert counts.all()
    np.testing.assert_allclose(values[counts], shorter, rtol=1e-6)


def test_frames_that_see_the_picture():
    mask = frame_mask(jnp.array([1.0, 0.5, 0.26, 0.001, 0.2]), 10)
    np.testing.assert_array_equal(mask.sum(axis=1), [10, 5, 3, 1, 2])
    assert np.all(np.diff(mask.astype(int), axis=1) <= 0), "padding comes last"


@pytest.mark.parametrize(
    "kind, count",
    [
        ("none", 0),
        ("linear", 262_656),
        ("mlp", 2 * 262_656),
        ("mlp_norm", 2 * 262_656 + 512),  # a scale and a bias for the hidden layer, instead of a bias alone
        ("bilstm", 4_727_296 - 2 * 4 * 512),  # one bias vector for each set of gates, where torch has two
    ],
)
def test_projection_heads(kind, count):
    head = ProjectionHead(kind)
    variables = jax.eval_shape(head.init, jax.random.PRNGKey(0), jnp.zeros((2, 7, 512)))
    assert sum(x.size for x in jax.tree.leaves(variables)) == count
    frames = jnp.ones((2, 7, 8))
    assert head.apply(head.init(jax.random.PRNGKey(0), frames), frames).shape == frames.shape


def test_normalised_head_counts_the_frames_of_its_mask_alone():
    rng = np.random.default_rng(0)
    frames, mask = rng.normal(size=(3, 7, 8)).astype(np.float32), np.arange(7) < np.array([[7], [4], [1]])
    head = ProjectionHead("mlp_norm")
    variables = jax.tree.map(lambda x: x + 0.1, head.init(jax.random.PRNGKey(0), frames))
    hidden, out = variables["params"]["hidden"], variables["params"]["linear"]
    x = frames @ np.asarray(hidden["dense"]["kernel"], np.float64)
    x = (x - x[mask].mean(0)) / np.sqrt(x[mask].var(0) + 1e-5) * hidden["scale"] + hidden["bias"]
    expected = np.maximum(x, 0) @ out["kernel"] + out["bias"]
    found = head.apply(variables, frames, mask)
    np.testing.assert_allclose(found[mask], expected[mask], rtol=1e-4, atol=1e-5)
    everything = head.apply(variables, frames)
    assert np.abs(everything - found)[mask].max() > 0.01, "without a mask all frames count"


def test_centred_instances_do_not_show_what_their_word_shares():
    frames = np.random.default_rng(0).normal(size=(3, 8, 4)).astype(np.float32)
    mask = np.arange(8) < np.array([[8], [5], [1]])
    shared = 100 * np.random.default_rng(1).normal(size=(3, 1, 4)).astype(np.float32)
    found, moved = center_instances(frames, mask), center_instances(frames + shared, mask)
    np.testing.assert_allclose(found, moved, atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found[1, :5], frames[1, :5] - frames[1, :5].mean(axis=0), atol=1e-6)
    assert not found[2].any() and not found[1, 5:].any()


def test_centring_leaves_no_rounding():
    """Where all windows of a short word share its frames, they are equal, and their differences are not contrasted."""
    instances = np.random.default_rng(0).normal(size=(1, 1, 16)).astype(np.float32) * 300 + np.float32(0.1)
    found = center_instances(jnp.asarray(np.tile(instances, (1, 5, 1))), jnp.ones((1, 5), bool))
    assert not found.any()
