"""Teachers and students on one GPU: ``python recipes/gpu_distill.py DATA OUT``, in under ten minutes on an H100.

Three ResNet18 (3x3 stem) learn FER-2013's labels and FER+'s votes from the original pixels of ``DATA`` (FER+'s folder
layout); a ResNet18 (stem ``no_pool``) and a ResNet10 at half width then learn from both and from the mean of the
teachers. Every network has fifteen outputs: seven for the labels, eight for the votes. ``OUT`` gets the students'
averaged weights in half precision, what the teachers say of every training face, and a log with each epoch.
"""

import csv
import json
import math
import multiprocessing as mp
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock

from fer_edge.data.votes import majority, probability
from fer_edge.labels import FER2013
from fer_edge.training import torchvision_ops  # noqa: F401  # must come before torchvision
from fer_edge.training.corruptions import Corruptions, corrupt

TEACHER_S, STUDENT_S = 110.0, 110.0
BATCH, DECAY, SMOOTHING, TEMPERATURE, DISTILLATION = 256, 5e-4, 0.1, 2.0, 0.7
LABELS, VOTES = slice(0, 7), slice(7, 15)


def load(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Faces, FER-2013 labels, votes and their sources of the splits train and validation."""
    with (folder / "fer2013new.csv").open(newline="") as stream:
        votes = {row[1]: [int(x) for x in row[2:]] for row in list(csv.reader(stream))[1:] if row[1]}
    with (folder / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    splits = {}
    for split, usage, name in (("train", "Training", "FER2013Train"), ("validation", "PublicTest", "FER2013Valid")):
        chosen = [row for row in rows if row["usage"] == usage and (folder / name / row["image"]).is_file()]
        splits[split] = {
            "faces": np.stack([np.asarray(Image.open(folder / name / row["image"]).convert("L")) for row in chosen]),
            "labels": np.array([FER2013.index(row["fer2013_label"]) for row in chosen]),
            "votes": np.array([votes[row["image"]] for row in chosen], np.float32),
            "images": np.array([row["image"] for row in chosen]),
        }
    return splits


def resnet(stem: str) -> nn.Module:
    """ResNet18 with fifteen outputs, stem ``small`` (3x3 stride 1) or ``no_pool`` (7x7 stride 2), one grey channel."""
    network = resnet18(weights=None)
    small = stem == "small"
    network.conv1 = nn.Conv2d(1, 64, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    network.fc = nn.Linear(512, 15)
    return network


def resnet10_half() -> nn.Module:
    """The architecture resnet10_half of fer_edge, with fifteen outputs."""
    layers = {"conv1": nn.Conv2d(1, 32, 3, 2, 1, bias=False), "bn1": nn.BatchNorm2d(32), "relu": nn.ReLU(inplace=True)}
    inputs = 32
    for number, outputs in enumerate((32, 64, 128, 256), start=1):
        stride, shortcut = 1 if number == 1 else 2, None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        layers[f"layer{number}"], inputs = BasicBlock(inputs, outputs, stride, shortcut), outputs
    layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(inputs, 15)}
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def vary(faces: torch.Tensor, rng: np.random.Generator, mean: float, std: float) -> torch.Tensor:
    """Corrupted, moved, mirrored, erased and normalised faces float32 (N, 1, S, S) of uint8 (N, S, S)."""
    n, size = faces.shape[0], faces.shape[-1]
    draws = Corruptions(
        rng.random(n) < 0.2,
        np.exp(rng.uniform(-0.6, 0.6, n)).astype(np.float32),
        np.where(rng.random(n) < 0.15, rng.integers(16, 41, n), 0),
        np.where(rng.random(n) < 0.2, rng.integers(30, 96, n), 0),
    )
    faces = corrupt(faces, draws)
    angle, zoom = np.radians(rng.uniform(-10, 10, n)), 1 / (1 + rng.uniform(-0.1, 0.1, n))
    mirror, move = np.where(rng.random(n) < 0.5, -1.0, 1.0), 2 * rng.integers(-4, 5, (n, 2)) / size
    affine = np.empty((n, 2, 3), np.float32)
    affine[:, 0] = np.stack([np.cos(angle) * zoom * mirror, -np.sin(angle) * zoom, move[:, 0]], 1)
    affine[:, 1] = np.stack([np.sin(angle) * zoom * mirror, np.cos(angle) * zoom, move[:, 1]], 1)
    plain = rng.random(n) < 0.4  # whole-pixel moves alone: what is judged has not been interpolated
    affine[plain, 0, 0], affine[plain, 0, 1], affine[plain, 1, 0], affine[plain, 1, 1] = mirror[plain], 0, 0, 1
    grid = F.affine_grid(
        torch.from_numpy(affine).to(faces.device, non_blocking=True), [n, 1, size, size], align_corners=False
    )
    x = F.grid_sample(
        faces[:, None].float() / 255, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    light = torch.from_numpy(rng.uniform(-1, 1, (2, n, 1, 1, 1)).astype(np.float32)).to(faces.device, non_blocking=True)
    centre = x.mean((2, 3), keepdim=True)
    x = (x - centre) * (1 + 0.25 * light[0]) + centre + 0.12 * light[1]
    x = (x - mean) / std
    corner = rng.random((n, 2)) * 0.7
    extent = np.where(rng.random((n, 1)) < 0.25, rng.uniform(0.15, 0.45, (n, 2)), 0)
    box = torch.from_numpy(np.concatenate([corner, corner + extent], 1).astype(np.float32)).to(
        faces.device, non_blocking=True
    )
    at = (torch.arange(size, device=faces.device) + 0.5) / size
    rows = (at >= box[:, 0:1]) & (at < box[:, 2:3])
    columns = (at >= box[:, 1:2]) & (at < box[:, 3:4])
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def loss_of(
    logits: torch.Tensor, labels: torch.Tensor, votes: torch.Tensor, taught: torch.Tensor | None
) -> torch.Tensor:
    """Cross-entropy of the labels plus that of the votes; with ``taught`` (logits) mixed with the teachers' distance."""
    of_votes = -(votes * F.log_softmax(logits[:, VOTES], 1)).sum(1).mean()  # all 0 where votes say nothing
    own = F.cross_entropy(logits[:, LABELS], labels, label_smoothing=SMOOTHING) + of_votes
    if taught is None:
        return own
    distance = sum(
        TEMPERATURE**2
        * F.kl_div(
            F.log_softmax(logits[:, head] / TEMPERATURE, 1),
            F.log_softmax(taught[:, head] / TEMPERATURE, 1),
            log_target=True,
            reduction="batchmean",
        )
        for head in (LABELS, VOTES)
    )
    return (1 - DISTILLATION) * own + DISTILLATION * distance


@torch.inference_mode()
def answers(network: nn.Module, faces: torch.Tensor, mean: float, std: float, mirrored: bool) -> torch.Tensor:
    """Logits float32 (N, 15), the mean of face and mirror image where ``mirrored``."""
    network.eval()
    found = []
    for part in faces.split(2048):
        x = (part[:, None].float() / 255 - mean) / std
        found.append((network(x) + network(x.flip(3))) / 2 if mirrored else network(x))
    return torch.cat(found).float()


def fit(
    name: str, kind: str, data: dict, seed: int, budget_s: float, out: Path, taught: np.ndarray | None, max_lr: float
) -> None:
    """Train one network for ``budget_s`` seconds: the number of epochs is set after timing sixty steps."""
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(4)
    train, valid = data["train"], data["validation"]
    mean, std = float(train["faces"].mean() / 255), float(train["faces"].std() / 255)
    faces, labels = torch.from_numpy(train["faces"]).to(device), torch.from_numpy(train["labels"]).to(device)
    votes = torch.from_numpy(probability(train["votes"])).to(device)
    teachers = None if taught is None else torch.from_numpy(taught).float().to(device)
    shown = torch.from_numpy(valid["faces"]).to(device)
    truth, most = valid["labels"], majority(valid["votes"])
    network = (resnet10_half() if kind == "resnet10_half" else resnet(kind)).to(
        device, memory_format=torch.channels_last
    )
    average = {
        key: value.detach().clone().float() if value.is_floating_point() else value.clone()
        for key, value in network.state_dict().items()
    }
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=0.001,
        momentum=0.9,
        nesterov=True,
    )
    live = [v for v in network.state_dict().values() if v.is_floating_point()]
    kept = [v for v in average.values() if v.is_floating_point()]
    steps = len(faces) // BATCH
    rng = np.random.default_rng(seed)
    total, step, started, order, history = None, 0, time.monotonic(), None, []
    warm = 0.0
    while total is None or step < total:
        if step % steps == 0:
            order = torch.from_numpy(rng.permutation(len(faces))).to(device)
        rows = order[(step % steps) * BATCH : (step % steps + 1) * BATCH]
        if step == 20:
            if device.type == "cuda":
                torch.cuda.synchronize()
            warm = time.monotonic()
        if total is None and step == min(80, steps):
            if device.type == "cuda":
                torch.cuda.synchronize()
            per_step = (time.monotonic() - warm) / (step - 20) if step > 20 else 1.0
            epochs = max(2, int((budget_s - (time.monotonic() - started)) / (per_step * 1.06 * steps)))
            total = min(epochs, 200) * steps
        progress = step / (total or 40 * steps)
        rise = 0.2
        lr = (
            max_lr * (0.04 + 0.96 * progress / rise)
            if progress < rise
            else max_lr * 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))
        )
        for group in optimizer.param_groups:
            group["lr"] = lr
        network.train()
        x = vary(faces[rows], rng, mean, std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(x)
        loss = loss_of(logits.float(), labels[rows], votes[rows], None if teachers is None else teachers[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(kept, live, 1 - min(0.9985, (1 + step) / (10 + step)))
        step += 1
        if total is not None and (step == total or step % (steps * max(1, total // steps // 20)) == 0):
            judged = resnet10_half() if kind == "resnet10_half" else resnet(kind)
            judged.load_state_dict(average)
            logits = answers(judged.to(device), shown, mean, std, False).cpu().numpy()
            is_clear = most >= 0
            history.append(
                {
                    "epoch": step // steps,
                    "epochs": total // steps,
                    "loss": float(loss.detach()),
                    "lr": lr,
                    "validation_accuracy": float((logits[:, LABELS].argmax(1) == truth).mean()),
                    "validation_votes_accuracy": float((logits[:, VOTES].argmax(1) == most)[is_clear].mean()),
                    "seconds": time.monotonic() - started,
                }
            )
            print(name, json.dumps(history[-1]), flush=True)
    judged.load_state_dict(average)
    if taught is None:
        np.save(out / f"{name}.npy", answers(judged.to(device), faces, mean, std, True).cpu().numpy())
        np.save(out / f"{name}-validation.npy", answers(judged.to(device), shown, mean, std, True).cpu().numpy())
    else:
        state = {f"network.{k}": v.half() if v.is_floating_point() else v for k, v in average.items()}
        torch.save({"model": state, "mean": mean, "std": std}, out / f"{name}.pt")
    (out / f"{name}.json").write_text(
        json.dumps(
            {
                "name": name,
                "kind": kind,
                "seed": seed,
                "batch": BATCH,
                "max_lr": max_lr,
                "epochs": total // steps,
                "mean": mean,
                "std": std,
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                "history": history,
            },
            indent=1,
        )
    )


def together(jobs: list[tuple]) -> None:
    """Run each job in a process of its own, and wait for all."""
    context = mp.get_context("spawn")
    processes = [context.Process(target=fit, args=job) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def main() -> None:
    """Teachers, then students."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    scale = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    work = Path("/tmp/gpu-work")
    work.mkdir(exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    data = load(folder)
    if scale < 1:
        data = {split: {k: v[:1200] for k, v in one.items()} for split, one in data.items()}
    together([(f"teacher-{s}", "small", data, s, TEACHER_S * scale, work, None, 0.15) for s in range(3)])
    found = sorted(work.glob("teacher-?.npy"))
    taught = np.mean([np.load(path) for path in found], axis=0)
    judged = np.mean([np.load(work / f"{path.stem}-validation.npy") for path in found], axis=0)
    most = majority(data["validation"]["votes"])
    ensemble = {
        "teachers": len(found),
        "validation_accuracy": float((judged[:, LABELS].argmax(1) == data["validation"]["labels"]).mean()),
        "validation_votes_accuracy": float((judged[:, VOTES].argmax(1) == most)[most >= 0].mean()),
    }
    print("ensemble", json.dumps(ensemble), flush=True)
    np.savez_compressed(out / "teachers.npz", images=data["train"]["images"], logits=taught.astype(np.float16))
    (out / "ensemble.json").write_text(json.dumps(ensemble, indent=1))
    together(
        [
            ("fer-resnet18", "no_pool", data, 10, STUDENT_S * scale, work, taught, 0.15),
            ("fer-tiny", "resnet10_half", data, 11, STUDENT_S * scale, work, taught, 0.2),
        ]
    )


if __name__ == "__main__":
    main()
