"""What adaptation brings to a domain: python tools/study_domains.py --images=PATH --test=PATH --out=runs/NAME

Adapts a reader to labelled word images of a domain and measures it on others, greedily and with English words. Labels
are read to measure, and in the arms that say so. --images may be given several times; without --test every second image
is kept for it. Arms, all but the first a run of configs/adapt.py in OUT/seedN:

    before         the start, as it is
    once           as it comes
    rounds         in four rounds
    words          the same, and only readings that are English words become labels
    corrected-50   once, with the 50 images corrected that `once` read least surely; also corrected-200
    labels         all true labels but those of the held-back tenth, for the steps of `once`
    labels-rounds  the same for the steps of `rounds`: the upper bound

An interrupted arm continues, and a finished one is not run again. What follows `--` is passed to every arm, such as
`--config.test=PATH --config.eval_every=300`: then the JSON has the accuracy after each round, with English words. A
JSON file that is there gets the new arms and seeds beside those that it has.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from study import Arm, result, seeds_of, train
from study_codes import comparable, measure, zeros

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError, check_choice

BEFORE = "before"
ARMS: dict[str, tuple[str, ...]] = {
    "once": ("",),
    "rounds": (",rounds=4",),
    "words": (",rounds=4", "--config.lexicon=english"),
    "corrected-50": ("",),
    "corrected-200": ("",),
    "labels": ("",),
    "labels-rounds": (",rounds=4",),
}
UNREADABLE = "###"
WORDS = ("none", "english")
HELD_BACK = 0.1  # the share that configs/adapt.py holds back


def unpack(paths: Sequence[str], test: str | None, out: Path, count: int = 0) -> tuple[Path, Path, dict]:
    """(folder of the images without labels, test set, label by file of that folder). Both folders lie in `out`.

    count: as many of the images without labels are kept, evenly; 0: all.
    """
    from jstr.data.sources.open import open_source

    folder, other = out / "words", out / "test"
    labels: dict[str, str | None] = {}
    kept: dict[str, str | None] = {}
    for number, one in enumerate(paths):
        source = open_source(one)
        for i in range(len(source)):
            sample = source[i]
            name = f"{number}_{sample['key'].replace('/', '_')}"
            name += "" if Path(name).suffix else ".png"  # keys of an LMDB; an image is what its bytes say
            while name in labels or name in kept:  # of the keys a/b and a_b
                name = f"_{name}"
            to_test = test is None and i % 2
            (kept if to_test else labels)[name] = sample["label"]
            file = (other if to_test else folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(sample["image"] or b"")
    if kept:
        write_labels(other / "labels.tsv", kept)
    names = list(labels)
    if not 0 <= count <= len(names):
        raise InputError(f"--count={count}: there are {len(names)} images; 0, the default: all of them")
    chosen = {names[i] for i in np.linspace(0, len(names) - 1, count).round().astype(int)} if count else set(names)
    for name in labels.keys() - chosen:
        (folder / name).unlink()
        del labels[name]
    return folder, Path(test) if test else other, labels


def write_labels(file: Path, labels: Mapping[str, str | None]) -> None:
    """A label file, with a path and a label on each line; None is written as the mark of an unreadable word."""
    rows = ((name, UNREADABLE if label is None else label) for name, label in labels.items())
    file.write_text("".join(f"{name}\t{label}\n" for name, label in rows), encoding="utf-8")


def corrected(arm: str, root: Path, folder: Path, labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """File -> label of the images that an arm has true labels of."""
    from jstr.data.source_config import Share
    from jstr.data.sources.open import open_source
    from jstr.inference.review_input import find_words

    if arm.startswith("corrected"):
        least_sure = find_words(str(root / "once"), str(folder)).words[: int(arm.split("-")[1])]
        return {name: labels[name] for name in (Path(word.file).name for word in least_sure)}
    if not arm.startswith("labels"):
        return {}
    keys = list(open_source(str(folder), labelled=False).keys())
    held_back = set(Share(HELD_BACK, 1 - HELD_BACK).choose(np.arange(len(keys)), len(keys)).tolist())
    return {key: labels[key] for i, key in enumerate(keys) if i not in held_back}


def run_arm(
    name: str, start: str, root: Path, seed: int, folder: Path, given: Mapping[str, str | None], more: list[str]
) -> dict[str, Any]:
    """The results of an arm, which is trained unless it is finished. given: its true labels."""
    if found := result(root / name):
        return found
    argument, *options = ARMS[name]
    if given:
        root.mkdir(parents=True, exist_ok=True)
        file = root / f"{name}.tsv"
        write_labels(file, {str((folder / key).absolute()): label for key, label in given.items()})
        options.append(f"--config.labels={file.absolute()}")
    options = [f"--config=configs/adapt.py:start={start}{argument}", f"--config.images={folder.absolute()}", *options]
    return train(Arm(name, [*options, "--config.outlook=0"]), root, seed, more)


def curve(workdir: Path) -> dict[str, Any]:
    """Where a run measured config.test: the accuracy in percent by step."""
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    found = {row["step"]: row["test/accuracy"] for row in rows if "test/accuracy" in row}
    return {"curve": found} if found else {}


def scores(workdir: str, test: Path, args: Namespace) -> dict[str, Any]:
    """Words expected -> accuracy, Brier score and confidence."""
    import jstr
    from jstr.data.sources.open import open_source

    fold = zeros if args.zeros else comparable
    return {words: measure(jstr.load(workdir, words), open_source(str(test)), fold) for words in WORDS}


def parse(argv: list[str]) -> Namespace:
    parser = Parser("python tools/study_domains.py", __doc__)
    parser.add_argument("--images", type=path, action="append", required=True, metavar="PATH")
    parser.add_argument("--test", type=path, metavar="PATH")
    parser.add_argument("--count", type=int, default=0, help="of the images, evenly; default: all")
    parser.add_argument("--out", type=path, required=True, metavar="FOLDER")
    parser.add_argument("--start", default="ppocrv6-small", help="a published reader, bundled, or a workdir")
    parser.add_argument("--arms", default=",".join([BEFORE, *ARMS]))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--zeros", action="store_true", help="O and 0 are the same, as most plates are labelled")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    for arm in args.arms.split(","):
        check_choice("--arms", arm, (BEFORE, *ARMS))
    args.seeds = seeds_of(args.seeds)
    measuring.check_folder(args.json)
    return args


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each arm and seed, as it is measured."""
    argv = sys.argv[1:] if argv is None else argv
    split = argv.index("--") if "--" in argv else len(argv)
    args, more = parse(argv[:split]), argv[split + 1 :]
    out = Path(args.out)
    folder, test, labels = unpack(args.images, args.test, out, args.count)
    arms_before = json.loads(Path(args.json).read_text())["arms"] if args.json and Path(args.json).exists() else {}
    found = measuring.record() | dict(start=args.start, images=len(labels), arms=arms_before)

    def note(arm: str, seed: int | None, workdir: str, **values: Any) -> None:
        row = found["arms"].setdefault(arm, {})["start" if seed is None else f"seed {seed}"] = values | dict(
            after=scores(workdir, test, args)
        )
        shown = " / ".join(f"{row['after'][words]['accuracy']:.1f}" for words in WORDS)
        print(f"{arm:14} {'' if seed is None else seed!s:2} greedy / with English words {shown}", flush=True)
        measuring.save_json(found, args.json)

    arms = args.arms.split(",")
    if BEFORE in arms:
        note(BEFORE, None, args.start)
    for seed in args.seeds:
        root = out / f"seed{seed}"
        for arm in filter(lambda name: name != BEFORE, arms):
            if arm.startswith("corrected") and result(root / "once") is None:
                raise InputError(f"{arm} corrects what the arm once reads least surely; give --arms=once,{arm}")
            given = corrected(arm, root, folder, labels)
            trained = run_arm(arm, args.start, root, seed, folder, given, more)
            values = {key: trained.get(key) for key in ("seconds", "commit", "step")} | {"labels": len(given)}
            note(arm, seed, str(root / arm), **values, **curve(root / arm))


if __name__ == "__main__":
    cli(run)
