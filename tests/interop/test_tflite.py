"""TFLite files against JAX, where the converter is installed."""

import sys

import numpy as np
import pytest
from onnx_testing import ATTENTION, CTC, config, images, jax_probabilities, random_variables

from jstr.interop import tflite
from jstr.models.four_stage import Model
from jstr.text.messages import InputError

SMALL = dict(features="vgg", width=1 / 32)


def test_missing_packages(tmp_path, monkeypatch):
    for name in ("litert_converter", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install 'jstr\[tflite\]'"):
        tflite.write(tmp_path, None, {}, 1)
    with pytest.raises(InputError, match=r"pip install 'jstr\[tflite\]'"):
        tflite.load(tmp_path / "reader.tflite", 1, 8)


def test_ctc_with_lstms(tmp_path):
    pytest.importorskip("litert_converter", reason="not installed: pip install -e '.[tflite]'")
    pytest.importorskip("ai_edge_litert", reason="not installed: pip install -e '.[tflite]'")
    model = Model(config(CTC), **SMALL)
    variables, pixels = random_variables(model), images(model, 2)
    for batch in (1, 2):
        run = tflite.load(tmp_path / tflite.write(tmp_path, model, variables, batch)[0], batch, 8)["reader"]
        expected = jax_probabilities(model, variables, pixels[:batch])
        np.testing.assert_allclose(run(images=pixels[:batch])[0], expected, atol=1e-5)
    (tmp_path / "reader.tflite").write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read as TFLite"):
        tflite.load(tmp_path / "reader.tflite", 1, 8)
    attention = Model(config(ATTENTION), prediction="attention", **SMALL)
    with pytest.raises(InputError, match="use onnx"):
        tflite.write(tmp_path, attention, {}, 1)
