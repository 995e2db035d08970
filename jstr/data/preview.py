"""Contact sheets of word images with their labels: the command `python -m jstr.data.synth`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from jstr.cli import Parser, path
from jstr.cli.config_file import load_config
from jstr.data.images import RGB
from jstr.data.source_config import EVAL_KEYS, SourceSpec, from_here, given_rows, parse_source
from jstr.data.sources.configured import open_images
from jstr.data.synth.fonts import label_faces
from jstr.data.synth.source import RenderedWords
from jstr.text import Charset
from jstr.text.messages import InputError
from jstr.visualize import one_line, word_sheet

MOST = 10_000  # words on a sheet: 500 MB of pixels


def contact_sheet(samples: Iterable[dict], columns: int = 5, font=None, fonts: Sequence[str] = ()) -> np.ndarray:
    """Images with their labels below, uint8 [H, W, 3].

    font: a file, tried first for the labels; fonts: more of them. A label that no font has is shown by its code points.

    Raises:
      InputError: no samples, or a font that cannot be read.
    """
    samples = list(samples)
    if not samples:
        raise InputError("contact sheet: no samples to show")
    labels = [one_line(sample["label"] or "") for sample in samples]
    texts, faces = label_faces(labels, [*([str(font)] if font else []), *fonts])
    return word_sheet([sample["image"] for sample in samples], texts, columns, faces=faces)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("python -m jstr.data.synth", run.__doc__)
    parser.add_argument("--out", type=path, required=True, help="the image to write, e.g. sheet.png")
    parser.add_argument("--config", help="NAME or FILE: shows the rendered words of its streams and evaluations")
    parser.add_argument("--source", help="one source of the config by its name, or the path of a data set")
    parser.add_argument("--seed", type=int, default=0, help="of the words, or of the choice from a data set")
    parser.add_argument("--characters", default="36", help="without --config: 36, 62, 94, file:PATH, or the characters")
    parser.add_argument("--count", type=int, default=100, help=f"words on the sheet, at most {MOST:,}")
    parser.add_argument("--fonts", action="append", type=path, help='a folder, a file or "bundled"; may be given again')
    parser.add_argument("--words", type=path, help="a file of words, one per line")
    parser.add_argument("--backgrounds", type=path, help="a folder of photographs")
    return parser.parse_args(argv)


def run(argv: Sequence[str] | None = None) -> None:
    """Writes a contact sheet of rendered words, of those of a config, or of any other source of labelled words."""
    options = _parse(argv)
    if not 1 <= options.count <= MOST or options.seed < 0:
        numbers = f"--count={options.count} --seed={options.seed}"
        raise InputError(f"{numbers}: give a count from 1 to {MOST:,} and a seed of 0 or more")
    sources = _sources(options)
    for source in sources:
        for note in getattr(source, "notes", []):
            print(f"{source.path}: {note}", file=sys.stderr)
    each = max(options.count // len(sources), 1)
    samples = [sample for source in sources for sample in _some(source, each, options.seed)]
    fonts = [path for source in sources if isinstance(source, RenderedWords) for path in source.fonts]
    image = Image.fromarray(contact_sheet(samples, fonts=list(dict.fromkeys(fonts))))
    try:
        image.save(options.out)
    except (OSError, ValueError) as error:
        raise InputError(f"--out={options.out}: {error}; give a name such as sheet.png") from error
    print(f"{options.out}: {len(samples)} of {', '.join(map(str, sources))}")


def _sources(options: argparse.Namespace) -> list:
    """The sources that the options name."""
    if not options.config and not options.source:
        keys = ("fonts", "words", "backgrounds")
        given = {key: value for key in keys if (value := getattr(options, key))}
        charset = Charset.make(options.characters, "cr_ctc", 25)
        return [RenderedWords(options.seed, max(options.count, 1), charset.characters, **given)]
    if not options.config:
        spec = SourceSpec("--source", options.source, "path", from_here(options.source))
        return [open_images(spec, Charset.make(options.characters, "cr_ctc", 25))]
    if options.fonts or options.words or options.backgrounds:
        raise InputError("--fonts, --words and --backgrounds go without --config, which states these itself")
    config = load_config(options.config)
    charset, root = Charset.make(**config.charset), config.data_root
    streams = [row.sources for part in ("streams", "held_back") for row in config.get(part, {}).values()]
    rows = {name: row for group in [config.evals, *reversed(streams)] for name, row in given_rows(group)}
    names = list(rows)
    if options.source:
        if options.source not in rows and not os.path.exists(options.source) and ":" not in options.source:
            raise InputError(
                f"--source={options.source} is neither a path nor one of {options.config}: {', '.join(rows)}"
            )
        if options.source not in rows:
            return [open_images(SourceSpec("--source", options.source, "path", from_here(options.source)), charset)]
        rows = {options.source: rows[options.source]}
    else:
        rows = {name: row for name, row in rows.items() if "rendered" in row}
    specs = [parse_source(f"source {name}", name, row, root, EVAL_KEYS) for name, row in rows.items()]
    rendered = [open_images(spec, charset) for spec in specs]
    if not rendered:
        raise InputError(f"{options.config} has no rendered words; name one of its sources: --source={'|'.join(names)}")
    return rendered


def _some(source, count: int, seed: int) -> Iterator[dict]:
    """`count` samples, decoded: the first rendered words, or a random choice from a data set."""
    n = min(count, len(source))
    chosen = range(n)
    if not isinstance(source, RenderedWords):
        chosen = sorted(np.random.default_rng(seed).permutation(len(source))[:n].tolist())
    broken = []
    for i in chosen:
        sample = source[i]
        image = RGB.decode(sample["image"])
        if image is None:
            broken.append(sample["key"])
        else:
            yield sample | {"image": RGB.shrink(image)}
    if broken:
        print(f"{len(broken)} broken images left out, the first is {broken[0]}", file=sys.stderr)
