"""Words rendered on the fly, as a random-access source: labelled data without a file.

    python -m jstr.data.synth --out=sheet.png
    python -m jstr.data.synth --config=configs/NAME.py --out=sheet.png [--source=NAME]

show 100 of them, or of any other source, with their labels.
"""

from __future__ import annotations

import argparse
import importlib.util
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jstr.core import InputError
from jstr.data.images import ImageSpec
from jstr.data.synth_draw import Scene
from jstr.data.synth_fonts import BUNDLED, SUFFIXES, Fonts, font_files
from jstr.data.synth_ground import Photographs
from jstr.data.synth_style import Style
from jstr.data.synth_words import Writer
from jstr.text import Charset


class RenderedWords:
    """`size` rendered words. Element i is a pure function of (seed, i) and the options; use another seed to evaluate.

    seed: 0 or more.
    characters: what labels may hold, as a plain string. With one case only, pictures show both cases.
    fonts: None (the bundled ones), a folder, or a list of folders, files and "bundled".
    words: None ("english"), the name of a bundled list, a file of word[<TAB>log10 frequency] lines, or a list of words.
    height: of the pictures; their width is the natural one.
    backgrounds: a folder of photographs, of which a share of the words (Style.photographed) take crops.
    style: the random ranges. case_insensitive: None derives it from `characters`.

    Threads may share an instance, and it can be pickled.

    Raises:
      InputError: no fonts, a font that cannot be read, characters that no font has, words outside the charset.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        characters: str,
        *,
        max_length: int = 25,
        fonts: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
        words: str | os.PathLike | Sequence[str] | None = None,
        height: int = 32,
        style: Style | None = None,
        case_insensitive: bool | None = None,
        backgrounds: str | os.PathLike | None = None,
    ):
        if not 0 <= seed < 2**64 or size < 1 or max_length < 1 or height < 8:
            numbers = f"seed={seed}, size={size}, max_length={max_length}, height={height}"
            raise InputError(f"rendered words: {numbers}; need seed >= 0, size and max_length >= 1, height >= 8")
        self.seed, self.size, self.height = seed, size, height
        self.style = style or Style()
        self.path = f"rendered(seed={seed})"
        self._characters = characters
        self._writer = Writer(characters, max_length, self.style, words, case_insensitive)
        self._fonts = Fonts(font_files(fonts), self._writer.shown, not self._writer.case_insensitive)
        photographs = None if backgrounds is None else Photographs(backgrounds)
        self._scene = Scene(self._fonts, self.style, height, self._another, photographs)
        absent = [c for c in characters if not c.isspace() and not self._fonts.covering[c]]
        if absent or not characters.strip():
            fonts = f"none of the {len(self._fonts.paths)} fonts"
            raise InputError(
                f"rendered words: {fonts} has {''.join(absent[:40])!r} of the charset; give fonts that do, "
                "or a charset without them"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> dict:
        """dict(image uint8 [height, W, 3] RGB, label, key)."""
        i = operator.index(i)
        if not 0 <= i < self.size:
            raise IndexError(f"sample {i} of {self.size}")
        rng = self._rng(i)
        label, shown, able = self._word(rng)
        image = self._scene.render(rng, i, shown, able)
        return {"image": image, "label": label, "key": f"rendered-{i}"}

    @property
    def fonts(self) -> list[str]:
        """Paths of the font files."""
        return self._fonts.paths

    def labels(self) -> Iterator[str]:
        """All labels in order; draws no picture."""
        return (self._word(self._rng(i))[0] for i in range(self.size))

    def _rng(self, i: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, i))

    def _another(self, rng: np.random.Generator) -> tuple[str, int]:
        """Text and fonts of a word beside the labelled one."""
        return self._word(rng)[1:]

    def _word(self, rng: np.random.Generator) -> tuple[str, str, int]:
        """(label, shown text, fonts that have all its characters as bits): the first draws of an element."""
        for _ in range(100):
            drawn = self._writer.draw(rng)
            if drawn is not None and (able := self._fonts.able(drawn[1])):
                return *drawn, able
        # Fonts that share few characters, or words that never fit: one character always does.
        c = self._characters.strip()[rng.integers(len(self._characters.strip()))]
        return c, c, self._fonts.able(c)

    def __repr__(self) -> str:
        return (
            f"RenderedWords(seed={self.seed}, size={self.size}, {len(self._characters)} characters, "
            f"{len(self._fonts.paths)} fonts, {len(self._writer.words)} words)"
        )


def contact_sheet(samples: Iterable[dict], columns: int = 5, font=None, fonts: Sequence[str] = ()) -> np.ndarray:
    """Pictures with their labels below, uint8 [H, W, 3].

    font: a file, tried first for the labels; fonts: more of them. A label that no font has is shown by its code points.
    """
    samples = list(samples)
    if not samples:
        raise InputError("contact sheet: no samples to show")
    texts = [sample["label"] or "" for sample in samples]
    more = sorted(str(path) for path in BUNDLED.parent.glob("fonts_*/*") if path.suffix in SUFFIXES)
    paths = [*([str(font)] if font else []), str(BUNDLED / "Arimo-Regular.ttf"), *fonts, *more]
    faces = Fonts(paths, "".join(sorted(set("".join(texts)) - {" "})), case_sensitive=False)
    tiles = [_tile(sample["image"], text, faces) for sample, text in zip(samples, texts, strict=True)]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[r : r + columns], 1) for r in range(0, len(tiles), columns)]
    return np.concatenate(rows, 0)


def _tile(picture: np.ndarray, text: str, faces: Fonts) -> np.ndarray:
    height, width, below = 48, 240, 20
    tile = np.full((height + below + 4, width, 3), 255, np.uint8)
    h, w = picture.shape[:2]
    shape = (min(max(round(w * height / h), 1), width - 4), height)
    picture = cv2.resize(picture, shape, interpolation=cv2.INTER_LINEAR if h < height else cv2.INTER_AREA)
    tile[:height, 2 : 2 + shape[0]] = picture if picture.ndim == 3 else picture[:, :, None]
    able = faces.able(text.replace(" ", ""))
    if not able:
        text, able = text.encode("ascii", "backslashreplace").decode(), -1
    face = ImageFont.truetype(faces.paths[(able & -able).bit_length() - 1], 14)
    drawn = Image.fromarray(tile)
    ImageDraw.Draw(drawn).text((2, height + 1), text, fill=(0, 0, 0), font=face)
    return np.asarray(drawn)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a contact sheet of rendered words, of those of a config, or of any other source of labelled words."""
    parser = argparse.ArgumentParser(prog="python -m jstr.data.synth", description=main.__doc__)
    parser.add_argument("--out", required=True, help="the picture to write, e.g. sheet.png")
    parser.add_argument("--config", help="configs/NAME.py: shows the rendered words of its streams and evaluations")
    parser.add_argument("--source", help="one source of the config by its name, or the path of a data set")
    parser.add_argument("--seed", type=int, default=0, help="of the words, or of the choice from a data set")
    parser.add_argument("--characters", default="36", help="without --config: 36, 62, 94, file:PATH, or the characters")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--fonts", action="append", help='a folder, a file or "bundled"; may be given again')
    parser.add_argument("--words", help="a file of words, one per line")
    parser.add_argument("--backgrounds", help="a folder of photographs")
    options = parser.parse_args(arguments)
    try:
        if options.count < 1:
            raise InputError(f"--count={options.count}: show at least one")
        sources = _sources(options)
        each = max(options.count // len(sources), 1)
        samples = [sample for source in sources for sample in _some(source, each, options.seed)]
        fonts = [path for source in sources if isinstance(source, RenderedWords) for path in source.fonts]
        Image.fromarray(contact_sheet(samples, fonts=list(dict.fromkeys(fonts)))).save(options.out)
    except (InputError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: {len(samples)} of {', '.join(map(str, sources))}")
    return 0


def _sources(options: argparse.Namespace) -> list:
    """What the options ask to show."""
    from jstr.data.rows import open_row  # it imports this module

    if not options.config and not options.source:
        keys = ("fonts", "words", "backgrounds")
        given = {key: value for key in keys if (value := getattr(options, key))}
        charset = Charset.make(options.characters, "cr_ctc", 25)
        return [RenderedWords(options.seed, max(options.count, 1), charset.characters, **given)]
    if not options.config:
        return [open_row({"path": options.source}, Charset.make(options.characters, "cr_ctc", 25), "", True)]
    if options.fonts or options.words or options.backgrounds:
        raise InputError("--fonts, --words and --backgrounds go without --config, which says these itself")
    config = _config(options.config)
    charset, root = Charset.make(**config.charset), config.data_root
    streams = [row.sources for part in ("streams", "held_back") for row in config.get(part, {}).values()]
    rows = {name: row for group in [config.evals, *reversed(streams)] for name, row in group.items()}
    if options.source:
        row = rows.get(options.source, {"path": options.source})
        if options.source not in rows and not os.path.exists(options.source) and ":" not in options.source:
            raise InputError(f"--source={options.source} is no path, nor one of {options.config}: {', '.join(rows)}")
        return [open_row(row, charset, root if options.source in rows else "", row.get("labelled", True))]
    rendered = [open_row(row, charset, root, True) for row in rows.values() if "rendered" in row]
    if not rendered:
        raise InputError(f"{options.config} has no rendered words; name one of its sources: --source={'|'.join(rows)}")
    return rendered


def _config(spec: str):
    """The config of --config=FILE[:ARGUMENTS]."""
    path, _, argument = spec.partition(":")
    file = Path(path).resolve()
    if not file.is_file():
        raise InputError(f"--config={spec}: there is no such file")
    sys.path.insert(0, str(file.parents[1]))  # its `from configs import common` must work from any folder
    module_spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module.get_config(argument) if argument else module.get_config()


def _some(source, count: int, seed: int) -> Iterator[dict]:
    """`count` samples, decoded: the first rendered words, or a random choice from a data set."""
    n = min(count, len(source))
    chosen = range(n)
    if not isinstance(source, RenderedWords):
        chosen = sorted(np.random.default_rng(seed).permutation(len(source))[:n].tolist())
    spec, broken = ImageSpec((32, 100), 3), []
    for i in chosen:
        sample = source[i]
        image = spec.decode(sample["image"])
        if image is None:
            broken.append(sample["key"])
        else:
            yield sample | {"image": image}
    if broken:
        print(f"{len(broken)} broken images left out, the first is {broken[0]}", file=sys.stderr)


if __name__ == "__main__":
    from jstr.data.synth import main  # pickles and isinstance know the module by its name, not as __main__

    sys.exit(main())
