"""Several processes that train one model together, as `torchrun` starts them.

Each runs the same program over the same batches, with the same noise and the same weights, and
computes its share of what is dear: `split` applies a network to this process's share of a batch and
gathers what all of them found, so that losses and statistics are of the whole batch, and the same
everywhere. Through what was gathered the gradient flows back into a process's own share alone;
`backward` adds up what all have. That is the gradient of the loss, whatever it compares, as long as
weights are used inside of `split` only. What is decided or written, the first process decides and
writes (`first`).

With one process all of this does nothing, and costs nothing.
"""

import atexit
import datetime
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genbench import UserError, console, environment

T = TypeVar("T")
PATIENCE = datetime.timedelta(hours=12)  # for what the first process does alone; the dead are found
SAID = "genbench/said"  # counts, in what the processes share, who wants to say how it ended


class Lost(SystemExit):
    """Another process has ended, so that this one has to; said already by one of those left."""

    def __init__(self) -> None:
        super().__init__(1)

    def __str__(self) -> str:
        return "another process of this training has ended"


@dataclass
class _Group:
    """The processes, and what this one does at present."""

    rank: int
    world: int
    store: Any
    alone: bool = False  # what it does is not done by the others now
    within: bool = False  # it computes its share


_group: _Group | None = None


def start(device: str) -> None:
    """Join the processes that the environment names; nothing where it names one, or once joined.

    Args:
        device: Where this one computes: on "cuda", or "auto" where there is one, on a GPU of its
            own, which is torch's current device from now on.

    Raises:
        UserError: The environment is not torchrun's, or there are fewer GPUs than processes.
    """
    global _group
    if _group or environment.processes() == 1:
        return
    backend = "gloo"
    if device != "cpu" and torch.cuda.is_available():
        here, there = environment.local_processes(), torch.cuda.device_count()
        if here > there:
            raise UserError(
                f"{here} processes, but {console.counted(there, 'GPU')} on this machine: use "
                f"--nproc_per_node={there}, or --device=cpu"
            )
        torch.cuda.set_device(environment.local_rank())
        backend = "cpu:gloo,cuda:nccl"
    from torch.distributed.rendezvous import rendezvous  # not in every torch

    try:
        store, rank, world = next(iter(rendezvous("env://")))
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"WORLD_SIZE={environment.processes()}: the other processes are not there "
            f"({console.first_line(error)}); start them with torchrun, or unset WORLD_SIZE"
        ) from error
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
    _group = _Group(rank, world, store)
    console.choose_speaker(_speaks)
    atexit.register(_leave)


def check(device: str, batch_size: int) -> None:
    """Refuse a training that the processes named by the environment cannot do together.

    Raises:
        UserError: They share a device, or some of them would have no picture of a batch.
    """
    n = environment.processes()
    if n > 1 and device == "mps":
        raise UserError(f"device=mps: {n} processes train on as many GPUs, or by --device=cpu")
    if batch_size < n:
        raise UserError(
            f"batch_size={batch_size}: is not a picture for each of {n} processes; use "
            f"--batch_size={n} or more"
        )


def _leave() -> None:
    """Leave the others in good order, if they are there."""
    if dist.is_initialized():
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _speaks() -> bool:
    """Whether this process is the one that says how all ended: the first that wants to."""
    assert _group
    try:
        return _group.store.add(SAID, 1) == 1
    except RuntimeError:  # torchrun is gone, and its store
        return _group.rank == 0


def rank() -> int:
    """The number of this process, from 0."""
    return _group.rank if _group else 0


def _together() -> _Group | None:
    """The processes, if they are at the same place now."""
    return _group if _group and not _group.alone else None


@contextmanager
def _exchange() -> Iterator[None]:
    """What goes between processes; one that is not there any more ends this one too.

    Raises:
        Lost: It does.
    """
    try:
        yield
    except RuntimeError as error:  # torch has no narrower one for gloo
        console.say_end(
            "failed: another process of this training has ended; what is done is kept, and "
            "--resume goes on from the last checkpoint"
        )
        raise Lost from error


def several() -> bool:
    """Whether other processes do now what this one does."""
    return _together() is not None


def share(n: int) -> slice:
    """Which of n pictures this process computes; shares differ by one at most."""
    group = _together()
    return _shares(n, group.world)[group.rank] if group else slice(n)


def _shares(n: int, world: int) -> list[slice]:
    """Which of n pictures each process computes."""
    ends = [n * i // world for i in range(world + 1)]
    return list(itertools.starmap(slice, itertools.pairwise(ends)))


def split(function: Callable[..., T], *batch: Tensor) -> T:
    """`function(*batch)`, each process computing its share of the pictures.

    Args:
        function: Of tensors (b, ...) to one, or to a tuple of some, (b, ...), picture by picture,
            but for batch normalisation; weights may be used here.
        batch: Tensors (B, ...), the same in all processes. What comes of a picture has the place of
            that picture, in all that is split: gradients of others than this share's are 0 here.

    Returns:
        (B, ...), the same in all processes. A gradient flows back into this one's share.
    """
    group = _together()
    if not group or group.within:
        return function(*batch)
    n = len(batch[0])
    mine = share(n)
    group.within = True
    try:
        found: Any = function(*(tensor[mine] for tensor in batch))
    finally:
        group.within = False
    if isinstance(found, tuple):
        return tuple(_gather(group, part, n) for part in found)  # type: ignore[return-value]
    return _gather(group, found, n)  # type: ignore[return-value]


def complete(values: Tensor) -> Tensor:
    """Values (B, ...) of which those of this process's share are right, with those of the others.

    So are gradients by the pictures of what was `split`.
    """
    group = _together()
    return _gather(group, values[share(len(values))], len(values)) if group else values


def _gather(group: _Group, part: Tensor, n: int) -> Tensor:
    """The shares (b, ...) of all processes, (n, ...); the graph is that of this one's."""
    sizes = [mine.stop - mine.start for mine in _shares(n, group.world)]
    sent = part.detach().contiguous()
    if lacking := max(sizes) - len(part):  # all send as many
        sent = torch.cat([sent, sent.new_zeros(lacking, *part.shape[1:])])
    parts = [torch.empty_like(sent) for _ in sizes]
    with _exchange():
        dist.all_gather(parts, sent)
    parts = [other[:size] for other, size in zip(parts, sizes, strict=True)]
    parts[group.rank] = part
    return torch.cat(parts)


def backward(loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
    """Let each parameter's `grad` be the gradient of `loss`, (), the same in all processes."""
    loss.backward()
    if not _together():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message
    with _exchange():
        dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


class _Sum(torch.autograd.Function):
    """The sum of what all processes have; each of them goes on with it in its own way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        with _exchange():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.apply(gradients[0])


def total(x: Tensor) -> Tensor:
    """The sum over all processes of what each has; so is the gradient that flows back."""
    return _Sum.apply(x) if _together() else x


def first(make: Callable[[], T]) -> T:
    """What `make` gives in the first process, which alone calls it; all of them have it.

    Raises:
        UserError: As `make` in the first process, in all of them.
    """
    group = _together()
    if not group:
        return make()
    value, wrong = None, None
    if group.rank == 0:
        group.alone = True
        try:
            value = make()
        except UserError as error:
            wrong = error
        finally:
            group.alone = False
    said: list[Any] = [value, wrong and str(wrong)]
    with _exchange():
        dist.broadcast_object_list(said, src=0, device=torch.device("cpu"))
    if said[1] is not None:
        raise wrong or UserError(said[1])
    return said[0]


def in_turn(make: Callable[[], T]) -> T:
    """What `make` gives; the others call it after the first, and find what it left on disk."""
    made: list[T] = []
    first(lambda: made.append(make()))
    return made[0] if made else make()


def most(number: float) -> float:
    """The largest of the processes' numbers."""
    if not _together():
        return number
    numbers = torch.tensor([number], dtype=torch.float64)
    with _exchange():
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return numbers.item()
