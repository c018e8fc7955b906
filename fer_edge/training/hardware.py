"""What this machine offers, and the settings that follow from it."""

import platform
from dataclasses import replace

import torch

from fer_edge.errors import SettingError, TrainingError
from fer_edge.runtime.cores import available_cores
from fer_edge.runtime.machine import processor_name
from fer_edge.training.config import TrainConfig


def choose_device(wanted: str) -> torch.device:
    """The device for 'auto', 'cpu', 'cuda' or 'cuda:N'. Raises TrainingError when CUDA is asked for and not there."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise SettingError(f"--device: expected auto, cpu, cuda or cuda:N, found {wanted!r}") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            why = "this torch is a CPU build" if torch.version.cuda is None else "no NVIDIA driver or GPU answers"
            raise TrainingError(f"--device {wanted}: expected a CUDA GPU, found none ({why}); use --device cpu")
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise TrainingError(f"--device {wanted}: expected a GPU number below {torch.cuda.device_count()}")
    elif device.type != "cpu":
        raise SettingError(f"--device: expected auto, cpu, cuda or cuda:N, found {wanted!r}")
    return device


def bf16_is_faster(device: torch.device) -> bool:
    """Whether bf16 beats fp32 on ``device``: where the hardware multiplies bf16 itself, rather than emulating it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch has no public question for this; these two tell AVX512-BF16 and AMX. Emulated bf16 is slower than fp32.
    answers = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(answer is not None and answer() for answer in answers)


def resolve(config: TrainConfig) -> TrainConfig:
    """``config`` with 'auto' device and precision and zero threads replaced by what this machine gives.

    Raises TrainingError when a device that is asked for is not there.
    """
    device = choose_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if bf16_is_faster(device) else "fp32"
    return replace(config, device=str(device), precision=precision, threads=config.threads or torch.get_num_threads())


def describe_machine(device: torch.device | str = "cpu") -> str:
    """One line that names the hardware behind a number: processor, cores, and the GPU if it is used."""
    text = f"{processor_name()}, {available_cores()} cores, {platform.system()}, torch {torch.__version__}"
    device = torch.device(device)
    return f"{torch.cuda.get_device_name(device)}; {text}" if device.type == "cuda" else text
