"""Packs the newest checkpoint of a run into one small file: python tools/pack.py --workdir=DIR --out=FILE.npz

The file may stand wherever a workdir is read from: jstr.predict, jstr.evaluate, jstr.load, config.init_from.
With --workdir given several times it holds the average of the runs' weights, which may read better than each of them
and costs no more to read with (Wortsman et al., Model soups, ICML 2022). The runs must have begun with the same
weights, such as several seeds of a fine-tuning: the average of unrelated runs reads nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jstr.checkpoints import packed
from jstr.cli import Parser, cli, path
from jstr.inference import calibration
from jstr.inference.word_copy import words_to_pack
from jstr.interop import weights
from jstr.text.messages import InputError

KEPT = ("charset", "image", "model", "language_model", "pattern")  # what reading needs; no paths of data
SAME = ("charset", "image", "model")  # in runs that are averaged


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/pack.py", __doc__)
    parser.add_argument("--workdir", type=path, required=True, action="append", help="several: their average")
    parser.add_argument("--out", type=path, required=True, metavar="FILE.npz")
    parser.add_argument("--language_model", metavar="WORDS", help="replaces config.language_model.words")
    args = parser.parse_args(argv)
    if not args.out.endswith(packed.SUFFIX):
        raise InputError(f"--out={args.out}: the name must end with {packed.SUFFIX}")
    first, metas = args.workdir[0], [weights.read_meta(workdir) for workdir in args.workdir]
    meta, words = metas[0], words_to_pack(first, metas[0], args.language_model)
    params, model_state = average(args.workdir, metas)
    config = {name: meta["config"][name] for name in KEPT if meta["config"].get(name)}
    if args.language_model is not None:
        config["language_model"] = config.get("language_model", {}) | {"words": args.language_model}
    kept = {"step": meta["step"], "commit": meta.get("commit"), "config": config} | ({"words": words} if words else {})
    if len(metas) > 1:
        kept["averaged"] = [{"step": one["step"], "commit": one.get("commit")} for one in metas]
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    packed.save(args.out, params, model_state, kept)
    if len(metas) == 1 and (measured := calibration.file_of(first)).is_file():
        shutil.copyfile(measured, calibration.file_of(args.out))
    print(f"{args.out}: {Path(args.out).stat().st_size / 2**20:.1f} MB")


def average(workdirs: Sequence[str], metas: Sequence[dict]) -> tuple[Any, Any]:
    """(params of the recogniser, model_state), the mean of those of all workdirs. metas: of each.

    Raises:
      InputError: one reads other characters, or is another recogniser, than the first.
    """
    trees = []
    for workdir, meta in zip(workdirs, metas, strict=True):
        different = [name for name in SAME if meta["config"].get(name) != metas[0]["config"].get(name)]
        if different:
            raise InputError(
                f"{workdir} has another config.{different[0]} than {workdirs[0]}; only runs that began with the same "
                "weights can be averaged"
            )
        saved = weights.load_variables(workdir, meta["config"].get("eval_weights", "student"))
        trees.append(({"model": saved["params"]["model"]}, saved["model_state"]))
    return jax.tree.map(lambda *leaves: np.mean([np.asarray(x, np.float32) for x in leaves], 0), *trees)


if __name__ == "__main__":
    cli(run)
