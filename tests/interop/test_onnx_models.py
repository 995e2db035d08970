"""Graphs of the other recognisers against JAX, at several batch sizes."""

import numpy as np
import pytest
from onnx_testing import ABINET, CTC, config, images, jax_probabilities, random_variables, session

from jstr.interop import onnx_models, onnx_ppocr
from jstr.messages import InputError
from jstr.models import abinet, abinet_vision, ppocr
from jstr.nn.lcnet import BlockSpec


def compare(name, model, atol, counts=(3, 1)):
    variables, pixels = random_variables(model), images(model, max(counts))
    expected = jax_probabilities(model, variables, pixels)
    assert expected.max(axis=-1).std() > 1e-3  # not all alike
    run = session(onnx_models.write(name, model, variables)["reader"]).run
    for count in counts:
        np.testing.assert_allclose(run(None, {"images": pixels[:count]})[0], expected[:count], atol=atol)
    return variables, run


def test_abinet():
    model = abinet.Model(
        config(ABINET, (16, 24), 3), iterations=2, width=1 / 16, blocks=(1,) * 5, num_layers=1, language_layers=1
    )
    compare("abinet", model, 2e-5)


def test_vision_with_additive_attention_on_grey_images():
    fields = dict(width=1 / 16, blocks=(1,) * 5, num_layers=1, attention="additive")
    compare("abinet_vision", abinet_vision.Model(config(ABINET, (16, 20)), **fields), 2e-5)


BLOCKS = {  # one of each kind, because compiling the published depths takes long
    "v6_small": (BlockSpec(96, attends=True), BlockSpec(192, stride=2), BlockSpec(64, stride=2)),
    "v6_tiny": (BlockSpec(48, attends=True), BlockSpec(64, stride=4)),
    "mobile": (BlockSpec(32, 2), BlockSpec(48, (2, 2), kernel=5, attends=True), BlockSpec(48, 2)),
}


@pytest.mark.parametrize("network", BLOCKS)
def test_ppocr(network, monkeypatch):
    for module in (ppocr, onnx_ppocr):
        monkeypatch.setattr(module, "NETWORKS", BLOCKS)
    model = ppocr.Model(config(CTC, (48, 64), 3), network=network, space_as_blank=network == "v6_small")
    variables, run = compare("ppocr", model, 2e-5, (2, 1))
    wide = images(ppocr.Model(config(CTC, (48, 100), 3)), 1)
    assert run(None, {"images": wide})[0].shape == (1, 12, 8)


def test_a_language_model_is_refused():
    with pytest.raises(InputError, match="abinet_language.*cannot be written as ONNX"):
        onnx_models.write("abinet_language", None, {})
