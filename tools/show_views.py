"""A contact sheet of training views: each word, then its views, at the size that the model gets.

python tools/show_views.py --config=configs/NAME.py --out=views.png [--words=24] [--config.augment.where=device]
"""

from __future__ import annotations

import sys

import numpy as np
from absl import flags
from PIL import Image

from jstr.cli import cli, parse
from jstr.data.fields import BASE, BASE_SIZE
from jstr.data.images import ImageSpec
from jstr.data.pipeline import TrainData
from jstr.inference.reader import make_charset
from jstr.text.messages import InputError
from jstr.training.device_augmentation import device_views, draw_views
from jstr.visualize import view_sheet

MOST = 10_000  # words on a sheet

OUT = flags.DEFINE_string("out", "views.png", "the image to write")
WORDS = flags.DEFINE_integer("words", 24, "number of words to show")
STREAM = flags.DEFINE_string("stream", "", "stream to show; default: the first with views")


def samples(config, stream: str, count: int) -> tuple[list[dict], list[str]]:
    """The first `count` samples of a stream as training sees them, with `original` added; and the names to show.

    Raises:
      InputError: no such stream, or none with views.
    """
    with_views = [name for name, row in config.streams.items() if any(row.get("views", {}).values())]
    stream = stream or next(iter(with_views), "")
    if stream not in with_views:
        raise InputError(f"no views in stream {stream!r}; streams with views: {', '.join(with_views) or 'none'}")
    names, on_device = list(config.streams[stream].views), config.augment.where == "device"
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.streams, config.device_data = {stream: config.streams[stream]}, ()
        if not on_device:
            config.streams[stream].views.original = {}
    fields = (BASE, BASE_SIZE) if on_device else (*names, "original")
    data = TrainData(config, make_charset(config.charset), {stream: fields})
    for line in data.notes:
        print(line)
    found = [data.streams[stream][i] for i in range(count)]
    return _drawn(config, stream, found, names) if on_device else found, ["original", *names]


def _drawn(config, stream: str, found: list[dict], names: list[str]) -> list[dict]:
    """Samples of base images, with views made on the device; their random numbers are not those of training."""
    import jax

    views = device_views({stream: tuple(names)}, config)[stream]
    draw = jax.jit(lambda rows, key: draw_views(rows, views, names, ImageSpec.make(config.image), key))
    rows = {field: np.stack([sample[field] for sample in found]) for field in (BASE, BASE_SIZE)}
    drawn = jax.device_get(draw(rows, jax.random.PRNGKey(config.seed))) | {"original": rows[BASE]}
    return [{name: images[i] for name, images in drawn.items()} for i in range(len(found))]


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    if not 1 <= WORDS.value <= MOST:
        raise InputError(f"--words={WORDS.value}: give a number from 1 to {MOST:,}")
    shown, names = samples(config, STREAM.value, WORDS.value)
    try:
        Image.fromarray(view_sheet([[sample[name] for name in names] for sample in shown])).save(OUT.value)
    except (OSError, ValueError) as error:
        raise InputError(f"--out={OUT.value}: {error}") from error
    print(f"{OUT.value}: {', '.join(names)} of {len(shown)} words")


if __name__ == "__main__":
    cli(run)
