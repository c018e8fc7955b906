"""The training faces on the device that trains, and which of them make up each step."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fer_edge.data.faces import FaceSet
from fer_edge.data.votes import majority, probability
from fer_edge.errors import SettingError, TrainingError
from fer_edge.training.augmentation import augment, draw_variations, normalise
from fer_edge.training.config import TrainConfig
from fer_edge.training.corruptions import corrupt, corrupts, draw_corruptions
from fer_edge.training.distributed import Processes
from fer_edge.training.losses import Batch

_ORDER, _VARIATION, _CORRUPTION = 0, 1, 2
"""Which stream of random numbers: the order of an epoch, or the variations or the corruptions of a step."""


class TrainingBatches:
    """Batches of augmented faces by epoch and position in it.

    What a batch holds depends on (seed, epoch, position) alone, not on what was drawn before it, so that a resumed run
    goes on with the very faces it would have seen, and every process of a distributed run draws the same global batch
    and takes its own part of it, in one piece or, by ``micro_batch``, in several.

    Args:
        faces: the training split.
        config: batch size over all processes, augmentation, mixup and seed.
        mean, std: of pixel / 255 over the training split.
        device: where the faces live and are augmented.
        soft_targets: the teachers' probabilities for each training face, float32 (N, K), or None without teachers.
        processes: who takes part. Raises TrainingError unless the batch size divides by their number, and by that of
            the parts.
    """

    def __init__(
        self,
        faces: FaceSet,
        config: TrainConfig,
        *,
        mean: float,
        std: float,
        device: torch.device,
        processes: Processes,
        soft_targets: Tensor | None = None,
    ) -> None:
        _check_batch_size(config.batch_size, len(faces), processes.count)
        self._faces = torch.from_numpy(faces.faces).to(device)  # uint8 (N, S, S)
        self._labels = torch.from_numpy(faces.labels).to(device)  # int64 (N,)
        self._taught = None if soft_targets is None else soft_targets.to(device)
        self._votes = torch.from_numpy(probability(votes_of(faces))).to(device) if "votes" in config.heads else None
        self._config, self._mean, self._std, self._device = config, mean, std, device
        self.batch_size = min(config.batch_size, len(faces) // processes.count * processes.count)
        self.num_parts = num_parts(self.batch_size, processes.count, config.micro_batch)
        """How many pieces the process takes its part of a batch in."""
        share = self.batch_size // (processes.count * self.num_parts)
        first = processes.rank * self.num_parts
        self._parts = [slice(at * share, (at + 1) * share) for at in range(first, first + self.num_parts)]
        self.num_steps = len(faces) // self.batch_size
        """Full batches in an epoch; which faces are left over changes from epoch to epoch."""
        self._order: tuple[int, Tensor] | None = None

    def batches(self, epoch: int, position: int) -> Iterator[Batch]:
        """The ``num_parts`` pieces of this process's part of step ``position`` of ``epoch``, all from 0."""
        for number in range(self.num_parts):
            yield self.batch(epoch, position, number)

    def batch(self, epoch: int, position: int, number: int = 0) -> Batch:
        """Piece ``number`` of this process's part of step ``position`` of ``epoch``, all from 0."""
        part = self._parts[number]
        generator = np.random.default_rng([self._config.seed, _VARIATION, epoch, position])
        size = self._faces.shape[-1]
        variations = draw_variations(generator, self.batch_size, size, self._config.augment)
        indices = self._epoch_order(epoch)[position * self.batch_size : (position + 1) * self.batch_size][part]
        labels = self._labels[indices]
        variations = variations.part(part, self._device)
        side = self._config.side_of(epoch)
        pixels = self._faces[indices]
        if corrupts(self._config.augment):
            other_generator = np.random.default_rng([self._config.seed, _CORRUPTION, epoch, position])
            draws = draw_corruptions(other_generator, self.batch_size, size, self._config.augment)
            pixels = corrupt(pixels, draws.part(part))
        faces = augment(pixels, variations, self._mean, self._std, side)
        if self._config.channels_last:
            faces = faces.contiguous(memory_format=torch.channels_last)
        soft_targets = None if self._taught is None else self._taught[indices]
        votes = None if self._votes is None else self._votes[indices]
        if self._config.mixup == 0:
            return Batch(faces, labels, soft_targets=soft_targets, votes=votes)
        # Each face is blended with its mirror place in the batch: the order is random already (Zhang et al. 2018).
        mix = float(generator.beta(self._config.mixup, self._config.mixup))
        if soft_targets is not None:
            soft_targets = soft_targets.lerp(soft_targets.flip(0), 1 - mix)
        if votes is not None:
            votes = votes.lerp(votes.flip(0), 1 - mix)
        return Batch(faces.lerp(faces.flip(0), 1 - mix), labels, labels.flip(0), mix, soft_targets, votes)

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            generator = np.random.default_rng([self._config.seed, _ORDER, epoch])
            self._order = (epoch, torch.from_numpy(generator.permutation(len(self._faces))).to(self._device))
        return self._order[1]


def validation_batches(
    faces: FaceSet, *, mean: float, std: float, device: torch.device, processes: Processes, batch_size: int = 512
) -> list[Batch]:
    """This process's part of a split, normalised, as batches: every face is in exactly one process's part."""
    chosen = slice(processes.rank, None, processes.count)
    images = torch.from_numpy(faces.faces[chosen]).to(device)
    labels = torch.from_numpy(faces.labels[chosen]).to(device)
    votes = most = None
    if faces.votes is not None:
        votes = torch.from_numpy(probability(faces.votes[chosen])).to(device)
        most = torch.from_numpy(majority(faces.votes[chosen])).to(device)
    parts = [slice(start, start + batch_size) for start in range(0, len(images), batch_size)]
    return [
        Batch(
            normalise(images[part], mean, std),
            labels[part],
            votes=None if votes is None else votes[part],
            majority=None if most is None else most[part],
        )
        for part in parts
    ]


def votes_of(faces: FaceSet) -> np.ndarray:
    """The votes (N, 10) of ``faces``. Raises TrainingError where they have none."""
    if faces.votes is None:
        raise TrainingError(
            "--heads: expected faces with FER+ votes, found faces without; name their table with --votes ('fer-edge "
            "data fetch --votes' gets it) or a folder of FER+'s layout with --data, or take --heads labels"
        )
    return faces.votes


def num_parts(batch_size: int, processes: int, micro_batch: int) -> int:
    """Into how many equal pieces, of ``micro_batch`` faces at most, each process takes its part of a batch.

    1 for a ``micro_batch`` of 0. Raises SettingError where there are no such pieces of 2 faces or more (batch norm).
    """
    share = batch_size // processes
    if micro_batch == 0:
        return 1
    for count in range(1, share // 2 + 1):
        if share % count == 0 and share // count <= micro_batch:
            return count
    raise SettingError(
        f"--micro-batch: expected a size from which {processes} processes can make up a batch of {batch_size} in equal "
        f"parts of 2 faces or more, found {micro_batch}"
    )


def _check_batch_size(batch_size: int, num_faces: int, num_processes: int) -> None:
    if batch_size % num_processes:
        raise SettingError(
            f"--batch-size: expected a number that {num_processes} processes share equally, found {batch_size}"
        )
    if batch_size < 2 * num_processes:
        raise SettingError(f"--batch-size: expected 2 faces or more for each process (batch norm), found {batch_size}")
    if num_faces < 2 * num_processes:
        raise TrainingError(
            f"expected at least {2 * num_processes} training faces, found {num_faces}; see 'fer-edge data inspect'"
        )
