"""Which part of a machine runs the model. What was asked for is what runs, or an error says what is missing."""

import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import onnxruntime

from fer_edge.errors import ProviderError, ProviderNameError
from fer_edge.runtime.onnxruntime_packages import install_advice, reinstalling

if not hasattr(onnxruntime, "InferenceSession"):  # a folder that another package's removal left without its files
    raise ProviderError(install_advice())

PROVIDERS = ("cpu", "cuda", "auto")

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"

# cuDNN's major version for each CUDA major version that onnxruntime-gpu is built for
# (https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#requirements).
_CUDNN_OF_CUDA = {"11": "8", "12": "9", "13": "9"}


@dataclass(frozen=True)
class ProviderChoice:
    """The provider that a session is opened with."""

    name: str
    """``cpu`` or ``cuda``."""
    note: str
    """For ``auto``: what was chosen and why, in one line; otherwise empty."""

    @property
    def onnxruntime_names(self) -> list[str]:
        """For InferenceSession: onnxruntime runs on its CPU what CUDA has no kernel for, so CPU always comes last."""
        return [CUDA_PROVIDER, CPU_PROVIDER] if self.name == "cuda" else [CPU_PROVIDER]


def choose_provider(requested: str) -> ProviderChoice:
    """``cpu``, ``cuda`` (or a ProviderError that lists what is missing), or ``auto``: CUDA where all of it is there."""
    if requested not in PROVIDERS:
        raise ProviderNameError(f"expected a provider of {', '.join(PROVIDERS)}, found {requested!r}")
    if requested == "cpu":
        return ProviderChoice("cpu", "")
    missing = list(missing_for_cuda())
    if requested == "auto":
        if missing:
            return ProviderChoice("cpu", f"auto chose cpu; for cuda is missing: {'; '.join(missing)}")
        return ProviderChoice("cuda", "auto chose cuda")
    if missing:
        raise ProviderError(f"expected the provider cuda, found missing: {'; '.join(missing)}; or use the provider cpu")
    return ProviderChoice("cuda", "")


def missing_for_cuda() -> Iterator[str]:
    """Each part that CUDA needs and this machine lacks (package, driver, libraries); nothing where all is there."""
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        yield f"onnxruntime with CUDA ({reinstalling('onnxruntime-gpu')})"
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    if not _loads(driver):
        yield f"the NVIDIA driver ({driver} does not load; nvidia-smi shows whether one is installed)"
    if CUDA_PROVIDER in onnxruntime.get_available_providers():
        if hasattr(
            onnxruntime, "preload_dlls"
        ):  # since 1.21: also finds the libraries that pip's nvidia-* packages bring
            onnxruntime.preload_dlls()
        for library, package in _cuda_libraries():
            if not _loads(library):
                yield f"{library} (pip install {package}, or NVIDIA's own packages)"


def _cuda_libraries() -> Iterator[tuple[str, str]]:
    """Library and pip package of each that onnxruntime-gpu loads, of the versions it is built for."""
    cuda = str(getattr(onnxruntime, "cuda_version", "") or "12").split(".")[0]
    cudnn = _CUDNN_OF_CUDA.get(cuda, "9")
    suffix = f"-cu{cuda}" if cuda != "13" else ""  # NVIDIA dropped the suffix with CUDA 13, except for cuDNN
    if sys.platform == "win32":
        yield f"cudart64_{cuda}.dll", f"nvidia-cuda-runtime{suffix}"
        yield f"cublasLt64_{cuda}.dll", f"nvidia-cublas{suffix}"
        yield f"cudnn64_{cudnn}.dll", f"nvidia-cudnn-cu{cuda}"
    else:
        yield f"libcudart.so.{cuda}", f"nvidia-cuda-runtime{suffix}"
        yield f"libcublasLt.so.{cuda}", f"nvidia-cublas{suffix}"
        yield f"libcudnn.so.{cudnn}", f"nvidia-cudnn-cu{cuda}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
