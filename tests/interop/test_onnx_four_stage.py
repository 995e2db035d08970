"""Graphs of four-stage recognisers against JAX, for every stage, at several batch sizes."""

import numpy as np
import onnx_testing
import pytest
from onnx_testing import ATTENTION, CTC, config, images, jax_probabilities, random_variables, session

from jstr.interop import onnx_four_stage
from jstr.interop.onnx_graph import Weights
from jstr.models.four_stage import Model

SMALL = dict(width=1 / 32, num_fiducials=6)
CASES = [
    dict(features="vgg", sequence="bilstm", transformation="none"),
    dict(features="rcnn", sequence="none", transformation="none"),
    dict(features="resnet", sequence="none", transformation="tps"),
    dict(features="compact", sequence="bilstm", transformation="tps", projection="mlp"),
]


def graphs(model, variables, **options):
    return onnx_four_stage.write(model, Weights(variables["params"], variables["batch_stats"]), **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['transformation']}-{case['features']}")
def test_ctc(case):
    size = (33, 49) if case["features"] == "compact" else (32, 48)
    model = Model(config(CTC, size), **SMALL, **case)
    variables, pixels = random_variables(model), images(model, 3)
    expected = jax_probabilities(model, variables, pixels)
    assert expected.max(axis=-1).std() > 1e-3  # not all alike
    run = session(graphs(model, variables)["reader"]).run
    for count in (3, 1):
        np.testing.assert_allclose(run(None, {"images": pixels[:count]})[0], expected[:count], atol=2e-5)


@pytest.mark.parametrize("embedding", ["learned", "one_hot"])
def test_attention_decoder(embedding):
    model = Model(config(ATTENTION), features="vgg", prediction="attention", token_embedding=embedding, **SMALL)
    variables, pixels = random_variables(model), images(model, 3)
    expected = jax_probabilities(model, variables, pixels)
    made = {name: session(graph) for name, graph in graphs(model, variables).items()}
    frames, memory = made["reader"].run(None, {"images": pixels})
    tokens, state = np.zeros((3, 1), np.int64), [np.zeros((3, 1, 8), np.float32)] * 2
    for t in range(expected.shape[1]):
        inputs = dict(frames=frames, memory=memory, tokens=tokens, hidden=state[0], cell=state[1])
        found, *state = made["step"].run(None, inputs)
        np.testing.assert_allclose(found[:, 0], expected[:, t], atol=1e-5)
        tokens = found.argmax(axis=-1)


def test_a_fixed_batch_is_stated():
    model = Model(config(CTC), features="vgg", sequence="none", **SMALL)
    run = session(graphs(model, random_variables(model), batch=2)["reader"])
    assert run.get_inputs()[0].shape == [2, 32, "image_width", 1]
    with pytest.raises(onnx_testing.runtime.capi.onnxruntime_pybind11_state.InvalidArgument):
        run.run(None, {"images": images(model, 3)})
