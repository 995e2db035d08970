"""Speed of greedy reading of a recogniser: python tools/bench_decode.py --config=configs/trba.py [--json=FILE]

Fresh weights, noise for pictures, on all cores or the first accelerator. One that writes character by character
is timed twice: told never to end a word, so that all steps are made, as the published code always does, and to end
all words at once. What lies between them is what stopping early can save. The decoder is also timed alone.
"""

import json
import sys
import time
from pathlib import Path

from absl import flags

from jstr.cli import cli, parse

BATCHES = flags.DEFINE_list("batches", "1,16,64", "pictures at a time")
SECONDS = flags.DEFINE_float("bench_seconds", 8.0, "time to spend on each figure", lower_bound=0.1)
JSON = flags.DEFINE_string("json", None, "write the figures there")


def told(variables: dict, model_config, ends: bool) -> dict:
    """The variables of an attention decoder that ends every word at once, or none."""
    params = dict(variables["params"])
    params["decoder"] = dict(params["decoder"])
    bias = params["decoder"]["classifier_bias"]
    params["decoder"]["classifier_bias"] = bias.at[model_config.eos_id].set(1e9 if ends else -1e9)
    return {**variables, "params": params}


def decoder_alone(reader, variables: dict):
    """The last stage, as a function of variables and frames, and another that makes frames for so many pictures."""
    import jax

    from jstr.models import example_input

    model, stop_id = reader.model, reader.model_config.eos_id
    shape = jax.eval_shape(lambda x: model.apply(variables, x, train=False), example_input(model))["frames"].shape
    decoder = model.attention_decoder(parent=None)

    @jax.jit
    def decode(variables, frames):
        return decoder.apply({"params": variables["params"]["decoder"]}, frames, stop_id=stop_id)["logits"]

    return decode, lambda size: jax.random.normal(jax.random.PRNGKey(0), (size, *shape[1:]))


def milliseconds(decode, variables, images) -> float:
    """The median time of a call."""
    import jax

    jax.block_until_ready(decode(variables, images))
    times, start = [], time.perf_counter()
    while not times or time.perf_counter() - start < SECONDS.value:
        begin = time.perf_counter()
        jax.block_until_ready(decode(variables, images))
        times.append(time.perf_counter() - begin)
    return 1000 * sorted(times)[len(times) // 2]


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    import jax

    from jstr.checkpoints import provenance
    from jstr.core import InputError
    from jstr.inference.reader import Reader

    try:
        sizes = [int(n) for n in BATCHES.value]
    except ValueError as error:
        raise InputError(f"--batches={','.join(BATCHES.value)}: give numbers, such as 1,16,64") from error
    reader = Reader(config.to_dict())
    model, key = reader.model, jax.random.PRNGKey(0)
    if model.reads_text:
        raise InputError(f"--config: {config.model.name} reads no images")

    def pictures(size):
        return jax.random.randint(key, (size, *reader.spec.size, reader.spec.channels), 0, 256).astype("uint8")

    variables = jax.jit(lambda: model.init(key, pictures(1), train=False))()
    decode = jax.jit(lambda variables, images: model.apply(variables, images, method="decode"))
    forms = {"": (decode, variables, pictures)}
    if "classifier_bias" in variables["params"].get("decoder", {}) and reader.model_config.eos_id is not None:
        endless, brief = (told(variables, reader.model_config, ends) for ends in (False, True))
        forms = {", all steps": (decode, endless, pictures), ", one step": (decode, brief, pictures)}
        alone, frames = decoder_alone(reader, variables)
        forms[", decoder alone, all steps"] = (alone, endless, frames)
    result = {"command": " ".join(sys.argv), "commit": provenance.commit(), "machine": provenance.machine(), "ms": {}}
    for size in sizes:
        for name, (call, weights, inputs) in forms.items():
            ms = result["ms"][f"batch {size}{name}"] = milliseconds(call, weights, inputs(size))
            print(f"batch {size:4}{name:26} {ms:9.1f} ms  {1000 * size / ms:9.1f} images/s", flush=True)
    if JSON.value:
        Path(JSON.value).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
