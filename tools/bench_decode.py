"""Speed of greedy reading of a recogniser: python tools/bench_decode.py --config=configs/trba.py [--json=FILE]

Random weights, noise as images, on all cores or the first accelerator. An attention decoder is timed twice: with
weights that never end a word, so that it runs all steps, as the published code always does, and with weights that end
every word at once. The difference is the most that stopping early can save. The decoder is also timed alone.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import measuring
from absl import flags

from jstr.cli import cli, parse

BATCHES = flags.DEFINE_list("batches", "1,16,64", "images at a time")
SECONDS = flags.DEFINE_float("bench_seconds", 8.0, "time to spend on each figure", lower_bound=0.1)
measuring.define_json()


def with_word_ends(variables: dict, model_config, ends: bool) -> dict:
    """The variables of an attention decoder, changed so that every word ends at once (`ends`) or never."""
    params = dict(variables["params"])
    params["decoder"] = dict(params["decoder"])
    bias = params["decoder"]["classifier_bias"]
    params["decoder"]["classifier_bias"] = bias.at[model_config.eos_id].set(1e9 if ends else -1e9)
    return {**variables, "params": params}


def decoder_alone(reader, variables: dict) -> tuple[Callable, Callable]:
    """The last stage, as a function of variables and frames, and a function that makes frames for a batch size."""
    import jax

    from jstr.models import example_input
    from jstr.parallel.compiling import jit

    model, stop_id = reader.model, reader.model_config.eos_id
    shape = jax.eval_shape(lambda x: model.apply(variables, x, train=False), example_input(model))["frames"].shape
    decoder = model.attention_decoder(parent=None)

    @jit
    def decode(variables, frames):
        return decoder.apply({"params": variables["params"]["decoder"]}, frames, stop_id=stop_id)["logits"]

    return decode, lambda size: jax.random.normal(jax.random.PRNGKey(0), (size, *shape[1:]))


def cases(reader) -> dict[str, tuple[Callable, dict, Callable]]:
    """Suffix of a row -> (jitted function, its variables, a function that makes its input for a batch size)."""
    import jax

    from jstr.parallel.compiling import jit

    model, key = reader.model, jax.random.PRNGKey(0)

    def images(size: int) -> Any:
        return jax.random.randint(key, (size, *reader.spec.size, reader.spec.channels), 0, 256).astype("uint8")

    variables = jax.jit(lambda: model.init(key, images(1), train=False))()
    decode = jit(lambda variables, images: model.apply(variables, images, method="decode"))
    if "classifier_bias" not in variables["params"].get("decoder", {}) or reader.model_config.eos_id is None:
        return {"": (decode, variables, images)}
    endless, brief = (with_word_ends(variables, reader.model_config, ends) for ends in (False, True))
    alone, frames = decoder_alone(reader, variables)
    rows = {", all steps": (decode, endless, images), ", one step": (decode, brief, images)}
    return rows | {", decoder alone, all steps": (alone, endless, frames)}


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    from jstr.inference.reader import Reader
    from jstr.text.messages import InputError

    measuring.check_json()
    sizes = measuring.numbers("batches", BATCHES.value, "1,16,64")
    reader = Reader(config.to_dict())
    if reader.model.reads_text:
        raise InputError(f"--config: {config.model.name} reads no images")
    rows, result = cases(reader), measuring.record() | {"ms": {}}
    for size in sizes:
        for name, (call, weights, inputs) in rows.items():
            ms = measuring.median_ms(functools.partial(call, weights, inputs(size)), SECONDS.value)
            result["ms"][f"batch {size}{name}"] = ms
            print(f"batch {size:4}{name:26} {ms:9.1f} ms  {1000 * size / ms:9.1f} images/s", flush=True)
    measuring.write_json(result)


if __name__ == "__main__":
    cli(run)
