"""Draws the results image of the README: python tools/plot_results.py [--out=configs/results/overview.png]

Above, word accuracy on three test sets, read from configs/results/*.json; below, sample images of tests/data/real_words
with what the bundled reader reads.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jstr.cli import Parser, cli, path
from jstr.messages import InputError

ROOT = Path(__file__).resolve().parents[1]
SETS = "IIIT5K", "SVT", "IC13"
SAMPLES = "iiit5k_2624_15.png", "svt_0249.jpg", "icdar2015_word_852.png"
SAMPLES += "icdar2003_003_09.jpg", "iiit5k_2192_3.png", "icdar2015_word_1415.png"
GREY, LIGHT, DARK = "#b8b8b8", ("#a9c8e8", "#4f8fcb"), ("#f2c48d", "#d9822b")


def load(name: str) -> dict[str, Any]:
    """A record of configs/results."""
    return json.loads((ROOT / "configs/results" / name).read_text())


def accuracies() -> dict[str, tuple[list[float], str]]:
    """Reader -> (word accuracy in percent for each of SETS, colour). IC13 of rendered-only readers is IC13_1015."""
    peers, priors = load("peers.json"), load("language_model.json")
    rendered = load("cr.json")["arms"]["source-long-ctc"]["seed 0"]["sets"]

    def row(found: dict, name: str) -> float:
        return found[name if name in found else f"{name}_1015"]["accuracy"]

    ours = {
        "jstr, rendered words only": (rendered, LIGHT[0]),
        "jstr, rendered words only, English prior": (priors["no_human_label"]["english"], LIGHT[1]),
        "jstr, + 7,610 real words": (load("reader.json")["sets"], DARK[0]),
        "jstr, + 7,610 real words, English prior": (priors["reader_of_the_package"]["english"], DARK[1]),
    }
    bars = {"Tesseract 5": ([peers["Tesseract 5"][name] for name in SETS], GREY)}
    bars |= {label: ([row(found, name) for name in SETS], colour) for label, (found, colour) in ours.items()}
    rapid = "RapidOCR, PP-OCRv4 mobile"
    return bars | {rapid: ([peers[rapid][name] for name in SETS], "#7d7d7d")}


def draw_bars(axes) -> None:
    """A group of bars for each set."""
    bars = accuracies()
    width = 0.85 / len(bars)
    for i, (label, (values, colour)) in enumerate(bars.items()):
        places = np.arange(len(SETS)) + (i - (len(bars) - 1) / 2) * width
        drawn = axes.bar(places, values, width * 0.92, label=label, color=colour)
        axes.bar_label(drawn, fmt="%.0f", fontsize=7, padding=1)
    axes.set_xticks(range(len(SETS)), SETS)
    axes.set(ylim=(0, 100), ylabel="words read correctly, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.03), ncols=3)


def draw_samples(cells, reader) -> None:
    """Sample images, each above its reading (green if right)."""
    import cv2

    folder = ROOT / "tests/data/real_words"
    with (folder / "labels.tsv").open(newline="") as file:
        labels = dict(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts, confidences = reader.read([str(folder / name) for name in SAMPLES])
    for axes, name, text, confidence in zip(cells, SAMPLES, texts, confidences, strict=True):
        axes.imshow(cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB), aspect="auto")
        axes.set_axis_off()
        right = text == labels[name].lower()
        axes.set_title(f"{text}  {confidence:.3f}", y=-0.48, fontsize=9, color="#1a7a2e" if right else "#b3261e")


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/plot_results.py", __doc__)
    parser.add_argument("--out", type=path, default=str(ROOT / "configs/results/overview.png"), metavar="FILE.png")
    args = parser.parse_args(argv)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("figures need matplotlib: pip install -e '.[plot]'") from None
    import jstr

    figure = Figure(figsize=(9, 4.9), dpi=100)
    margins = dict(left=0.07, right=0.99, top=0.87, bottom=0.1)
    top, bottom = figure.add_gridspec(2, 1, height_ratios=(4.6, 1), hspace=0.28, **margins)
    draw_bars(figure.add_subplot(top))
    draw_samples(bottom.subgridspec(1, len(SAMPLES), wspace=0.08).subplots().flat, jstr.load("bundled"))
    figure.savefig(pixels := io.BytesIO())
    Image.open(pixels).convert("RGB").quantize(192).save(args.out, optimize=True)  # a palette: half the size
    print(args.out)


if __name__ == "__main__":
    cli(run)
