"""Which module writes the ONNX graphs of which recogniser."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstr.interop import onnx_abinet, onnx_four_stage, onnx_ppocr
from jstr.interop.onnx_graph import BATCH, Weights
from jstr.text.messages import InputError

WRITERS = {
    "four_stage": onnx_four_stage.write,
    "ppocr": onnx_ppocr.write,
    "abinet": onnx_abinet.write,
    "abinet_vision": onnx_abinet.write,
}


def write(name: str, model: Any, variables: Mapping[str, Any], batch: int | str = BATCH) -> dict[str, Any]:
    """The graphs (onnx.ModelProto) of a recogniser by name: `reader` and, with an attention decoder, `step`.

    name: config.model.name. variables: {"params", "batch_stats"}.

    Raises:
      InputError: a recogniser that cannot be written, or the package onnx is not installed.
    """
    if name not in WRITERS:
        raise InputError(f"config.model.name={name!r} cannot be written as ONNX; {', '.join(WRITERS)} can")
    return WRITERS[name](model, Weights(variables["params"], variables.get("batch_stats", {})), batch)


def quantise(graph: Any, file: Path) -> None:
    """Writes a graph whose weights have 8 bits; activations are quantised as they come.

    Raises:
      InputError: onnxruntime is not installed.
    """
    try:
        from onnxruntime import quantization
    except ImportError:
        raise InputError("--quantise needs the package onnxruntime: pip install 'jstr[onnx]'") from None
    logging.disable(logging.WARNING)  # it advises a preparation that these graphs do not need
    try:
        kinds = dict(op_types_to_quantize=["Conv", "MatMul", "LSTM"], weight_type=quantization.QuantType.QUInt8)
        quantization.quantize_dynamic(graph, file, **kinds)
    finally:
        logging.disable(logging.NOTSET)
