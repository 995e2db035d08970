"""Which samples of a source training uses: the usable ones, a share of them, and what happens to broken images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jstr.core import InputError
from jstr.data.images import ImageSpec

MAX_BROKEN_IN_A_ROW = 1000
BROKEN_LIMIT = 0.01


class Usable:
    """The usable samples of a source, decoded. A broken image is replaced by the next good one and named.

    `[i]` gives image uint8 [h, w, c], label (None where the source is used without labels), key ("name/key"), broken
    (keys of broken images met, newline between).
    """

    def __init__(self, name: str, source, indices: np.ndarray | None, spec: ImageSpec, labelled: bool = True):
        self.name, self.source, self.indices, self.spec = name, source, indices, spec
        self.labelled = labelled

    def __len__(self) -> int:
        return len(self.source) if self.indices is None else len(self.indices)

    def position(self, i: int) -> int:
        """Where sample i stands in the source."""
        return i if self.indices is None else int(self.indices[i])

    def __getitem__(self, i: int) -> dict[str, Any]:
        broken = []
        for _ in range(min(len(self), MAX_BROKEN_IN_A_ROW)):
            sample = self.source[self.position(i)]
            key = f"{self.name}/{sample['key']}"
            image = self.spec.decode(sample["image"])
            if image is not None:
                label = sample["label"] if self.labelled else None
                return {"image": image, "label": label, "key": key, "broken": "\n".join(broken)}
            broken.append(key)
            i = (i + 1) % len(self)
        raise InputError(f"{self.name} ({self.source.path}): {len(broken)} broken images in a row, from {broken[0]}")

    def __repr__(self) -> str:
        return f"Usable({self.name}, {self.source!r})"


class Numbered:
    """Numbers of the samples of a Usable instead of the samples. `[i]` gives row (i plus `first`), key and broken.

    Nothing is read, so the key is the sample's position in the source.
    """

    def __init__(self, usable: Usable, first: int):
        self.usable, self.first = usable, first

    def __len__(self) -> int:
        return len(self.usable)

    def __getitem__(self, i: int) -> dict[str, Any]:
        key = f"{self.usable.name}/sample {self.usable.position(i)}"
        return {"row": np.int32(self.first + i), "key": key, "broken": ""}

    def __repr__(self) -> str:
        return f"Numbered({self.usable!r}, {self.first})"


class Runs:
    """Samples in runs of neighbours from a random place, endless: the order of published CR code, cr.md section 6.

    source: a Usable or a Numbered. length: samples in a run. Where samples are sorted, those of a batch are alike.
    """

    def __init__(self, source, length: int, seed: int):
        self.source, self.length, self.seed = source, min(length, len(source)), seed

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, i: int) -> dict[str, Any]:
        run, place = divmod(i, self.length)
        start = np.random.default_rng((self.seed, run)).integers(len(self.source) - self.length + 1)
        return self.source[int(start) + place]

    def __repr__(self) -> str:
        return f"Runs({self.source!r}, {self.length}, {self.seed})"


@dataclass
class Broken:
    """Counts the broken images that training meets, each once."""

    sizes: Mapping[str, int]
    keys: dict[str, set[str]] = field(default_factory=dict)

    def add(self, broken: list[str]) -> list[str]:
        """Counts keys "name/key"; returns those not met before.

        Raises:
          InputError: more than 1 % of a source is broken.
        """
        new = []
        for key in broken:
            name = key.split("/", 1)[0]
            met = self.keys.setdefault(name, set())
            if key not in met:
                met.add(key)
                new.append(key)
        for name, met in self.keys.items():
            if len(met) > BROKEN_LIMIT * self.sizes[name]:
                some = ", ".join(sorted(met)[:5])
                raise InputError(
                    f"at least {len(met)} of {self.sizes[name]:,} images of {name} are broken or missing, "
                    f"more than {BROKEN_LIMIT:.0%}: {some}{', ...' if len(met) > 5 else ''}; mend or remove them"
                )
        return new


def chosen(indices: np.ndarray, length: int, share: float, start: float, seed: int, name: str) -> np.ndarray:
    """Those of `indices` that lie between `start` and `start + share` in a random order of all `length` samples.

    The seed fixes the order, whatever is usable: 5 % lie inside 10 %, and parts that do not overlap have no sample in
    common, also where one use of a source has labels and another has none. At least one sample is chosen.

    Raises:
      InputError: a part that is empty or goes beyond the end.
    """
    if not (0 < share <= 1 and 0 <= start < 1 and start + share <= 1 + 1e-9):
        raise InputError(f"source {name}: share={share} from share_start={start} is not a part of 0 to 1")
    place = np.empty(length, np.int64)
    place[np.random.default_rng(seed).permutation(length)] = np.arange(length)
    place = place[indices]
    inside = (place >= round(start * length)) & (place < round((start + share) * length))
    return indices[inside] if inside.any() else indices[[np.argmin(np.abs(place - start * length))]]
