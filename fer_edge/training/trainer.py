"""The ``Trainer``: one classifier's steps and epochs, what is saved of them, and how to go on from it.

It reads from top to bottom: ``fit_one_cycle`` → ``_train_epoch`` → ``_step``. ``runs`` has what goes before.
"""

import contextlib
import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_edge.data.faces import FaceData
from fer_edge.errors import Interrupted, TrainingError
from fer_edge.training.batches import TrainingBatches, validation_batches
from fer_edge.training.checkpoint import CheckpointInfo, fits, save_checkpoint
from fer_edge.training.classifier import EpochMeans, FacialExpressionClassifier, StepSums, ValidationSums
from fer_edge.training.distributed import Processes
from fer_edge.training.history import EpochCallback, History, Progress, Row, is_better
from fer_edge.training.losses import Batch, TrainingLoss, training_loss
from fer_edge.training.optimizer import AveragedWeights, build_optimizer, build_schedule
from fer_edge.training.progress import Reporter
from fer_edge.training.random_states import random_states, restore_random_states, seed_everything, seed_of_rank
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.signals import StopSignals
from fer_edge.training.training_state import check_state

CUDA_STEPS_BETWEEN_LOOKS = 20
"""Steps after which the CPU looks at what a GPU has summed up; a look waits for all of them."""


class _TrainingStep(nn.Module):
    """The classifier's training step as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, classifier: FacialExpressionClassifier, loss: TrainingLoss) -> None:
        super().__init__()
        self.classifier, self.loss = classifier, loss

    def forward(self, batch: Batch) -> tuple[Tensor, StepSums]:
        return self.classifier.training_step(batch, self.loss)


class Trainer:
    """Trains one classifier: everything that changes from step to step, and how to save and restore it.

    Args:
        classifier: moved to the device in ``record.config``, trained in place.
        data: the splits; validation must not be empty.
        record: settings (resolved: no 'auto') and origin of the run.
        run: where checkpoints and history go; None keeps nothing.
        processes: who trains together. Only the main one writes.
        reporter: who shows it.
        on_epoch_end: called on every process with each epoch's row; may raise to stop.
        soft_targets: the teachers' probabilities for each training face, float32 (N, K), if the settings name teachers.
    """

    def __init__(
        self,
        classifier: FacialExpressionClassifier,
        data: FaceData,
        record: CheckpointInfo,
        *,
        run: RunFolder | None = None,
        processes: Processes | None = None,
        reporter: Reporter | None = None,
        on_epoch_end: EpochCallback | None = None,
        soft_targets: Tensor | None = None,
    ) -> None:
        self.config = config = record.config
        self.record, self.run = record, run
        self.processes = processes or Processes()
        self.reporter = reporter or Reporter(quiet=True)
        self.on_epoch_end = on_epoch_end
        self.device = torch.device(config.device)
        placement: dict[str, Any] = {"mean": record.mean, "std": record.std, "device": self.device}
        self.batches = TrainingBatches(
            data.train, config, processes=self.processes, soft_targets=soft_targets, **placement
        )
        self.validation = validation_batches(data.split("validation"), processes=self.processes, **placement)

        memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        self.classifier = classifier.to(self.device)
        self.classifier.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack it
        self.loss = training_loss(config, record.heads, torch.from_numpy(data.train.labels).to(self.device))
        if self.processes.count > 1 and self.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(self.classifier)  # there is none for the CPU
        self.average = AveragedWeights(self.classifier, config.ema_decay) if config.ema_decay else None
        self.optimizer = build_optimizer(self.classifier, config)
        self.schedule = build_schedule(self.optimizer, config, config.epochs * self.batches.num_steps)
        step: nn.Module = _TrainingStep(self.classifier, self.loss)
        self.training_step = DistributedDataParallel(step) if self.processes.count > 1 else step

        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # every batch has the same shape
        self.steps_between_looks = CUDA_STEPS_BETWEEN_LOOKS if self.device.type == "cuda" else 1
        """1: a step is looked at before it is taken."""
        self._unseen: list[Tensor] = []  # of each step since the last look, double (8,)

        self.progress = Progress()
        self._best_weights: dict[str, Tensor] | None = None  # of the best epoch, until they are written
        self._saved_at = time.monotonic()
        self._saved_step = ""

    def fit_one_cycle(self) -> History:
        """Train to the end of the schedule, or until patience runs out.

        One cycle of learning rate and momentum: Smith and Topin 2017, *Super-Convergence*. The classifier ends with the
        last epoch's live weights; the best are in ``run``.

        Raises Interrupted after a signal (the step finished and saved), TrainingError before a step whose loss or
        gradient is not finite (the last checkpoint stays), StorageError when a checkpoint cannot be written (the
        one before stays).
        """
        if not self._saved_step:
            self.save()
        with StopSignals() as signals, self.reporter:
            while self.progress.epoch < self.config.epochs and not self._is_stale:
                self._train_epoch(signals)
                self._end_epoch()  # which saves
        best = self.progress.best
        assert best is not None
        return History(self.progress.rows, self.progress.best_epoch, best["validation_accuracy"], self._is_stale)

    @property
    def _is_stale(self) -> bool:
        return 0 < self.config.patience <= self.progress.stale_epochs

    def _train_epoch(self, signals: StopSignals) -> None:
        progress, num_steps = self.progress, self.batches.num_steps
        self.classifier.train()
        self.reporter.start_epoch(progress.epoch + 1, self.config.epochs, progress.position, num_steps)
        self._epoch_started, images = time.monotonic(), 0
        while progress.position < num_steps:
            lr = float(self.optimizer.param_groups[0]["lr"])
            self._step(self.batches.batches(progress.epoch, progress.position), signals)
            progress.position += 1
            images += self.batches.batch_size
            if len(self._unseen) < self.steps_between_looks and progress.position < num_steps:
                continue
            stop, is_due = self._look()
            mean_loss = progress.loss / max(progress.count, 1)
            self.reporter.step(progress.position, num_steps, images=images, loss=mean_loss, lr=lr)
            if stop:
                self._stop(stop)
            if is_due:
                self.save()
        self._epoch_rate = images / max(time.monotonic() - self._epoch_started, 1e-9)

    def _step(self, batches: Iterator[Batch], signals: StopSignals) -> None:
        """One optimizer step on all processes, of the gradients of ``batches`` added up; what came of it goes to
        ``_unseen``."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, sums = self._backward(batches)
        norm = self._clip_gradients()
        # One exchange for everything the processes must agree on: a bad number, a signal, a checkpoint that is due.
        finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
        received = torch.full((), float(signals.received or 0), device=self.device)
        is_due = time.monotonic() - self._saved_at >= self.config.save_interval
        due = torch.full((), float(is_due), device=self.device)
        agreed = self.processes.max(torch.stack([(~finite).float(), received, due]))
        if self.steps_between_looks == 1 and agreed[0]:
            self._refuse_step(self.progress.position + 1, float(loss.detach()), float(norm))
        self.optimizer.step()
        if self.schedule.last_epoch + 1 < self.schedule.total_steps:
            self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.classifier)
        totals = self.processes.sum(torch.stack([value.double() for value in sums]))
        own = torch.stack([loss.detach().double(), norm.double()])
        self._unseen.append(torch.cat([totals, agreed.double(), own]))

    def _backward(self, batches: Iterator[Batch]) -> tuple[Tensor, list[Tensor]]:
        """Gradients of the mean loss of ``batches``, all of one size; gives that mean, and the sums of each."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")
        nothing: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        losses, sums = [], []
        for number, batch in enumerate(batches, start=1):
            # The processes exchange gradients once a step, with the last part.
            step, is_last = self.training_step, number == self.batches.num_parts
            waits = step.no_sync() if isinstance(step, DistributedDataParallel) and not is_last else nothing
            with waits:
                with autocast:
                    loss, of_batch = step(batch)
                (loss / self.batches.num_parts).backward()
            losses.append(loss.detach())
            sums.append(torch.stack([value.double() for value in of_batch]))
        return torch.stack(losses).mean(), list(torch.stack(sums).sum(dim=0))

    def _look(self) -> tuple[int, bool]:
        """Add the steps since the last look to the progress.

        Gives a signal that any process received, or 0, and whether a checkpoint is due for any.

        Raises TrainingError where one was not finite: steps were taken with it, but none was saved.
        """
        seen = torch.stack(self._unseen).tolist()
        first = self.progress.position - len(seen) + 1
        self._unseen.clear()
        for step, (loss, correct, count, is_bad, _, _, own_loss, norm) in enumerate(seen, start=first):
            if is_bad:
                self._refuse_step(step, own_loss, norm)
            self.progress.loss += loss
            self.progress.correct += int(correct)
            self.progress.count += int(count)
        return int(max(row[4] for row in seen)), any(row[5] for row in seen)

    def _clip_gradients(self) -> Tensor:
        """The gradient's norm before clipping, ()."""
        parameters = [p for p in self.classifier.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, self.config.clip_norm or math.inf)
        if self.config.clip_value:
            nn.utils.clip_grad_value_(parameters, self.config.clip_value)
        return norm

    def _refuse_step(self, step: int, loss: float, norm: float) -> None:
        kept = f"{self.run.last} holds step {self._saved_step}" if self.run else "no step was taken with it"
        raise TrainingError(
            f"epoch {self.progress.epoch + 1}, step {step}: expected a finite loss and gradient, "
            f"found loss {loss:g} and gradient norm {norm:g}; {kept}; start a new run with a lower --max-lr"
        )

    def _end_epoch(self) -> None:
        progress = self.progress
        judged = self.validate_heads()
        validated = judged[self.record.heads[0].name]
        if not math.isfinite(validated.loss):
            kept = f"; {self.run.last} holds step {self._saved_step}" if self.run else ""
            raise TrainingError(
                f"epoch {progress.epoch + 1}: expected a finite validation loss, found {validated.loss:g}{kept}; "
                "start a new run with a lower --max-lr"
            )
        row: Row = {
            "epoch": progress.epoch + 1,
            "steps": self.batches.num_steps,
            "train_loss": progress.loss / max(progress.count, 1),
            "train_accuracy": progress.correct / max(progress.count, 1),
            "validation_loss": validated.loss,
            "validation_accuracy": validated.accuracy,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "images_per_second": self._epoch_rate,
            "seconds": time.monotonic() - self._epoch_started,
        }
        if self.config.heads != "labels":
            row |= {f"validation_{name}_accuracy": means.accuracy for name, means in judged.items()}
        best = progress.best
        is_best = best is None or is_better(row, best)
        progress.rows.append(row)
        progress.epoch += 1
        progress.position, progress.loss, progress.correct, progress.count = 0, 0.0, 0, 0
        progress.stale_epochs = 0 if is_best else progress.stale_epochs + 1
        if is_best:
            progress.best_epoch = progress.epoch
            self._best_weights = _copied(self._evaluated.state_dict())
        if self.run and self.processes.is_main:
            self.run.write_history(progress.rows)
        self.reporter.line(self.classifier.epoch_end(progress.epoch, self.config.epochs, row))
        self.save()
        if self.on_epoch_end:
            self.on_epoch_end(row)

    def validate(self) -> EpochMeans:
        """Loss and accuracy of the main head; see ``validate_heads``."""
        return self.validate_heads()[self.record.heads[0].name]

    def validate_heads(self) -> dict[str, EpochMeans]:
        """Loss and accuracy of the averaged weights (the live ones without averaging) on validation, in fp32.

        By the name of the head; the accuracy of votes is that of their majority.
        """
        model = self._evaluated
        model.eval()
        for buffer in model.buffers():
            self.processes.take_from_main(buffer)  # batch norm's statistics differ; the main process's are saved
        heads = self.record.heads
        sums = torch.zeros(len(heads), 4, dtype=torch.float64, device=self.device)
        for batch in self.validation:
            for place, found in enumerate(model.validation_step(batch, heads)):
                sums[place] += torch.stack([value.double() for value in found])
        sums = self.processes.sum(sums)
        return {
            head.name: model.validation_epoch_end([ValidationSums(*row)])
            for head, row in zip(heads, sums.unbind(), strict=True)
        }

    @property
    def _evaluated(self) -> FacialExpressionClassifier:
        module = self.average.module if self.average is not None else self.classifier
        assert isinstance(module, FacialExpressionClassifier)
        return module

    def _stop(self, signal_number: int) -> None:
        self.save()
        where = f"step {self._step_reached}"
        if self.run is None:
            raise Interrupted(f"stopped after {where}; nothing was saved", signal_number)
        raise Interrupted(
            f"stopped after {where}, saved in {self.run.last}; "
            f"go on with: {self.run.resume_command(self.processes.count)}",
            signal_number,
        )

    def save(self) -> None:
        """Write the best weights, if new, then everything needed to go on.

        In this order a kill between them loses nothing: a run that goes on from the older ``last`` finds the same best
        again. All processes save together: each has its random state in the checkpoint. Raises StorageError; the
        checkpoints before stay.
        """
        state = self.state()
        if self.run is not None and self.processes.is_main:
            if self._best_weights is not None:
                best = self.progress.best
                assert best is not None
                metrics = {name: best[f"validation_{name}"] for name in ("loss", "accuracy")}
                record = replace(self.record, epoch=self.progress.best_epoch, metrics=metrics)
                save_checkpoint(self.run.best, {"record": record.to_dict(), "model": self._best_weights})
                self._best_weights = None
            save_checkpoint(self.run.last, state)
        self._saved_step = self._step_reached
        self._saved_at = time.monotonic()

    @property
    def _step_reached(self) -> str:
        return f"{self.progress.position} of epoch {self.progress.epoch + 1}"

    def state(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, as tensors and plain types; all processes ask together."""
        latest = self.progress.rows[-1] if self.progress.rows else None
        metrics = {name: latest[f"validation_{name}"] for name in ("loss", "accuracy")} if latest else {}
        average = self.average
        own, *others = self.processes.gather(random_states())
        return {
            "record": replace(self.record, epoch=self.progress.epoch, metrics=metrics).to_dict(),
            "model": self.classifier.state_dict(),
            "average": average and {"weights": average.module.state_dict(), "steps": average.n_averaged},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "progress": asdict(self.progress),
            "random": own,
            "random_of_others": others,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state``, what an earlier run's ``last`` checkpoint holds, was taken.

        Raises CheckpointError where it is not of this run; then nothing has changed.
        """
        with fits(self.run.last if self.run else self.record.path):
            check_state(state, self.config, self.classifier, self.optimizer, self.schedule)
        self.classifier.load_state_dict(state["model"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"]["weights"])
            self.average.n_averaged = state["average"]["steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.progress = Progress(**copy.deepcopy(state["progress"]))
        # A checkpoint of an earlier version holds the main process's alone.
        of_ranks = [state["random"], *state.get("random_of_others", ())]
        is_earlier, rank = "random_of_others" not in state, self.processes.rank
        if len(of_ranks) == self.processes.count or (is_earlier and rank == 0):
            restore_random_states(of_ranks[rank])
        elif is_earlier:
            seed_everything(self.config.seed + rank)
        else:  # of another number of processes: no state is anybody's
            seed_of_rank(self.config.seed, self.progress.epoch, self.progress.position, rank)
        self._saved_step = self._step_reached
        if self.run and self.processes.is_main:
            self.run.write_history(self.progress.rows)  # a kill may have left more epochs there than were saved


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}
