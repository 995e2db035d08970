"""How well letters can be told from an encoder's features: python tools/probe_letters.py --data=LABELLED WORKDIR...

A linear classifier (ridge regression, solved in closed form) predicts each letter of a labelled word from the features
at the middle of its place, assuming letters of equal width. It is fitted to four fifths of the words and tested on the
rest, once for `visual`, the features before the sequence stage, and once for `frames`, those after it. --random adds
the first recogniser with random weights. Takes seconds, for choosing how to pre-train; configs/probe.py trains a
recogniser on such features.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError

if TYPE_CHECKING:
    from jstr.inference.reader import Reader

LENGTHS, FITTED, BATCH, RIDGE = range(3, 10), 0.8, 64, 10.0
FEATURES = ("visual", "frames")


def words(reader: Reader, source: Any, count: int) -> tuple[np.ndarray, list[str]]:
    """(images uint8 [N, H, W, C], labels) of at most `count` readable words of LENGTHS letters, in a random order."""
    images, labels = [], []
    for i in np.random.default_rng(0).permutation(len(source)):
        sample = source[int(i)]
        label = reader.charset.normalise(sample["label"] or "")
        if len(label) not in LENGTHS or not set(label) <= set(reader.charset.characters):
            continue
        image = reader.spec.decode(sample["image"])
        if image is not None:
            images.append(reader.spec.fit(image))
            labels.append(label)
        if len(labels) == count:
            break
    if len(labels) < 100:
        raise InputError(f"{source.path}: {len(labels)} words of {LENGTHS[0]} to {LENGTHS[-1]} letters; 100 are needed")
    return np.stack(images), labels


def features(reader: Reader, images: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> features [N, T, D] of images [N, H, W, C], as in evaluation."""
    import jax

    from jstr.nn.images import normalise

    @jax.jit
    def run(variables, batch):
        outputs = reader.model.apply(variables, normalise(batch), train=False)
        return {name: outputs[name] for name in FEATURES if name in outputs}

    padded = np.concatenate([images, np.zeros((-len(images) % BATCH, *images.shape[1:]), np.uint8)])
    parts = [jax.device_get(run(reader.variables, part)) for part in np.split(padded, len(padded) // BATCH)]
    return {name: np.concatenate([p[name] for p in parts])[: len(images)].astype(np.float32) for name in parts[0]}


def accuracy(found: np.ndarray, labels: list[str]) -> float:
    """Percentage of the letters of the test words that are predicted, from features [N, T, D] or [N, h, T, D]."""
    found = found.mean(axis=1) if found.ndim == 4 else found
    rows, letters, word = [], [], []
    for i, label in enumerate(labels):
        for j, letter in enumerate(label):
            rows.append(found[i, int((j + 0.5) / len(label) * found.shape[1])])
            letters.append(letter)
            word.append(i)
    x, letters, fitted = np.stack(rows), np.array(letters), np.array(word) < FITTED * len(labels)
    x = (x - x[fitted].mean(axis=0)) / (x[fitted].std(axis=0) + 1e-5)
    x = np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1)
    known = np.unique(letters[fitted])
    one_hot = (letters[fitted, None] == known).astype(np.float32)
    gram = x[fitted].T @ x[fitted] + RIDGE * np.eye(x.shape[1], dtype=x.dtype)
    weights = np.linalg.solve(gram, x[fitted].T @ one_hot)
    return 100 * float(np.mean(known[(x[~fitted] @ weights).argmax(axis=1)] == letters[~fitted]))


def with_random_weights(reader: Reader) -> Reader:
    """The same recogniser with random weights."""
    import jax

    from jstr.models import example_input

    images = np.zeros(example_input(reader.model).shape, np.float32)
    init = jax.jit(lambda key: reader.model.init(key, images, train=False))
    return reader.with_variables(init(jax.random.PRNGKey(0)))


def run(argv: list[str] | None = None) -> None:
    """Prints the percentages for each workdir."""
    parser = Parser("python tools/probe_letters.py", __doc__)
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument("--data", type=path, required=True, help="any labelled source")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--count", type=int, default=2000, help="words at most")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    import jstr
    from jstr.data.sources.open import open_source

    source, rows = open_source(args.data), {}
    readers = [(workdir, jstr.load(workdir)) for workdir in args.workdirs]
    if args.random:
        readers.insert(0, ("random", with_random_weights(readers[0][1])))
    for name, reader in readers:
        images, labels = words(reader, source, args.count)
        rows[name] = {kind: accuracy(found, labels) for kind, found in features(reader, images).items()}
        print(f"{name:40}" + "".join(f"  {kind} {value:5.1f} %" for kind, value in rows[name].items()), flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"words": len(labels), "letters_named_percent": rows}, file, indent=2)


if __name__ == "__main__":
    cli(run)
