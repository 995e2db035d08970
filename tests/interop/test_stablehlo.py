"""StableHLO networks, written for all platforms and run on this one, against JAX at several batch sizes."""

import jax
import numpy as np
import pytest
from onnx_testing import ABINET, ATTENTION, CTC, config, images, jax_probabilities, random_variables

from jstr.interop import stablehlo
from jstr.messages import InputError
from jstr.models import abinet_vision
from jstr.models.four_stage import Model


def written(folder, model, variables, batch=None):
    files = stablehlo.write(folder, model, variables, batch)
    assert len(files) % 3 == 0
    return stablehlo.load(folder, files), files


def test_ctc_with_rectified_images_and_fast_convolutions(tmp_path):
    model = Model(config(CTC), features="compact", transformation="tps", sequence="none", width=1 / 4, num_fiducials=6)
    variables, pixels = random_variables(model), images(model, 3)
    expected = jax_probabilities(model, variables, pixels)
    networks, files = written(tmp_path, model, variables)
    for count in (3, 1):
        np.testing.assert_allclose(networks["reader"](images=pixels[:count])[0], expected[:count], atol=2e-5)
    with pytest.raises(InputError, match="no network for cpu"):
        stablehlo.load(tmp_path, [name for name in files if "cpu" not in name])
    (tmp_path / files[0]).write_bytes(b"damaged")
    with pytest.raises(InputError, match="jax .* cannot read it"):
        stablehlo.load(tmp_path, files)


def test_steps_of_the_attention_decoder(tmp_path):
    model = Model(config(ATTENTION), features="vgg", sequence="none", prediction="attention", width=1 / 32)
    variables, pixels = random_variables(model), images(model, 2)
    expected = jax_probabilities(model, variables, pixels)
    networks, _ = written(tmp_path, model, variables)
    frames, memory = networks["reader"](images=pixels)
    tokens, state = np.zeros((2, 1), np.int64), [np.zeros((2, 1, 8), np.float32)] * 2
    for t in range(expected.shape[1]):
        inputs = dict(frames=frames, memory=memory, tokens=tokens, hidden=state[0], cell=state[1])
        found, *state = networks["step"](**inputs)
        np.testing.assert_allclose(found[:, 0], expected[:, t], atol=1e-5)
        tokens = found.argmax(axis=-1)


def test_a_fixed_batch(tmp_path):
    fields = dict(width=1 / 16, blocks=(1,) * 5, num_layers=1, attention="additive")
    model = abinet_vision.Model(config(ABINET, (16, 20)), **fields)
    files = stablehlo.write(tmp_path, model, random_variables(model), 2)
    exported = jax.export.deserialize(bytearray((tmp_path / files[0]).read_bytes()))
    assert exported.in_avals[0].shape == (2, 16, 20, 1) and exported.platforms == ("cpu",)
