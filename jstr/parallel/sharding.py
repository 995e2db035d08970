"""One mesh over the devices of all processes, with two axes.

The batch is split over both; parameters, optimiser and teacher only over `fsdp`, so with fsdp=1 every device holds the
whole state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jstr.text.messages import InputError

AXES = ("data", "fsdp")
SMALL = 2**14  # arrays with fewer elements are replicated: gathering them would cost more than it saves


def make_mesh(shape: Mapping[str, int] | None = None, devices: Sequence | None = None) -> Mesh:
    """The mesh of config.mesh, by default dict(data=-1, fsdp=1); -1 is what the devices leave for that axis.

    Devices of one process are neighbours, so the shares of the processes make up the batch in their order, and an
    `fsdp` group stays within one host if that has enough devices. devices: by default those of all processes.

    Raises:
      InputError: the axes do not multiply to the number of devices, or have other names.
    """
    devices = sorted(jax.devices() if devices is None else devices, key=lambda d: (d.process_index, d.id))
    sizes = dict(data=-1, fsdp=1) | dict(shape or {})
    given = f"config.mesh = dict({', '.join(f'{k}={v}' for k, v in sizes.items())})"
    if set(sizes) != set(AXES) or any(not isinstance(n, int) or (n < 1 and n != -1) for n in sizes.values()):
        raise InputError(f"{given}: give data and fsdp, each a positive number or -1 for what is left")
    fixed = int(np.prod([n for n in sizes.values() if n != -1]))
    unknown = [axis for axis, n in sizes.items() if n == -1]
    if len(unknown) > 1 or len(devices) % fixed or (not unknown and fixed != len(devices)):
        raise InputError(f"{given} does not fit the {len(devices)} devices: data * fsdp must be {len(devices)}")
    lengths = [sizes[axis] if sizes[axis] != -1 else len(devices) // fixed for axis in AXES]
    return Mesh(np.array(devices).reshape(lengths), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Splits the leading axis over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def layout(state: Any, mesh: Mesh) -> Any:
    """The sharding of every array (or shape) of a training state, a tree like it.

    Arrays of at least SMALL elements are split over `fsdp` along the longest axis that it divides; the others are
    replicated.
    """
    return jax.tree.map(lambda x: NamedSharding(mesh, _spec(x.shape, mesh.shape["fsdp"])), state)


def _spec(shape: tuple[int, ...], parts: int) -> PartitionSpec:
    axes = [axis for axis, length in enumerate(shape) if length % parts == 0]
    if parts == 1 or not axes or np.prod(shape) < SMALL:
        return PartitionSpec()
    longest = max(axes, key=lambda axis: shape[axis])
    return PartitionSpec(*[None] * longest, "fsdp")


def gather_parameters(loss: Callable, mesh: Mesh) -> Callable:
    """An Objective's loss, for parameters and a teacher in the sharding of `layout`.

    It gathers each of them when it is needed; the gradient is reduced over all devices, and each keeps its part.
    Without this XLA may choose to move activations instead.
    """
    if mesh.shape["fsdp"] == 1:
        return loss

    def gathered(params, model_state, teacher, *rest):
        params, teacher = jax.lax.with_sharding_constraint((params, teacher), replicated(mesh))
        return loss(params, model_state, teacher, *rest)

    return gathered


def constrain_state(state: Any, mesh: Mesh) -> Any:
    """Within a compiled step: the new state, in the sharding of the old one."""
    return jax.lax.with_sharding_constraint(state, layout(state, mesh))


def to_local_device(tree: Any, mesh: Mesh) -> Any:
    """`tree` with every array whole on this process's first device. All processes must call it."""
    return jax.tree.map(lambda x: x.addressable_data(0), jax.device_put(tree, replicated(mesh)))


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raises InputError when a global batch cannot be split evenly over the devices."""
    if batch_size <= 0 or batch_size % mesh.size:
        raise InputError(f"{name}={batch_size} must be a positive multiple of the {mesh.size} devices")


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Host arrays [B / processes, ...] of this process to global arrays [B, ...], split over the devices."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch)
