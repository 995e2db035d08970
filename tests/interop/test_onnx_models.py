"""Every recogniser as ONNX and as StableHLO against JAX, at several batch sizes."""

import jax
import numpy as np
import pytest
from onnx_testing import ABINET, ATTENTION, CTC, config, images, jax_probabilities, random_variables, session
from testing import quick_jit

from jstr.interop import onnx_models, onnx_ppocr, stablehlo
from jstr.models import abinet, abinet_vision, four_stage, ppocr
from jstr.nn.lcnet import BlockSpec
from jstr.text.messages import InputError

BLOCKS = {  # one of each kind, because compiling the published depths takes long
    "v6_small": (BlockSpec(96, attends=True), BlockSpec(192, stride=2), BlockSpec(64, stride=2)),
    "v6_tiny": (BlockSpec(48, attends=True), BlockSpec(64, stride=4)),
    "mobile": (BlockSpec(32, 2), BlockSpec(48, (2, 2), kernel=5, attends=True), BlockSpec(48, 2)),
}
SMALL = dict(width=1 / 32, num_fiducials=6)
TRANSFORMER = dict(width=1 / 16, blocks=(1,) * 5, num_layers=1)
WORD, ROUND = config(CTC), config(ATTENTION)
RECOGNISERS = {
    "crnn": four_stage.Model(WORD, **SMALL, features="vgg"),
    "rcnn": four_stage.Model(WORD, **SMALL, features="rcnn", sequence="none"),
    "star_net": four_stage.Model(WORD, **SMALL, features="resnet", sequence="none", transformation="tps"),
    "compact": four_stage.Model(
        config(CTC, (33, 49)), **SMALL, features="compact", transformation="tps", projection="mlp"
    ),
    "compact_deeper": four_stage.Model(WORD, **SMALL, features="compact_deeper", sequence="none"),
    "trba": four_stage.Model(ROUND, **SMALL, features="resnet", transformation="tps", prediction="attention"),
    "one_hot": four_stage.Model(
        ROUND, **SMALL, features="vgg", sequence="none", prediction="attention", token_embedding="one_hot"
    ),
    "abinet": abinet.Model(config(ABINET, (16, 24), 3), **TRANSFORMER, iterations=2, language_layers=1),
    "abinet_vision": abinet_vision.Model(
        config(ABINET, (33, 24), 3), **TRANSFORMER, features="compact", feature_channels=32
    ),
    "additive, grey": abinet_vision.Model(config(ABINET, (16, 20)), **TRANSFORMER, attention="additive"),
    "v6_small": ppocr.Model(config(CTC, (48, 64), 3), network="v6_small", space_as_blank=True),
    "v6_tiny": ppocr.Model(config(CTC, (48, 64), 3), network="v6_tiny"),
    "mobile": ppocr.Model(config(CTC, (48, 64), 3), network="mobile"),
}


def probabilities(networks, pixels, expected):
    """[B, T, C]; an attention decoder is fed the tokens that are most probable by `expected`."""
    outputs = networks["reader"](images=pixels)
    if "step" not in networks:
        return outputs[0]
    frames, memory = outputs
    state = [np.zeros((len(pixels), 1, memory.shape[-1]), np.float32)] * 2
    tokens, found = np.zeros((len(pixels), 1), np.int64), []
    for t in range(expected.shape[1]):
        inputs = dict(frames=frames, memory=memory, tokens=tokens, hidden=state[0], cell=state[1])
        step, *state, attention = networks["step"](**inputs)
        assert attention.shape == (len(pixels), 1, frames.shape[1])
        np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-5)
        found.append(step[:, 0])
        tokens = expected[:, t].argmax(axis=-1)[:, None]
    return np.stack(found, axis=1)


def onnx_networks(name, model, variables):
    sessions = {stem: session(graph) for stem, graph in onnx_models.write(name, model, variables).items()}
    return {stem: lambda one=one, **inputs: one.run(None, inputs) for stem, one in sessions.items()}


def stablehlo_networks(folder, model, variables):
    def network(file):
        call = quick_jit(jax.export.deserialize(bytearray((folder / file).read_bytes())).call)

        def run(**inputs):
            outputs = call(*(x.astype(np.int32) if x.dtype == np.int64 else x for x in inputs.values()))
            return [np.asarray(x) for x in (outputs if isinstance(outputs, list | tuple) else [outputs])]

        return run

    files = stablehlo.write(folder, model, variables, None, ("cpu",))
    return {file.removesuffix("-cpu.stablehlo"): network(file) for file in files}


@pytest.mark.parametrize("name", RECOGNISERS)
def test_every_recogniser(name, tmp_path, monkeypatch):
    for module in (ppocr, onnx_ppocr):
        monkeypatch.setattr(module, "NETWORKS", BLOCKS)
    model = RECOGNISERS[name]
    variables, pixels = random_variables(model, gain=3.0), images(model, 3)
    expected = jax_probabilities(model, variables, pixels)
    assert expected.max(axis=-1).std() > 1e-3  # not all alike
    kind = model.__module__.rpartition(".")[2]
    for networks in (onnx_networks(kind, model, variables), stablehlo_networks(tmp_path, model, variables)):
        for count in (3, 1):
            found = probabilities(networks, pixels[:count], expected[:count])
            np.testing.assert_allclose(found, expected[:count], atol=2e-5)


def test_images_of_any_width(monkeypatch):
    for module in (ppocr, onnx_ppocr):
        monkeypatch.setattr(module, "NETWORKS", BLOCKS)
    model = ppocr.Model(config(CTC, (48, 100), 3), network="v6_tiny")
    for name, one, frames in (("ppocr", model, 12), ("four_stage", four_stage.Model(WORD, **SMALL), 24)):
        wide = images(type(one)(config(CTC, (one.model_config.image_size[0], 100), one.model_config.channels)), 1)
        run = session(onnx_models.write(name, one, random_variables(one))["reader"]).run
        assert run(None, {"images": wide})[0].shape == (1, frames, 8)


def test_a_fixed_batch_is_stated():
    model = four_stage.Model(WORD, features="vgg", sequence="none", **SMALL)
    run = session(onnx_models.write("four_stage", model, random_variables(model), 2)["reader"])
    assert run.get_inputs()[0].shape == [2, 32, "image_width", 1]
    with pytest.raises(Exception, match="index: 0 Got: 3 Expected: 2"):
        run.run(None, {"images": images(model, 3)})


def test_a_language_model_is_refused():
    with pytest.raises(InputError, match="abinet_language.*cannot be written as ONNX"):
        onnx_models.write("abinet_language", None, {})
