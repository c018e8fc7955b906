"""``fit_one_cycle``: epochs of augmented batches under PyTorch's OneCycleLR, resumable after any step."""

import copy
import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_edge.data.faces import FaceData
from fer_edge.errors import Interrupted, TrainingError
from fer_edge.training.batches import TrainingBatches, validation_batches
from fer_edge.training.checkpoint import Record, random_states, restore_random_states, save_checkpoint
from fer_edge.training.classifier import (
    Batch,
    EpochMeans,
    FacialExpressionClassifier,
    StepSums,
    balanced_class_weights,
)
from fer_edge.training.distributed import Processes
from fer_edge.training.history import History, Progress, Row
from fer_edge.training.optimizer import average_weights, build_optimizer, build_schedule
from fer_edge.training.progress import Reporter
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.signals import StopSignals

EpochCallback = Callable[[Row], None]


class _TrainingStep(nn.Module):
    """The classifier's training step as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, classifier: FacialExpressionClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: Batch) -> tuple[Tensor, StepSums]:
        return self.classifier.training_step(batch)


class OneCycle:
    """One training run: everything that changes from step to step, and how to save and restore it.

    Args:
        classifier: moved to the device in ``record.config``, trained in place.
        data: the splits; validation must not be empty.
        record: settings (resolved: no 'auto') and origin of the run.
        run: where checkpoints and history go; None keeps nothing.
        processes: who trains together. Only the main one writes.
        reporter: who shows it.
        on_epoch_end: called on every process with each epoch's row; may raise to stop.
        taught: the teachers' probabilities for each training face, float32 (N, 7), if the settings name teachers.
    """

    def __init__(
        self,
        classifier: FacialExpressionClassifier,
        data: FaceData,
        record: Record,
        *,
        run: RunFolder | None = None,
        processes: Processes | None = None,
        reporter: Reporter | None = None,
        on_epoch_end: EpochCallback | None = None,
        taught: Tensor | None = None,
    ) -> None:
        self.config = config = record.config
        self.record, self.run = record, run
        self.processes = processes or Processes()
        self.reporter = reporter or Reporter(quiet=True)
        self.on_epoch_end = on_epoch_end
        self.device = torch.device(config.device)
        placement: dict[str, Any] = {"mean": record.mean, "std": record.std, "device": self.device}
        self.batches = TrainingBatches(data.train, config, processes=self.processes, taught=taught, **placement)
        self.validation = validation_batches(data.split("validation"), processes=self.processes, **placement)

        memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        self.classifier = classifier.to(self.device)
        self.classifier.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack it
        self.classifier.label_smoothing = config.label_smoothing
        self.classifier.distillation, self.classifier.temperature = config.distillation, config.temperature
        if config.class_weights:
            weights = balanced_class_weights(torch.from_numpy(data.train.labels))
            self.classifier.class_weights = weights.to(self.device)
        if self.processes.count > 1 and self.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(self.classifier)  # there is none for the CPU
        self.average = average_weights(self.classifier, config.ema_decay) if config.ema_decay else None
        self.optimizer = build_optimizer(self.classifier, config)
        self.schedule = build_schedule(self.optimizer, config, config.epochs * self.batches.num_steps)
        step: nn.Module = _TrainingStep(self.classifier)
        self.training_step = DistributedDataParallel(step) if self.processes.count > 1 else step

        self.progress = Progress()
        self._best_weights: dict[str, Tensor] | None = None  # of the best epoch, until they are written
        self._saved_at = time.monotonic()
        self._saved_step = ""

    def fit(self) -> History:
        """Train to the end of the schedule, or until patience runs out.

        Raises Interrupted after a signal (the step finished and saved), TrainingError before a step whose loss or
        gradient is not finite (the last checkpoint stays), StorageError when a checkpoint cannot be written (the
        one before stays).
        """
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
            batch = self.batches.batch(progress.epoch, progress.position)
            lr = float(self.optimizer.param_groups[0]["lr"])
            sums, stop = self._step(batch, signals)
            progress.position += 1
            progress.loss += float(sums.loss)
            progress.correct += int(sums.correct)
            progress.count += int(sums.num_faces)
            images += self.batches.batch_size
            mean_loss = progress.loss / progress.count
            self.reporter.step(progress.position, num_steps, images=images, loss=mean_loss, lr=lr)
            if stop:
                self._stop(stop)
            if time.monotonic() - self._saved_at >= self.config.save_interval:
                self.save()
        self._epoch_rate = images / max(time.monotonic() - self._epoch_started, 1e-9)

    def _step(self, batch: Batch, signals: StopSignals) -> tuple[StepSums, int]:
        """One optimizer step on all processes; the second value is the number of a signal that any of them received."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")
        with autocast:
            loss, sums = self.training_step(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = self._clip_gradients()
        # One exchange for everything the processes must agree on before they step: a bad number, or a signal.
        finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
        verdict = torch.stack([(~finite).float(), torch.tensor(float(signals.received or 0), device=self.device)])
        is_bad, stop = self.processes.max(verdict).tolist()
        if is_bad:
            self._refuse_step(float(loss.detach()), float(norm))
        self.optimizer.step()
        if self.schedule.last_epoch + 1 < self.schedule.total_steps:
            self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.classifier)
        totals = self.processes.sum(torch.stack([value.double() for value in sums]))
        return StepSums(*totals), int(stop)

    def _clip_gradients(self) -> Tensor:
        """The gradient's norm before clipping, ()."""
        parameters = [p for p in self.classifier.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, self.config.clip_norm or math.inf)
        if self.config.clip_value:
            nn.utils.clip_grad_value_(parameters, self.config.clip_value)
        return norm

    def _refuse_step(self, loss: float, norm: float) -> None:
        kept = f"{self.run.last} holds step {self._saved_step}" if self.run else "no step was taken with it"
        raise TrainingError(
            f"epoch {self.progress.epoch + 1}, step {self.progress.position + 1}: expected a finite loss and gradient, "
            f"found loss {loss:g} and gradient norm {norm:g}; {kept}; start a new run with a lower --max-lr"
        )

    def _end_epoch(self) -> None:
        progress = self.progress
        validated = self.validate()
        if not math.isfinite(validated.loss):
            kept = f"; {self.run.last} holds step {self._saved_step}" if self.run else ""
            raise TrainingError(
                f"epoch {progress.epoch + 1}: expected a finite validation loss, found {validated.loss:g}{kept}; "
                "start a new run with a lower --max-lr"
            )
        row: Row = {
            "epoch": progress.epoch + 1,
            "steps": self.batches.num_steps,
            "train_loss": progress.loss / progress.count,
            "train_accuracy": progress.correct / progress.count,
            "validation_loss": validated.loss,
            "validation_accuracy": validated.accuracy,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "images_per_second": self._epoch_rate,
            "seconds": time.monotonic() - self._epoch_started,
        }
        best = progress.best
        is_best = best is None or (row["validation_accuracy"], -row["validation_loss"]) > (
            best["validation_accuracy"],
            -best["validation_loss"],
        )
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
        """Loss and accuracy of the averaged weights (the live ones without averaging) on validation, in fp32."""
        model = self._evaluated
        model.eval()
        for buffer in model.buffers():
            self.processes.take_from_main(buffer)  # batch norm's statistics differ; the main process's are saved
        steps = [model.validation_step(batch) for batch in self.validation]
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        for step in steps:
            sums += torch.stack([value.double() for value in step])
        return model.validation_epoch_end([StepSums(*self.processes.sum(sums))])

    @property
    def _evaluated(self) -> FacialExpressionClassifier:
        module = self.average.module if self.average is not None else self.classifier
        assert isinstance(module, FacialExpressionClassifier)
        return module

    def _stop(self, signal_number: int) -> None:
        self.save()
        where = f"step {self.progress.position} of epoch {self.progress.epoch + 1}"
        count = self.processes.count
        launcher = "python" if count == 1 else f"torchrun --standalone --nproc_per_node={count}"
        if self.run is None:
            raise Interrupted(f"stopped after {where}; nothing was saved", signal_number)
        raise Interrupted(
            f"stopped after {where}, saved in {self.run.last}; "
            f"go on with: {launcher} cli.py train --resume {shlex.quote(str(self.run.path))}",
            signal_number,
        )

    def save(self) -> None:
        """Write the best weights, if new, then everything needed to go on.

        In this order a kill between them loses nothing: a run that goes on from the older ``last`` finds the same best
        again. Raises StorageError; the checkpoints before stay.
        """
        if self.run is not None and self.processes.is_main:
            if self._best_weights is not None:
                best = self.progress.best
                assert best is not None
                metrics = {name: best[f"validation_{name}"] for name in ("loss", "accuracy")}
                record = replace(self.record, epoch=self.progress.best_epoch, metrics=metrics)
                save_checkpoint(self.run.best, {"record": record.to_dict(), "model": self._best_weights})
                self._best_weights = None
            save_checkpoint(self.run.last, self.state())
        self._saved_step = f"{self.progress.position} of epoch {self.progress.epoch + 1}"
        self._saved_at = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, as tensors and plain types."""
        latest = self.progress.rows[-1] if self.progress.rows else None
        metrics = {name: latest[f"validation_{name}"] for name in ("loss", "accuracy")} if latest else {}
        average = self.average
        return {
            "record": replace(self.record, epoch=self.progress.epoch, metrics=metrics).to_dict(),
            "model": self.classifier.state_dict(),
            "average": average and {"weights": average.module.state_dict(), "steps": int(average.n_averaged)},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "progress": asdict(self.progress),
            "random": random_states(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        self.classifier.load_state_dict(state["model"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"]["weights"])
            self.average.n_averaged.fill_(state["average"]["steps"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.progress = Progress(**copy.deepcopy(state["progress"]))
        restore_random_states(state["random"])
        if self.run and self.processes.is_main:
            self.run.write_history(self.progress.rows)  # a kill may have left more epochs there than were saved


def fit_one_cycle(
    classifier: FacialExpressionClassifier,
    data: FaceData,
    record: Record,
    *,
    run: RunFolder | None = None,
    processes: Processes | None = None,
    reporter: Reporter | None = None,
    on_epoch_end: EpochCallback | None = None,
    taught: Tensor | None = None,
    state: Mapping[str, Any] | None = None,
) -> History:
    """Train ``classifier`` under one cycle of learning rate and momentum (Smith and Topin 2017, *Super-Convergence*).

    ``state`` is what an earlier run's ``last`` checkpoint holds, to go on from there. See OneCycle for the arguments
    and ``OneCycle.fit`` for what is raised. The classifier ends with the last epoch's live weights; the best are in
    ``run``.
    """
    cycle = OneCycle(
        classifier,
        data,
        record,
        run=run,
        processes=processes,
        reporter=reporter,
        on_epoch_end=on_epoch_end,
        taught=taught,
    )
    if state is not None:
        cycle.restore(state)
    elif run is not None:
        cycle.save()
    return cycle.fit()


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}
