"""The folder that `jstr export` writes: networks, words and what `reader.json` says of them.

args: the options of the command (jstr/export.py): to, batch, quantise, words, calibration, licence.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jstr.checkpoints import safetensors_file
from jstr.checkpoints.provenance import commit
from jstr.inference import calibration
from jstr.inference.exported_reader import ABOUT, FORMAT, WORDS, checksum
from jstr.inference.reader import Reader
from jstr.inference.word_copy import words_to_pack
from jstr.interop import model_card, onnx_models, stablehlo, tflite, weights
from jstr.text import self_contained
from jstr.text.messages import InputError

KEPT = ("charset", "image", "model", "language_model", "pattern")  # of the config: what reading needs
ONNX, PART = ".onnx", ".part"
RESULTS = "results.json"


def about(reader: Reader, where: str, args: Namespace) -> dict[str, Any]:
    """What `reader.json` says, without the checksums."""
    meta = weights.read_meta(where)
    config = {name: meta["config"][name] for name in KEPT if meta["config"].get(name)}
    config["charset"] = self_contained(config["charset"])
    if args.to in ("stablehlo", "tflite"):  # whose networks take images of one width
        config["image"] = {key: value for key, value in config["image"].items() if key != "widths"}
    published = where == weights.BUNDLED, config["model"]["name"]
    pattern = reader.rules.pattern
    config["pattern"] = None if pattern is None else asdict(pattern.spec)
    if args.words is not None:
        config["language_model"] = (config.get("language_model") or {}) | {"words": args.words}
    return {
        "format": FORMAT,
        "kind": args.to,
        "quantised": args.quantise,
        "batch": args.batch,
        "frames": reader.frame_count,
        "config": config,
        "calibration": promises(reader, where, args),
        "source": {
            "workdir": where,
            "step": meta.get("step"),
            "commit": meta.get("commit"),
            "exported_by": commit(),
        },
        "trained_on": model_card.training_sources(meta["config"]) or model_card.known_training(*published),
        "results": results(where),
        "licence": args.licence or model_card.known_licence(*published),
    }


def results(where: str) -> dict[str, Any] | None:
    """What a run measured when it ended; None where nothing is known."""
    try:
        found = json.loads((Path(where) / RESULTS).read_text(encoding="utf-8"))
        return {name: found[name] for name in ("step", "sets")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def promises(reader: Reader, where: str, args: Namespace) -> dict[str, Any] | None:
    """Thresholds of the calibration of what is exported, and what they were measured on; None without one.

    Says on stderr why it does not hold for this export.

    Raises:
      InputError: --calibration is no calibration.
    """
    file = Path(args.calibration) if args.calibration else calibration.file_of(where)
    if not args.calibration and not (os.path.exists(where) and file.is_file()):
        return None
    if args.quantise != "none":
        print(f"{file}: not exported: quantised weights have other confidences", file=sys.stderr)
        return None
    found = calibration.read(file)
    for line in calibration.differences(found.about, calibration.expected_texts(reader)):
        print(f"{file}: {line}", file=sys.stderr)
    return {"about": dict(found.about), "promises": found.promises()}


def write_parameters(file: Path, reader: Reader, where: str, description: Mapping[str, Any], args: Namespace) -> None:
    """Writes a safetensors file, whose metadata are those of a packed file, licence and origin."""
    meta = {name: description[name] for name in ("config", "trained_on", "licence", "source")}
    meta |= {"step": reader.step, "commit": description["source"]["commit"]}
    if words := words_to_pack(where, weights.read_meta(where), args.words):
        meta["words"] = words
    state = {name: values for name, values in reader.variables.items() if name != "params"}
    safetensors_file.save(file, {"model": reader.variables["params"]}, state, meta)


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A context with an empty folder, whose files stand in `folder` at the end; an earlier export stays until then.

    A `folder` that did not exist before is removed after an error.

    Raises:
      InputError: `folder` holds other files than those of an export.
    """
    there = list(folder.iterdir()) if folder.is_dir() else []
    ours = {ONNX, ".stablehlo", ".tflite", ".safetensors", PART}
    known = [p for p in there if p.suffix in ours or p.name in (ABOUT, WORDS, "README.md")]
    if len(known) < len(there) or (there and not any(p.suffix in ours for p in there)):
        raise InputError(f"--out={folder} holds other files; give a folder that is empty or does not exist")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(PART, dir=folder) as part:
            yield Path(part)
            for file in known:
                file.unlink() if file.is_file() else shutil.rmtree(file)
            for file in Path(part).iterdir():
                os.replace(file, folder / file.name)
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def write_networks(folder: Path, reader: Reader, args: Namespace) -> list[str]:
    """Writes the network; returns the names of its files."""
    name = reader.model.__module__.rpartition(".")[2]
    if args.to == "stablehlo":
        return stablehlo.write(folder, reader.model, reader.variables, args.batch)
    if args.to == "tflite":
        return tflite.write(folder, reader.model, reader.variables, args.batch)
    graphs = onnx_models.write(name, reader.model, reader.variables, args.batch or onnx_models.BATCH)
    files = []
    for stem, graph in graphs.items():
        file = folder / f"{stem}{ONNX}"
        if args.quantise == "none":
            file.write_bytes(graph.SerializeToString())
        else:
            onnx_models.quantise(graph, file)
        files.append(file.name)
    return files


def write_reader(folder: Path, description: dict[str, Any], reader: Reader, files: list[str]) -> None:
    """Writes words.npz, if there is a prior over texts, and reader.json."""
    if reader.prior is not None:
        np.savez_compressed(folder / WORDS, **reader.prior.arrays)
        files = [*files, WORDS]
    description["files"] = {name: checksum(folder / name) for name in files}
    (folder / ABOUT).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sizes(folder: Path) -> list[str]:
    return [f"{p}: {p.stat().st_size / 1e6:.1f} MB" for p in sorted(folder.iterdir()) if p.stat().st_size > 1e5]
