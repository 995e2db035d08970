"""How many labels that a run read are right: python tools/check_labels.py RUN/read/labelled_shops.tsv ... --data=PATH

A run with read_by keeps what was read in WORKDIR/read, a file for each source and round. Compares the texts with the
labels of the same images, by the 36-character protocol: percent of the words that are right, that were read with
confidence 0.8 or more (--threshold), and of these that are right. Training reads no label for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measuring
from study_promises import Word, labelled
from study_weight import row

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError


def words_of(file: str, source: Any) -> list[Word]:
    """The words of a labelled source as a file of WORKDIR/read has them. Raises InputError: it has none of them."""
    from jstr.inference.pseudo_labelling import load_texts

    try:
        texts = load_texts(Path(file))[1]
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; give a file of WORKDIR/read") from error
    keys = enumerate(source.keys())
    read = [Word(texts[key][1], False, "", texts[key][0], i) for i, key in keys if key in texts]
    found = labelled(read, lambda i: source[i]["label"])
    if not found:
        raise InputError(f"{file}: holds no labelled image of {source.path}; give the images that were read")
    return found


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each file."""
    from jstr.data.sources.open import open_source

    parser = Parser("python tools/check_labels.py", __doc__)
    parser.add_argument("files", nargs="+", metavar="FILE.tsv")
    parser.add_argument("--data", required=True, metavar="PATH", help="the images, with labels")
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    measuring.check_folder(args.json)
    source = open_source(args.data)
    found = measuring.record() | {"files": {}}
    for file in args.files:
        found["files"][Path(file).name] = figures = row(words_of(file, source), args.threshold)
        print(f"{Path(file).name}: {figures}", flush=True)
    measuring.save_json(found, args.json)


if __name__ == "__main__":
    cli(run)
