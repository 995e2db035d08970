"""Instances of words: padding has no part in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import quick_jit

from jstr.nn.instances import ProjectionHead
from jstr.objectives.parts.instances import Instances


@pytest.mark.parametrize("head", ["linear", "mlp_norm"])
def test_what_padding_holds_changes_no_instance(head):
    """Also where the head normalises over the batch."""
    rng = np.random.default_rng(0)
    frames, filled = rng.normal(size=(3, 8, 6)), jnp.array([0.5, 1.0, 0.25])
    other = frames + 9 * (np.arange(8) >= 8 * np.asarray(filled)[:, None])[..., None]
    params = {"projection": ProjectionHead(head).init(jax.random.PRNGKey(0), jnp.zeros((1, 2, 6)))["params"]}
    found = quick_jit(lambda x: Instances("frames", head, "window", 4)(params, {"frames": x}, filled))
    (first, mask), (second, _) = map(found, (frames, other))
    assert mask.all()
    np.testing.assert_allclose(first, second, atol=1e-5)
