"""Which samples of a source training uses: the usable ones, a share of them, and what happens to broken images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jstr.data.images import ImageSpec
from jstr.text.messages import InputError, first_few

MAX_BROKEN_IN_A_ROW = 1000
BROKEN_LIMIT = 0.01


class FilteredSource:
    """The usable samples of a source, decoded. A broken image is replaced by the next good one and named.

    `[i]` gives image uint8 [h, w, c], label (None where the source is used without labels), weight (of the label, 1
    where the source says nothing of it), key ("name/key"), broken (keys of broken images met, newline between).
    indices: positions of the usable samples, None for all. notes: what was left out and why, a line each.
    """

    def __init__(
        self,
        name: str,
        source: Any,
        indices: np.ndarray | None,
        spec: ImageSpec,
        labelled: bool = True,
        notes: Sequence[str] = (),
    ):
        self.name, self.source, self.indices, self.spec = name, source, indices, spec
        self.labelled, self.notes = labelled, list(notes)

    def __len__(self) -> int:
        return len(self.source) if self.indices is None else len(self.indices)

    def position(self, i: int) -> int:
        """The position of sample i in the source."""
        return i if self.indices is None else int(self.indices[i])

    def __getitem__(self, i: int) -> dict[str, Any]:
        broken = []
        for _ in range(min(len(self), MAX_BROKEN_IN_A_ROW)):
            sample = self.source[self.position(i)]
            key = f"{self.name}/{sample['key']}"
            image = self.spec.decode(sample["image"])
            if image is not None:
                label = sample["label"] if self.labelled else None
                found = {"image": self.spec.shrink(image), "label": label, "weight": sample.get("weight", 1.0)}
                return found | {"key": key, "broken": "\n".join(broken)}
            broken.append(key)
            i = (i + 1) % len(self)
        raise InputError(f"{self.name} ({self.source.path}): {len(broken)} broken images in a row, from {broken[0]}")

    def __repr__(self) -> str:
        return f"FilteredSource({self.name}, {self.source!r})"


class NumberedSamples:
    """Row numbers instead of the samples of a FilteredSource. `[i]` gives row (i plus `first`), key and broken.

    Nothing is read, so the key is the sample's position in the source.
    """

    def __init__(self, samples: FilteredSource, first: int):
        self.samples, self.first = samples, first

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> dict[str, Any]:
        key = f"{self.samples.name}/sample {self.samples.position(i)}"
        return {"row": np.int32(self.first + i), "key": key, "broken": ""}

    def __repr__(self) -> str:
        return f"NumberedSamples({self.samples!r}, {self.first})"


@dataclass
class BrokenImageTracker:
    """Counts the broken images that training meets, each once. sizes: name of a source -> its samples."""

    sizes: Mapping[str, int]
    keys: dict[str, set[str]] = field(default_factory=dict)

    def add(self, broken: Sequence[str]) -> list[str]:
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
                raise InputError(
                    f"at least {len(met)} of {self.sizes[name]:,} images of {name} are broken or missing, "
                    f"more than {BROKEN_LIMIT:.0%}: {first_few(sorted(met))}; fix or remove them"
                )
        return new
