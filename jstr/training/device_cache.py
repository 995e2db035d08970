"""Data in device memory: the streams that config.device_data names are decoded and resized once, and stay there.

Each step then takes its rows by number. The numbers come from the usual shuffling, repeating and mixing, so a seed
gives the same order as without the cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jstr.core import Array, Batch
from jstr.data.pipeline import TrainData
from jstr.parallel import sharding
from jstr.text.messages import InputError

SHARE = 0.8  # of the free memory; the training step needs the rest


class DeviceData:
    """The fields of every row of the streams in `data.resident`, split over all devices of the mesh.

    Every process decodes the rows that its own devices hold. broken: keys of the broken images it met; each was
    replaced by the next good one.

    Raises:
      InputError: a stream that is larger than the free memory, or what its sources raise.
    """

    def __init__(self, data: TrainData, mesh: Mesh):
        self.broken: list[str] = []
        self._mesh = mesh
        self._fields: dict[str, dict[str, Array]] = {}
        for name, rows in data.resident.items():
            self._fields[name] = self._load(name, rows)
        where = sharding.batch_sharding(mesh).spec
        self._take = jax.jit(jax.shard_map(_take_rows, mesh=mesh, in_specs=(where, where), out_specs=where))

    def put(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Batch:
        """sharding.put_batch, with the rows [B, ...] in place of their numbers (int32 [B]) in the cached streams."""
        batch = sharding.put_batch(arrays, self._mesh)
        return {n: self._take(self._fields[n], x["row"]) if n in self._fields else x for n, x in batch.items()}

    def _load(self, name: str, rows: grain.MapDataset) -> dict[str, Array]:
        start, count = time.monotonic(), self._mesh.size
        per_device = -(-len(rows) // count)
        first = {field: np.asarray(x) for field, x in (rows[0] or {}).items() if field not in ("key", "broken")}
        size = per_device * sum(x.nbytes for x in first.values())
        self._check_fits(name, size, len(rows))
        print(f"{name}: decoding {len(rows):,} images into device memory", flush=True)
        split = sharding.batch_sharding(self._mesh)
        parts: dict[str, list] = {field: [] for field in first}
        places = split.addressable_devices_indices_map((per_device * count,)) or {}
        for device, index in places.items():
            (part,) = index or (slice(0),)
            begin = part.start or 0
            for field, array in self._decode(rows[begin : begin + per_device], per_device, first).items():
                parts[field].append(jax.device_put(array, device))
        seconds = time.monotonic() - start
        print(f"{name}: {size / 2**20:,.0f} MiB on each of {count} device(s), in {seconds:.1f} s", flush=True)
        return {
            field: jax.make_array_from_single_device_arrays((per_device * count, *x.shape), split, parts[field])
            for field, x in first.items()
        }

    def _decode(self, rows: grain.MapDataset, length: int, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All rows, in order, as arrays [length, ...]; the end is padded with zeros, which are never read."""
        arrays = {field: np.zeros((length, *x.shape), x.dtype) for field, x in like.items()}
        options = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=256)
        for i, sample in enumerate(rows.to_iter_dataset(options)):
            self.broken += [key for key in sample["broken"].split("\n") if key]
            for field, array in arrays.items():
                array[i] = sample[field]
        return arrays

    def _check_fits(self, name: str, size: int, rows: int) -> None:
        free = _free_bytes(self._mesh.local_devices[0])
        if size > SHARE * free:
            raise InputError(
                f"config.device_data: {name} has {rows:,} images, {size / 2**30:,.1f} GiB on each of "
                f"{self._mesh.size} device(s), where {free / 2**30:.1f} GiB are free and {SHARE:.0%} may be taken; "
                "give its sources a share=, or leave it out"
            )


def _free_bytes(device) -> int:
    """Free memory of a device; if it does not report any, its share of the free memory of this machine."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // jax.local_device_count()


def _take_rows(fields: dict[str, Array], rows: Array) -> dict[str, Array]:
    """On each device: its part of the fields [N / devices, ...] and of the row numbers [B / devices] to its part of
    the batch [B / devices, ...]. Each device reads the rows it holds for all others; a sum over devices joins them.
    """
    axes = sharding.AXES
    length = len(next(iter(fields.values())))
    mine = jax.lax.all_gather(rows, axes, tiled=True) - jax.lax.axis_index(axes) * length
    held = (mine >= 0) & (mine < length)

    def take(field: Array) -> Array:
        found = field.at[mine.clip(0, length - 1)].get(mode="clip")
        found = jnp.where(held.reshape(-1, *[1] * (found.ndim - 1)), found, 0)
        number = found.astype(jnp.uint8) if field.dtype == jnp.bool_ else found
        return jax.lax.psum_scatter(number, axes, scatter_dimension=0, tiled=True).astype(field.dtype)

    return jax.tree.map(take, fields)
