"""Feature extractors: values of the published code, filled by rule, in float64."""

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
