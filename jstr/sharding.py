"""One mesh over all devices of all processes; the batch is split over it, everything else is copied to every device."""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jstr.core import InputError


def make_mesh() -> Mesh:
    """All devices on one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def split(mesh: Mesh) -> NamedSharding:
    """The leading axis over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def copied(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raises InputError when a global batch cannot be split evenly over the devices."""
    if batch_size <= 0 or batch_size % mesh.size:
        raise InputError(f"{name}={batch_size} must be a positive multiple of the {mesh.size} devices")


def put_batch(batch, mesh: Mesh):
    """Host arrays [B / processes, ...] of this process to global arrays [B, ...] split over the devices."""
    sharding = split(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch)
