"""LSTMs: values of the published code, filled by rule, in float64."""

import torch_layout
from torch_layout import check, converted

from jstr.nn import rnn


def test_bilstm_values(double):
    params = converted("none", "vgg", "bilstm", "ctc", classes=37).params["sequence_0"]
    out = rnn.BiLSTMBlock(256).apply({"params": params}, torch_layout.signal(1, 26, 512))
    assert out.shape == (1, 26, 256)
    check(out, -0.000017, 0.007093, [0.010372, 0.005882, -0.003608], -0.008615)
