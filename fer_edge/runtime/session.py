"""Opens an onnxruntime session from checked bytes, and checks that model and provider are those asked for."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from fer_edge.errors import ModelError, ProviderError
from fer_edge.files import temporary_folder
from fer_edge.metadata import METADATA_KEY, PIXELS, ModelMetadata, TensorContract
from fer_edge.runtime.cores import default_threads
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.inference import are_probabilities, model_feed
from fer_edge.runtime.model_file import ModelFile
from fer_edge.runtime.onnxruntime_packages import upgrading
from fer_edge.runtime.providers import CUDA_PROVIDER, ProviderChoice
from fer_edge.runtime.saturation import FULL_PRECISION, saturates
from fer_edge.text import printable

MIN_CUDA_NODE_SHARE = 0.5
"""Below it, "runs on CUDA" would mislead: onnxruntime keeps a few shape computations on the CPU, not half of all."""

MAX_THREADS = 256
"""More than any processor this is for has; onnxruntime starts each of them at once, whether there is work or not."""

MAX_KEPT_PIXELS = 2**21
"""Of a run whose memory onnxruntime keeps for the next: 2 megapixels, about 50 MB. It would keep that of the largest
run for good, 1.6 GB after a photo of 50 megapixels. Giving back costs milliseconds, which only large photos pay."""

_ERRORS_ONLY, _FATAL_ONLY = 3, 4  # onnxruntime's log severities
_DTYPES = {
    "uint8": "tensor(uint8)",
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "bool": "tensor(bool)",
}


@dataclass(frozen=True)
class ExecutedNode:
    """One node that onnxruntime ran, after its own optimisation."""

    operator: str
    provider: str


def open_session(
    model: ModelFile, choice: ProviderChoice, *, threads: int = 0
) -> tuple[onnxruntime.InferenceSession, float | None]:
    """A session on the model's bytes, and the share (0-1) of nodes that CUDA ran: None for the CPU provider.

    ``threads`` are those inside an operator; 0: see ``default_threads``.
    Raises ModelError when onnxruntime refuses the model or it differs from its metadata, and ProviderError when another
    provider than the chosen one would run it, or for another number of threads than 0 to MAX_THREADS.
    """
    check_threads(threads)
    _check_version(model)
    options = session_options(threads, full_precision=_needs_full_precision(model))
    if choice.name == "cuda":
        # Counting on which provider nodes ran needs onnxruntime's profiler; it stops after the first image (see below).
        with temporary_folder() as folder:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            try:
                session = _create(model, options, choice)
                share = _cuda_node_share(session, model)
            except ModelError as error:
                raise ProviderError(f"expected the provider cuda to run the model, found: {error}") from error
        return session, share
    return _create(model, options, choice), None


def check_threads(threads: int) -> None:
    """Refuse (ProviderError) another number of threads than 0 to MAX_THREADS."""
    if not isinstance(threads, int) or isinstance(threads, bool) or not 0 <= threads <= MAX_THREADS:
        raise ProviderError(f"expected threads from 0 (as many as cores) to {MAX_THREADS}, found {threads!r:.40}")


def session_options(threads: int = 0, *, full_precision: bool = False) -> onnxruntime.SessionOptions:
    """Options that all sessions of this project share: errors only in the log, a set number of threads.

    The rest stays as onnxruntime has it, which measured best (benchmarks/session_settings.py, with its result in
    benchmarks/results/session_settings.json): the graph optimised fully (an INT8 ResNet18 without the extended level
    took five times the processor time), weights packed when loading, nodes one after the other. Memory arena, memory
    patterns and denormals made no difference that could be told. One thing is changed: threads stop spinning when an
    answer is there. At a camera's 30 images a second on 2 threads that took 4 instead of 35 ms of processor time an
    image; the next answer comes a millisecond later, and no later where images follow one another at once.

    ``full_precision`` is for 8-bit models where they would saturate (see ``saturation``): half as fast, but right.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or default_threads()
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if full_precision:
        options.add_session_config_entry(FULL_PRECISION, "1")
    return options


def _needs_full_precision(model: ModelFile) -> bool:
    """Whether the model would answer wrongly here without. Raises ModelError where it would with it, too."""
    if not model.metadata.may_saturate or not saturates():
        return False
    if saturates(full_precision=True):
        raise ModelError(
            f"{model.path}: expected a processor with 8-bit dot products (VNNI), found one on which sums saturate, and "
            f"an onnxruntime ({onnxruntime.__version__}) that cannot add them in full; take a newer onnxruntime, or a "
            "model exported with --target portable"
        )
    return True


def run_options(num_pixels: int = 0) -> onnxruntime.RunOptions:
    """Options of one run: what fails is raised, so onnxruntime need not also write it to stderr in colours.

    ``num_pixels``: of all images of the run. Above MAX_KEPT_PIXELS the memory that the run took is given back after it.
    """
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL_ONLY
    if num_pixels > MAX_KEPT_PIXELS:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def executed_nodes(model: ModelFile) -> list[ExecutedNode]:
    """The nodes that onnxruntime runs on the CPU for one blank image, after its own optimisation. Raises ModelError."""
    with temporary_folder() as folder:
        options = session_options(full_precision=_needs_full_precision(model))
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = _create(model, options, ProviderChoice("cpu", ""))
        with onnxruntime_errors(model.path):
            return _profiled_nodes(session, model.metadata)


@contextmanager
def onnxruntime_errors(path: Path) -> Iterator[None]:
    """Turn what onnxruntime raises inside the block into a ModelError of one line that names the model."""
    try:
        yield
    except Exception as error:  # its exceptions (Fail, InvalidGraph, ...) share no base but Exception
        reason = " ".join(str(error).split())  # its end says what is wrong, its start where in the C++ sources
        raise ModelError(f"{path}: onnxruntime {onnxruntime.__version__} cannot run it: {reason[-300:]}") from error


def _check_version(model: ModelFile) -> None:
    """Say what to install where this onnxruntime is older than the file: its own message speaks of IR versions."""
    needed = model.metadata.minimum_onnxruntime
    if needed is not None and version_numbers(onnxruntime.__version__) < version_numbers(needed):
        raise ModelError(
            f"{model.path}: expected onnxruntime {needed} or later, found {onnxruntime.__version__}; run: {upgrading()}"
        )


def version_numbers(version: str) -> tuple[int, ...]:
    """``1.18.1`` and ``1.18.1.dev20`` to (1, 18, 1)."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())


def _create(
    model: ModelFile, options: onnxruntime.SessionOptions, choice: ProviderChoice
) -> onnxruntime.InferenceSession:
    with onnxruntime_errors(model.path):
        session = onnxruntime.InferenceSession(
            model.data, options, providers=choice.onnxruntime_names, enable_fallback=0
        )
    session.disable_fallback()
    found = session.get_providers()
    if found != choice.onnxruntime_names:
        raise ProviderError(
            f"{model.path}: expected the providers {choice.onnxruntime_names}, found {found}: onnxruntime could not "
            f"start {choice.name}, its log says why; or use the provider cpu"
        )
    _check_contract(session, model)
    return session


def _check_contract(session: onnxruntime.InferenceSession, model: ModelFile) -> None:
    """The graph that was loaded must be what its metadata say: these themselves, names, dtypes and shapes."""
    if isinstance(model.metadata, ForeignMetadata):
        _check_described(session, model, model.metadata)
        return
    metadata_in_session = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")
    in_session = ModelMetadata.from_json(metadata_in_session, where=str(model.path))
    # The sidecar alone may state the uncertainty, bound to the file by its hash.
    if in_session not in (model.metadata, replace(model.metadata, uncertainty=None)):
        raise ModelError(
            f"{model.path}: expected the metadata that were checked, found that onnxruntime reads others; export again"
        )
    _check_tensors("input", session.get_inputs(), (model.metadata.input,), model.path)
    _check_tensors("output", session.get_outputs(), model.metadata.outputs, model.path)
    _check_answers(model)


def _check_described(session: onnxruntime.InferenceSession, model: ModelFile, metadata: ForeignMetadata) -> None:
    """Answers to noise must be what the description says: a row for each image, a column for each label, logits or
    probabilities. A file need not state shapes, so the model is run."""
    described, output = metadata.description, metadata.outputs[0].name
    height, width = described.size or (1, 1)
    images = metadata.input.fixed_batch or 2
    noise = np.random.default_rng(0).integers(0, 256, (images, height, width, described.channels), dtype=np.uint8)
    feed = {metadata.input.name: model_feed(noise, metadata)}
    with onnxruntime_errors(model.path):
        found = np.asarray(session.run([output], feed, run_options())[0])
    if found.size != images * len(metadata.labels) or found.shape[:1] != (images,):
        others = [one.name for one in session.get_outputs() if one.name != output]
        way = f"say output={printable(' or output='.join(others))}" if others else "check the labels"
        if found.dtype == object:  # scikit-learn's dictionaries
            way = "export it without ZipMap (skl2onnx: options={'zipmap': False})"
        raise ModelError(
            f"{model.path}: expected an output {output} of {images} images and {len(metadata.labels)} classes, as many "
            f"as labels are described ({described.source}), found one of shape {', '.join(map(str, found.shape))}; "
            f"{way}"
        )
    are_whole = are_probabilities(found.reshape(images, -1).astype(np.float64))
    if are_whole != (described.outputs == "probabilities"):
        what = "probabilities" if are_whole else "rows that do not add up to 1"
        other = "probabilities" if are_whole else "logits"
        raise ModelError(
            f"{model.path}: expected {described.outputs} from the output {output}, as described ({described.source}), "
            f"found {what}; say outputs={other}"
        )


def _check_answers(model: ModelFile) -> None:
    """What the metadata promise must be answers: logits, and from pixels probabilities, a column for each label."""
    num_classes = len(model.metadata.labels)
    shapes = {output.name: output.shape for output in model.metadata.outputs}
    for name in ("probabilities", "logits") if model.metadata.input.kind == PIXELS else ("logits",):
        shape = shapes.get(name)
        if shape is None or len(shape) != 2 or shape[1] != num_classes:
            found = "none" if shape is None else f"one of shape {', '.join(map(str, shape))}"
            raise ModelError(
                f"{model.path}: expected an output {name} of shape batch, {num_classes}, found {found}; export it again"
            )


def _check_tensors(role: str, found: list[Any], expected: tuple[TensorContract, ...], path: Path) -> None:
    expected_lines = [_line(one.name, _DTYPES.get(one.dtype, one.dtype), one.shape) for one in expected]
    found_lines = [_line(one.name, one.type, one.shape) for one in found]
    if found_lines != expected_lines:
        raise ModelError(
            f"{path}: expected the {role} {', '.join(expected_lines)} of its metadata, found {', '.join(found_lines)} "
            "in the graph; export it again"
        )


def _line(name: str, dtype: str, shape: Any) -> str:
    """``image tensor(uint8) [?, ?, ?, ?]``: names of dynamic dimensions do not count, onnxruntime may drop them."""
    return f"{name} {dtype} [{', '.join(str(size) if isinstance(size, int) else '?' for size in shape)}]"


def _cuda_node_share(session: onnxruntime.InferenceSession, model: ModelFile) -> float:
    with onnxruntime_errors(model.path):
        providers = Counter(node.provider for node in _profiled_nodes(session, model.metadata))
    share = providers[CUDA_PROVIDER] / max(providers.total(), 1)
    if share < MIN_CUDA_NODE_SHARE:
        raise ProviderError(
            f"{model.path}: expected CUDA to run at least {MIN_CUDA_NODE_SHARE:.0%} of the nodes, found {share:.0%} "
            f"({dict(providers)}); use the provider cpu, or export the model again as fp32 or fp16"
        )
    return share


def _profiled_nodes(session: onnxruntime.InferenceSession, metadata: ModelMetadata) -> list[ExecutedNode]:
    """Run one blank image under onnxruntime's profiler, stop the profiler, and read which kernels ran where."""
    session.run(None, {metadata.input.name: blank_batch(metadata)}, run_options())
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [
        ExecutedNode(event["args"]["op_name"], event["args"]["provider"])
        for event in events
        if event.get("cat") == "Node" and "provider" in event.get("args", {})
    ]


def blank_batch(metadata: ModelMetadata) -> np.ndarray:
    """One black image of the training size in the model's own input layout; dynamic dimensions other than the batch and
    the channels take the image size."""
    sizes = {"batch": 1, "channels": metadata.input.channels[0]}
    shape = [one if isinstance(one, int) else sizes.get(one, metadata.image_size) for one in metadata.input.shape]
    return np.zeros(shape, dtype=metadata.input.dtype)
