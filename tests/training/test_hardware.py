import subprocess
import sys

import pytest
import torch

from fer_edge.errors import TrainingError
from fer_edge.training import hardware
from fer_edge.training.config import TrainConfig
from fer_edge.training.hardware import bf16_is_faster, choose_device, describe_machine, resolve

CPU = torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_cuda_is_an_error_that_says_why():
    with pytest.raises(TrainingError, match=r"--device cuda: expected a CUDA GPU, found none \(.+\); use --device cpu"):
        choose_device("cuda")
    assert choose_device("auto") == CPU


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", ""])
def test_an_unknown_device_is_an_error(name):
    with pytest.raises(TrainingError, match="expected auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_only_where_the_hardware_multiplies_it(monkeypatch, has_bf16, precision):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: has_bf16, raising=False)
    assert bf16_is_faster(CPU) is has_bf16
    assert resolve(TrainConfig(device="cpu")).precision == precision
    assert resolve(TrainConfig(device="cpu", precision="fp32")).precision == "fp32"


def test_resolving_leaves_nothing_to_guess():
    config = resolve(TrainConfig())
    assert config.device != "auto"
    assert config.precision != "auto"
    assert config.threads == torch.get_num_threads()
    assert resolve(config) == config


def test_the_machine_is_named(monkeypatch):
    text = describe_machine()
    assert f"torch {torch.__version__}" in text
    assert " cores" in text
    assert hardware.platform.system() in text


def test_torchvision_imports_beside_this_torch():
    code = "from fer_edge.training import torchvision_ops; import torchvision.models; print('fine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "fine", done.stderr
