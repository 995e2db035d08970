"""Networks as StableHLO by `jax.export`, one file for each platform, which run without the code of the models.

Weights are part of the files. The networks and their names are those of jstr/interop/onnx_models.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from jstr.nn.attention_decoder import attention_step, classify, token_table
from jstr.nn.platform import tracing_for
from jstr.parallel.compiling import jit
from jstr.text.messages import InputError

PLATFORMS = {"cpu": "cpu", "cuda": "gpu", "tpu": "tpu"}  # as jax.export calls them, and as jstr.nn.platform does
SUFFIX = ".stablehlo"
CONVENTION = export.maximum_supported_calling_convention_version


def write(
    folder: Path, model: Any, variables: Mapping[str, Any], batch: int | None, platforms: Sequence[str] = (*PLATFORMS,)
) -> list[str]:
    """Writes NETWORK-PLATFORM.stablehlo for every platform; returns the names. batch: None: of any size."""
    files = []
    for platform in platforms:
        with tracing_for(PLATFORMS[platform]):
            for name, (function, inputs) in networks(model, variables, batch).items():
                exported = export.export(jax.jit(function), platforms=[platform])(*inputs.values())
                files.append(f"{name}-{platform}{SUFFIX}")
                (folder / files[-1]).write_bytes(exported.serialize())
    return files


def load(folder: Path, files: list[str]) -> dict[str, Callable[..., Any]]:
    """The networks by name, for the platform of this process. They take their inputs by name, in the order of `write`.

    Raises:
      InputError: none for this platform, or a file that this jax cannot read.
    """
    platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    ending = f"-{platform}{SUFFIX}"
    networks = {name.removesuffix(ending): _load(folder / name) for name in files if name.endswith(ending)}
    if not networks:
        raise InputError(f"{folder} has no network for {platform}; it has {', '.join(files)}")
    return networks


def _load(file: Path) -> Callable[..., Any]:
    try:
        call = jit(export.deserialize(bytearray(file.read_bytes())).call)
    except Exception as error:  # flatbuffers raises several kinds
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        raise InputError(f"{file}: jax {jax.__version__} cannot read it ({reason}); export again") from error

    def run(**inputs: Any) -> Any:
        outputs = jax.device_get(call(*inputs.values()))
        return outputs if isinstance(outputs, (list, tuple)) else [outputs]

    return run


def networks(model: Any, variables: Mapping[str, Any], batch: int | None) -> dict[str, tuple[Callable, dict]]:
    """Name -> (function, its inputs by name as shapes)."""
    config, variables = model.model_config, jax.tree.map(jnp.asarray, dict(variables))
    dims = export.symbolic_shape("batch, width")
    size, width = (batch or dims[0]), dims[1]
    images = {"images": jax.ShapeDtypeStruct((size, *config.image_size, config.channels), jnp.uint8)}
    if not model.autoregressive:

        def probabilities(images):
            return jax.nn.softmax(model.apply(variables, images, train=False)["logits"])

        return {"reader": (probabilities, images)}
    weights = variables["params"]["decoder"]

    def encode(images):
        frames = model.apply(variables, images, train=False, stop=True)["frames"].astype(jnp.float32)
        return frames, frames @ weights["memory_kernel"] + weights["query_bias"]

    def step(frames, memory, tokens, hidden, cell):
        advance = attention_step(frames, weights, memory)
        gates = token_table(weights, frames.shape[-1])[tokens]
        (hidden, cell), (*_, attention) = jax.vmap(advance, in_axes=1, out_axes=1)((hidden, cell), gates)
        logits = classify(hidden, weights["classifier_kernel"], weights["classifier_bias"])
        return jax.nn.softmax(logits), hidden, cell, attention

    example = jax.ShapeDtypeStruct((1, *config.image_size, config.channels), jnp.uint8)
    frames, memory = (x.shape[1:] for x in jax.eval_shape(encode, example))
    state = jax.ShapeDtypeStruct((size, width, memory[-1]), jnp.float32)
    inputs = {
        "frames": jax.ShapeDtypeStruct((size, *frames), jnp.float32),
        "memory": jax.ShapeDtypeStruct((size, *memory), jnp.float32),
        "tokens": jax.ShapeDtypeStruct((size, width), jnp.int32),
        "hidden": state,
        "cell": state,
    }
    return {"reader": (encode, images), "step": (step, inputs)}
