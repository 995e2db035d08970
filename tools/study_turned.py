"""What --turn=auto reads and costs: python tools/study_turned.py WORDS [--count=100] [--json=FILE]

Reads words of a labelled source as they are, turned by 90, 180 and 270 degrees, and drawn as stacks of upright letters,
with turn="never" and turn="auto": accuracy, CPU time, and how many words are lost (right only without) and won.
"""

from __future__ import annotations

import time
from typing import Any

import measuring
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jstr.cli import Parser, cli, path

SIZE, SEED = 40, 27
LONGEST = 8  # letters of a stack


class Crops:
    """Images uint8 [h, w, 3] with labels, as a source."""

    notes = ()

    def __init__(self, name: str, images: list[np.ndarray], labels: list[str]):
        self.path, self._images, self._labels = name, images, labels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return dict(key=str(i), label=self._labels[i], image=self._images[i])


def stack(text: str, rng: np.random.Generator) -> np.ndarray:
    """Letters below each other in a plain face, in random colours, with noise: uint8 [h, w, 3]."""
    from jstr.data.synth.fonts import LATIN

    paper, ink = (rng.integers(*some, 3) for some in ((150, 256), (0, 100)))
    if rng.random() < 0.5:
        paper, ink = ink, paper
    font, step = ImageFont.truetype(LATIN, SIZE), int(SIZE * rng.uniform(1.0, 1.3))
    image = Image.new("RGB", (int(1.3 * SIZE), step * len(text) + SIZE // 4), tuple(paper.tolist()))
    draw = ImageDraw.Draw(image)
    for i, c in enumerate(text):
        draw.text((0.65 * SIZE, step * (i + 0.5)), c, font=font, fill=tuple(ink.tolist()), anchor="mm")
    noisy = np.asarray(image) + rng.normal(0, 6, (image.height, image.width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def measure(reader: Any, crops: Crops) -> dict[str, Any]:
    """Accuracy and CPU milliseconds a word, without and with turning."""
    from jstr.inference.read_source import read_source
    from jstr.text.metrics import PROTOCOLS

    prepare, found, rights = PROTOCOLS["alnum36"], {}, {}
    for turn in ("never", "auto", "never", "auto"):  # the first two compile
        start = time.process_time()
        texts = [r.answer.text for r in read_source(reader, crops, checked=True, turn=turn)]
        found[f"ms_{turn}"] = round(1000 * (time.process_time() - start) / len(crops), 2)
        rights[turn] = np.array([prepare(t) == prepare(crops[i]["label"]) for i, t in enumerate(texts)])
    accuracy = {turn: round(100 * float(some.mean()), 1) for turn, some in rights.items()}
    lost, won = (int((rights[a] & ~rights[b]).sum()) for a, b in (("never", "auto"), ("auto", "never")))
    cost = round(found["ms_auto"] / found["ms_never"], 2)
    return dict(words=len(crops)) | accuracy | dict(lost=lost, won=won, cost=cost) | found


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each kind of crop."""
    import jstr
    from jstr.data.images import RGB
    from jstr.data.sources.open import open_source

    parser = Parser("python tools/study_turned.py", __doc__)
    parser.add_argument("words", type=path)
    parser.add_argument("--workdir", type=path, default="bundled")
    parser.add_argument("--language_model", metavar="WORDS", default="english")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    reader, source = jstr.load(args.workdir, args.language_model), open_source(args.words)
    some = [source[i] for i in np.linspace(0, len(source) - 1, args.count).astype(int).tolist()]
    images, labels = [RGB.decode(s["image"]) for s in some], [s["label"] for s in some]
    rng, short = np.random.default_rng(SEED), [x for x in labels if 3 <= len(x) <= LONGEST and x.isalnum()]
    kinds = {"upright": Crops("upright", images, labels)}
    for k in (1, 2, 3):
        kinds[f"turned by {90 * k}"] = Crops(str(k), [np.rot90(image, k) for image in images], labels)
    kinds["stacks"] = Crops("stacks", [stack(x.upper(), rng) for x in short], short)
    result = measuring.record() | {"sets": {}}
    for name, crops in kinds.items():
        result["sets"][name] = row = measure(reader, crops)
        print(f"{name:14} {row}", flush=True)
    measuring.save_json(result, args.json)


if __name__ == "__main__":
    cli(run)
