"""Feature extractors: values of the published code, filled by rule, in float64; ours, by what they promise."""

import jax
import numpy as np
import pytest
import torch_layout
from torch_layout import check, converted

from jstr.nn import features


@pytest.mark.parametrize(
    "extractor, frames, expected",
    [
        ("vgg", 24, (9.896860, 12.287768, [0, 0, 0], 0)),
        ("rcnn", 26, (9636.778169, 14582.931108, [6049.553372, 0, 9572.828783], 0)),
        ("resnet", 26, (333123.790295, 427398.911370, [275650.708275, 0, 0], 0)),
    ],
)
def test_extractor_values(double, extractor, frames, expected):
    result = converted("none", extractor, "none", "ctc", classes=37)
    variables = {"params": result.params["extractor"], "batch_stats": result.batch_stats["extractor"]}
    module = features.EXTRACTORS[extractor](512)
    out = module.apply(variables, torch_layout.signal(1, 32, 100, 1), train=False)
    assert out.shape == (1, 1, frames, 512)
    check(np.asarray(out).transpose(0, 3, 1, 2), *expected, rtol=1e-5)


def test_the_deeper_extractor_starts_as_the_shallower_one():
    """Its blocks have no effect until they learn; where the shallower one has none, they are the identity."""
    images = np.random.default_rng(0).uniform(-1, 1, (1, 32, 16, 1)).astype(np.float32)
    shallow, deep = features.EXTRACTORS["compact"](32), features.EXTRACTORS["compact_deeper"](32)
    start = shallow.init(jax.random.key(0), images, train=False)
    fresh = deep.init(jax.random.key(1), images, train=False)
    assert set(fresh["params"]) - set(start["params"]) == {"level0_1", "level1_2", "level2_2"}
    both = {name: fresh[name] | start[name] for name in fresh}
    expected = np.asarray(shallow.apply(start, images, train=False))
    assert expected.std() > 0.1
    np.testing.assert_array_equal(deep.apply(both, images, train=False), expected)
    # A step further the new blocks do something.
    block = both["params"]["level2_2"]["conv_1"]["norm"]
    block["scale"] = block["scale"] + 0.1
    assert np.abs(np.asarray(deep.apply(both, images, train=False)) - expected).max() > 1e-3
