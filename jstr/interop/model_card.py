"""The model card that lies beside an export: what it reads, what it was trained on, what was measured, the licence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jstr.text import Charset

RESEARCH = "for research only: the photographs it was trained on were published for research"
PRECISIONS = (0.9, 0.95, 0.98, 0.99)  # that the card has thresholds of
UNSTATED = "not stated; give --licence when you export"
HOW_TO = {
    "onnx": """Without JAX, with NumPy, OpenCV and onnxruntime (`pip install 'jstr[onnx]'`):

```python
from jstr import onnx_reader

texts, confidences = onnx_reader.load("{folder}").read(["a.png", "b.jpg"])
```

Another runtime feeds `reader.onnx` with `images`, uint8 {shape} as `reader.json` describes them, and gets
{outputs}. The graph is of opset 17. `onnx_reader.load(folder, providers=[...])` takes onnxruntime's execution
providers, which there are for CUDA, TensorRT and CoreML; TensorRT itself takes the file by
`trtexec --onnx=reader.onnx --minShapes=images:{least} --optShapes=images:{most} --maxShapes=images:{most}`.
None of these was tried.""",
    "stablehlo": """With jax and without this package's models:

```python
import jax

reader = jax.export.deserialize(open("{folder}/reader-cpu.stablehlo", "rb").read())
outputs = reader.call(images)  # uint8 {shape} -> {outputs}
```

or `jstr.export.load_stablehlo("{folder}").read(...)`, which also decodes texts. There is a file for each of cpu, cuda
and tpu. Written by jax {jax}, calling convention {convention}. JAX keeps such files readable for 6 months of later
releases, and for 3 weeks of earlier ones (its documentation of `jax.export`); export again after that.""",
    "tflite": """`reader.tflite` takes `images`, uint8 {shape} with B = {batch}, and gives probabilities
[B, T, C], whose leading 1s may be missing. `jstr.export.load_tflite("{folder}").read(...)`
(`pip install 'jstr[tflite]'`) also decodes texts.""",
    "safetensors": """`reader.safetensors` stands wherever jstr takes a workdir:

    jstr predict --workdir={folder}/reader.safetensors IMAGE

and in `config.init_from`. Tensors are float32, named by their path; the metadata `jstr` hold the config.""",
}


def training_sources(config: Mapping[str, Any]) -> list[str]:
    """The data that config.streams and config.init_from name, `stream/source: path` each; [] where nothing is known."""
    found = []
    for stream, row in (config.get("streams") or {}).items():
        for name, source in (row.get("sources") or {}).items():
            where = source.get("path") or next((kind for kind in ("rendered", "words") if source.get(kind)), "rendered")
            found.append(f"{stream}/{name}: {where}")
    return found + [f"weights of {row[1]}" for row in config.get("init_from") or ()]


def known_training(is_bundled: bool, model: str) -> list[str]:
    """The data of weights that no config of jstr describes."""
    if is_bundled:
        return [
            "words rendered by jstr",
            "the training parts of IIIT 5K-Word, Street View Text, ICDAR 2003 and ICDAR 2015, and Latin words of ICDAR "
            "2017 MLT, as PP-OCRv6 small reads them; no human label (scores: configs/results/distill.json of jstr)",
        ]
    return ["by PaddleOCR, whose documentation describes the data"] if model == "ppocr" else []


def known_licence(is_bundled: bool, model: str) -> str:
    """The licence of the weights, where jstr knows it."""
    if is_bundled:
        return RESEARCH
    return "Apache-2.0 (PaddleOCR) for the published weights it starts from" if model == "ppocr" else UNSTATED


def text(about: Mapping[str, Any], folder: str, measured: Iterable[str], **facts: Any) -> str:
    """The card as Markdown. about: what `reader.json` says. measured: lines of the comparison with JAX.

    facts: values of the placeholders in HOW_TO.
    """
    config, source = about["config"], about["source"]
    charset, image = Charset.make(**config["charset"]), config["image"]
    words = (config.get("language_model") or {}).get("words") or "none"
    height, width = image["size"]
    colours = "grey" if image["channels"] == 1 else "RGB"
    has_step = any(name.startswith("step") for name in about.get("files", {}))
    outputs = "`frames` and `memory` for `step`" if has_step else "`probabilities` [B, T, C]"
    shape = f"[B, {height}, {width}, {image['channels']}]"
    sizes = {name: f"{n}x{height}x{width}x{image['channels']}" for name, n in (("least", 1), ("most", 16))}
    fields = facts | sizes | {"folder": folder, "shape": shape, "batch": about["batch"], "outputs": outputs}
    trained = about["trained_on"] or ["not recorded in the file that was exported"]
    return "\n".join(
        [
            f"# Reader of single words, {config['model']['name']}",
            "",
            f"Exported by jstr {source['exported_by']} from {source['workdir']}, step {source['step']}, trained "
            f"by commit {source['commit'] or 'unknown'}.",
            "",
            "## What it reads",
            "",
            f"One horizontal word in an image, cropped: {colours}, {height}x{width} pixels. At most "
            f"{charset.max_length} of these {len(charset.characters):,} characters:",
            "",
            f"    {_shown(charset.characters)}",
            "",
            f"Expected words: {words}. Pattern: {_pattern(config.get('pattern'))}. Quantised: {about['quantised']}. "
            f"Batch: {about['batch'] or 'any size'}.",
            "",
            "## How to use it",
            "",
            HOW_TO[about["kind"]].format(**fields),
            "",
            "## Measured",
            "",
            "By the command that wrote this folder, against the same weights in JAX:",
            "",
            *(f"    {line}" for line in measured),
            "",
            *_scores(about.get("results")),
            *_confidences(about.get("calibration")),
            "## Trained on",
            "",
            *(f"- {line}" for line in trained),
            "",
            "## Licence of the weights",
            "",
            about["licence"],
            "",
        ]
    )


def _scores(results: Mapping[str, Any] | None) -> list[str]:
    """What the run measured when it ended."""
    rows = (results or {}).get("sets") or {}
    if not rows:
        return []
    header = ["By the run itself, at its end (step " + f"{results['step']}), word accuracy in per cent:", ""]
    table = ["| set | words | accuracy |", "| --- | ---: | ---: |"]
    return [*header, *table, *(f"| {n} | {r['words']:,} | {r['accuracy']:.1f} |" for n, r in rows.items()), ""]


def _pattern(pattern: Mapping[str, Any] | None) -> str:
    given = {key: value for key, value in (pattern or {}).items() if value and key != "none"}
    return ", ".join(f"{key} {value}" for key, value in given.items()) or "none"


def _confidences(known: Mapping[str, Any] | None) -> list[str]:
    """What a confidence is worth."""
    if known is None:
        return []
    on = known["about"]
    conditions = f"expected words: {on.get('language_model') or 'as exported'}, pattern: {on.get('pattern') or 'none'}"
    rows = []
    for precision in PRECISIONS:
        least = min((c for c, promised in known["promises"] if promised >= precision), default=None)
        rows.append(f"| {precision} | {'none' if least is None else format(least, '.4f')} |")
    return [
        "## What a confidence is worth",
        "",
        f"Measured by `jstr calibrate` on {on['data']} ({conditions}), on words like these only:",
        "",
        "| share of words that are right, at least | confidence from |",
        "| ---: | ---: |",
        *rows,
        "",
        "`reader.threshold(0.99)` gives that of another share.",
        "",
    ]


def _shown(characters: str) -> str:
    return characters if len(characters) <= 200 else f"{characters[:200]}... ({len(characters):,} in all)"
