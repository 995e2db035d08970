"""Draws the results image of the README: python tools/plot_results.py [--out=configs/results/overview.png]

Above, word accuracy on three test sets, and on handwriting after rounds of adaptation without labels, read from
configs/results/*.json; below, sample images of tests/data/real_words with what the bundled reader reads.
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
from jstr.text.messages import InputError

ROOT = Path(__file__).resolve().parents[1]
SETS = "IIIT5K", "SVT", "IC13"
ROUNDS = 4  # of the arms of handwriting.json
SAMPLES = "iiit5k_2624_15.png", "svt_0249.jpg", "icdar2015_word_852.png"
SAMPLES += "icdar2003_003_09.jpg", "iiit5k_2192_3.png", "icdar2015_word_1415.png"
GREY, DARK_GREY, BLUE, ORANGE, GREEN = "#c4c4c4", "#8a8a8a", "#4f8fcb", "#d9822b", "#3f9b57"


def load(name: str) -> dict[str, Any]:
    """A record of configs/results."""
    return json.loads((ROOT / "configs/results" / name).read_text())


def accuracies() -> dict[str, tuple[str, list[float], list[float] | None]]:
    """Reader -> (colour, word accuracy in percent for each of SETS, the same with English words, if it has them)."""
    peers, strong = load("peers.json"), load("ppocr.json")
    alone, taught = load("cr_long.json")["packed"]["supervised"], load("distill.json")["packed"]

    def row(found: dict) -> list[float]:
        return [found[name]["accuracy"] for name in SETS]

    def peer(name: str) -> list[float]:
        return [peers[name][name_of_set] for name_of_set in SETS]

    return {
        "Tesseract 5": (GREY, peer("Tesseract 5"), None),
        "RapidOCR, PP-OCRv4 mobile": (DARK_GREY, peer("RapidOCR, PP-OCRv4 mobile"), None),
        "jstr, rendered words only": (BLUE, row(alone["greedy"]), row(alone["with_english"])),
        "jstr, bundled reader": (ORANGE, row(taught["greedy"]), row(taught["with_english"])),
        "jstr, ppocrv6-small": (GREEN, row(strong["greedy"]), row(strong["with_english"])),
    }


def draw_bars(axes) -> None:
    """A group of bars for each set; what English words add stands on a bar, paler."""
    bars = accuracies()
    width = 0.85 / len(bars)
    for i, (label, (colour, greedy, english)) in enumerate(bars.items()):
        places = np.arange(len(SETS)) + (i - (len(bars) - 1) / 2) * width
        drawn = axes.bar(places, greedy, width * 0.92, label=label, color=colour)
        if english:
            added = np.subtract(english, greedy)
            drawn = axes.bar(places, added, width * 0.92, bottom=greedy, color=colour, alpha=0.45)
        axes.bar_label(drawn, [f"{value:.0f}" for value in english or greedy], fontsize=7, padding=1)
    axes.bar(0, 0, color=BLUE, alpha=0.45, label="paler: with English words")
    axes.set_xticks(range(len(SETS)), SETS)
    axes.set(ylim=(0, 100), ylabel="words read correctly, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7.5, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.03), ncols=3)


def draw_rounds(axes) -> None:
    """Handwriting, with English words, over the rounds of adaptation: a line for each run that measured it, the end of
    the others, greedy readings hollow; in grey the same training with true labels.
    """
    arms = load("handwriting.json")["arms"]
    greedy_before = arms["before"]["start"]["after"]["none"]["accuracy"]
    for arm, colour, label in (("labels-rounds", GREY, "true labels"), ("rounds", GREEN, "no label")):
        for run in arms[arm].values():
            steps = sorted(map(int, run.get("curve", {})))
            values = [run["curve"][str(step)] for step in steps]
            axes.plot(range(len(steps)), values, "-o", color=colour, markersize=4, label=label if steps else None)
            for number, value in enumerate(values if colour == GREEN else []):
                place = dict(xytext=(0, 5), textcoords="offset points", fontsize=7, ha="center")
                axes.annotate(f"{value:.1f}", (number, value), **place)
            axes.plot(ROUNDS, run["after"]["english"]["accuracy"], "o", color=colour, markersize=4)
            if colour == GREEN:
                axes.plot(
                    ROUNDS, run["after"]["none"]["accuracy"], "o", color=GREEN, markerfacecolor="white", markersize=4
                )
    axes.plot(0, greedy_before, "o", color=GREEN, markerfacecolor="white", markersize=4, label="no label, greedy")
    axes.set(ylim=(75, 100), xlabel="rounds of adaptation")
    axes.set_xticks(range(ROUNDS + 1))
    axes.set_title("18th-century handwriting,\nwith English words", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7.5, frameon=False, loc="lower right")


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
    top, bottom = figure.add_gridspec(2, 1, height_ratios=(4.6, 1), hspace=0.36, **margins)
    left, right = top.subgridspec(1, 2, width_ratios=(3, 1.25), wspace=0.14)
    draw_bars(figure.add_subplot(left))
    draw_rounds(figure.add_subplot(right))
    draw_samples(bottom.subgridspec(1, len(SAMPLES), wspace=0.08).subplots().flat, jstr.load("bundled"))
    figure.savefig(pixels := io.BytesIO())
    Image.open(pixels).convert("RGB").quantize(192).save(args.out, optimize=True)  # a palette: half the size
    print(args.out)


if __name__ == "__main__":
    cli(run)
