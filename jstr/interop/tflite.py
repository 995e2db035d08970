"""Networks as TFLite files: StableHLO by `jax.export`, converted by `litert-converter`, run by `ai-edge-litert`.

The batch is fixed, and LSTMs are unrolled, because litert-converter 0.5 refuses the loops of JAX's scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from jstr.interop.stablehlo import networks
from jstr.nn.platform import tracing_for
from jstr.text.messages import InputError

FILE, SIGNATURE, INPUT, OUTPUT = "reader.tflite", "serving_default", "images", "probabilities"


def write(folder: Path, model: Any, variables: Mapping[str, Any], batch: int) -> list[str]:
    """Writes `reader.tflite`, images uint8 [B, H, W, C] -> probabilities, whose leading 1s may be missing.

    Raises:
      InputError: the packages are not installed, an attention decoder, or a network that the converter refuses.
    """
    try:
        from litert_converter import converter_api_ext as converter
        from litert_converter.mlir import ir, passmanager
    except ImportError:
        raise InputError("--to=tflite needs the package litert-converter: pip install 'jstr[tflite]'") from None
    if model.autoregressive:
        raise InputError("--to=tflite: an attention decoder takes batches of any width, which TFLite cannot; use onnx")
    with tracing_for("tflite"):
        function, inputs = networks(model, variables, batch)["reader"]
        module = export.export(jax.jit(function), platforms=["cpu"])(*inputs.values()).mlir_module()
    context, config = ir.Context(), converter.ConvertToTFLConfig()
    converter.prepare_mlir_context(context)
    config.model_origin_framework = "JAX"
    try:
        with context:
            parsed = ir.Module.parse(module)
            converter.set_signature(parsed.operation, SIGNATURE, [INPUT], [OUTPUT])
            converter.run_convert_to_tfl_passes(parsed, passmanager.PassManager(), config)
            (folder / FILE).write_bytes(converter.export_flatbuffer_to_bytes(parsed.operation))
    except Exception as error:  # the converter's own kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise InputError(f"--to=tflite: litert-converter refuses this network ({reason})") from error
    return [FILE]


def load(file: Path, batch: int, classes: int) -> dict[str, Callable[..., Any]]:
    """The network by name; probabilities [batch, T, classes].

    Raises:
      InputError: ai-edge-litert is not installed, or cannot read the file.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise InputError("reading TFLite needs the package ai-edge-litert: pip install 'jstr[tflite]'") from None
    try:
        call = Interpreter(model_path=str(file)).get_signature_runner(SIGNATURE)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{file} cannot be read as TFLite: {str(error).splitlines()[0][:160]}") from error

    def run(images: np.ndarray) -> list[np.ndarray]:
        return [call(**{INPUT: images})[OUTPUT].reshape(batch, -1, classes)]

    return {"reader": run}
