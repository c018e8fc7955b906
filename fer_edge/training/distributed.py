"""One process or several: what a training loop asks of the others. PyTorch's own process group underneath."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from fer_edge.errors import FerEdgeError, TrainingError
from fer_edge.processes import stdout_to_stderr

T = TypeVar("T")

_joined: list[dist.ProcessGroup] = []
"""Kept, so that the threads of none are ever joined: see ``end_process``."""


@dataclass(frozen=True)
class Processes:
    """The processes that train together; one on its own by default."""

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one process that writes and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum of ``values`` over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values, op=dist.ReduceOp.SUM)
        return values

    def max(self, values: Tensor) -> Tensor:
        """Element-wise largest of ``values`` over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def take_from_main(self, values: Tensor) -> None:
        """Overwrite ``values`` with the main process's."""
        if self.count > 1:
            dist.broadcast(values, src=0)

    def gather(self, value: T) -> list[T]:
        """``value`` of every process, plain types and tensors on the CPU, by rank."""
        gathered = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(gathered, value)
        return gathered

    @contextmanager
    def together(self, device: str) -> Iterator[None]:
        """Leave the block with all others or not at all: where one process is refused, every process raises.

        Without it the others would wait for the one that has gone, and end in a traceback of their own.
        """
        refusal: FerEdgeError | None = None
        try:
            yield
        except FerEdgeError as error:
            refusal = error
        any_refused = bool(self.max(torch.tensor(float(refusal is not None), device=device)))
        if refusal is not None:
            raise refusal
        if any_refused:
            raise TrainingError("another process was refused; see its line")


def has_joined() -> bool:
    """Whether this process was one of several, and should end by ``end_process``."""
    return bool(_joined)


def end_process(code: int) -> NoReturn:
    """Exit with ``code`` at once, what was printed flushed and nothing finalized: how one of several processes ends.

    gloo's threads let go of Python's tensors some time after an operation is over. In an interpreter that is being
    finalized that ends in SIGABRT; to join the threads first can wait for ever, for the join holds the lock that they
    need (seen in torch 2.13: ``~AsyncAllgatherWork`` waits for the GIL, ``~ProcessGroupGloo`` for it).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def launching_job() -> str:
    """What all processes that one torchrun starts have in common, those that it starts again too; empty without one.

    Its --rdzv_id, which --standalone makes up; without one, the torchrun itself.
    """
    job = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"process {os.getppid()} of {platform.node()}" if job == "none" else job


def _init_group(backend: str, count: int) -> None:
    """Join by what torchrun says. Started again by the torchrun of one machine, under keys of this start.

    torchrun keeps one store for all its starts, without a prefix for each, so that processes would meet the addresses
    of those before them and wait for ever (https://github.com/pytorch/pytorch/issues/135712, seen in torch 2.13 with
    gloo). Each of several torchruns counts starts by itself: there only TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 helps.
    """
    started = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if started == "0" or not _shares_store() or os.environ.get("GROUP_WORLD_SIZE") != "1":
        dist.init_process_group(backend)
        return
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)  # type: ignore[attr-defined]
    own = dist.PrefixStore(f"start {started}", store)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=own, rank=int(os.environ["RANK"]), world_size=count)


def _several_machines() -> str:
    if not _shares_store() or os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        return ""
    return ", on several machines with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 set before it"


def _shares_store() -> bool:
    """Whether processes meet in a store that torchrun keeps for all its starts."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _is_of_another(error: RuntimeError) -> bool:
    """Whether ``error`` is what a collective raises when another process has gone."""
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in ("gloo", "by peer"))


@contextmanager
def joined_processes(device: str) -> Iterator[tuple[Processes, str]]:
    """Join the group that torchrun set up, if it did; gives the processes and this one's device.

    gloo for the CPU, nccl for CUDA with one GPU a process; see ``end_process`` for how such a process should end.
    Raises TrainingError where GPUs are fewer than processes, and where another process ends in the middle.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(), device
        return
    on_cuda = device.startswith("cuda")
    if on_cuda:
        local_rank = int(os.environ["LOCAL_RANK"])
        if local_rank >= torch.cuda.device_count():
            raise TrainingError(
                f"expected one GPU a process, found {torch.cuda.device_count()} for process {local_rank + 1} of this "
                "machine; start fewer with torchrun --nproc_per_node"
            )
        device = f"cuda:{local_rank}"
        torch.cuda.set_device(local_rank)
    with stdout_to_stderr():  # gloo of torch 2.8 greets on stdout
        _init_group("nccl" if on_cuda else "gloo", count)
    group = dist.group.WORLD
    assert group is not None
    _joined.append(group)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), device
    except RuntimeError as error:
        if not _is_of_another(error):
            raise
        raise TrainingError(
            "expected all processes to go on, found that another has ended; torchrun --max-restarts starts them again "
            f"from the last checkpoint{_several_machines()}"
        ) from error
    finally:
        dist.destroy_process_group()
