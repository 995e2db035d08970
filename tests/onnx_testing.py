"""What the tests of ONNX writers share: recognisers with random weights, and what onnxruntime makes of their graphs."""

import jax
import numpy as np
import pytest
from testing import quick_jit

from jstr.core import ModelConfig
from jstr.models import example_input

pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[test]'")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[test]'")

CTC = dict(max_length=6, num_classes=8, first_id=1, pad_id=0)
ATTENTION = dict(max_length=5, num_classes=9, first_id=2, pad_id=0, bos_id=0, eos_id=1)
ABINET = dict(max_length=5, num_classes=8, first_id=1, pad_id=-1, bos_id=-1, eos_id=0)


def config(layout, size=(32, 48), channels=1):
    return ModelConfig(size, channels, **layout)


def random_variables(model, seed=0, gain=1.0):
    """Batch statistics that are not 0 and 1, and weights that spread the classes. gain: of the classifier's."""
    shapes = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.PRNGKey(0), example_input(model))
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        name, size = jax.tree_util.keystr(path), shape.shape
        if "'var'" in name or "'scale'" in name:
            return rng.uniform(0.5, 1.5, size).astype(np.float32)
        fan_in = np.prod(size[:-1]) if len(size) > 1 and "lstm" not in name else 8
        more = gain if "classifier" in name else 1.0
        return (rng.normal(size=size) * more * np.sqrt(1 / fan_in)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def images(model, count, seed=1):
    shape = (count, *model.model_config.image_size, model.model_config.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def session(graph):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def jax_probabilities(model, variables, pixels):
    return np.asarray(
        quick_jit(lambda v, x: jax.nn.softmax(model.apply(v, x, train=False)["logits"]))(variables, pixels)
    )
