"""Writes the page as a static folder that any web host can serve."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import WebError
from fer_edge.files import make_folder
from fer_edge.folder_manifest import earlier_files, file_entry, replace_folder, with_files
from fer_edge.metadata import PIXELS, sidecar_json
from fer_edge.runtime import crops, detector, whole_faces
from fer_edge.runtime.model_file import ModelFile, read_model
from fer_edge.web.onnxruntime_web import FILES, WASM, WEBGPU, runtime_files

PAGE = Path(__file__).parent / "page"
"""The sources, which are served as they are: what one reads there is what runs."""

MANIFEST = "site.json"
"""Tells the page which files there are and how Python finds faces, and the next call which files it may replace."""

_EXPECTED = f"an earlier page (its {MANIFEST} as it was written)"

CAMERA_SIDE = 320
"""Pixels to which a camera's picture is made smaller before faces are searched in it: speed counts there."""

SMOOTHING = 0.4
"""Share of the newest camera frame in the bars that are shown (0-1); photos are shown as measured."""

POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",  # WebAssembly counts as evaluated code; JavaScript still may not be
    "worker-src": "'self'",
    "connect-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
"""The content-security policy: nothing but the page's own files, from the page's own host."""

HEADERS: Mapping[str, str] = {
    # frame-ancestors is known to headers alone, so it is not in the page's own <meta>.
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items())
    + "; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What a host should send with every file; the policy also holds for the worker only where it is sent."""

_MODELS, _RUNTIME = "models", "onnxruntime-web"
_POLICY_PLACE = "{{CSP}}"


@dataclass(frozen=True)
class SiteFile:
    """One file of the page."""

    path: str
    """Below the page's folder, with slashes."""
    data: bytes

    def as_dict(self) -> dict[str, Any]:
        """What site.json says about it."""
        return file_entry(self.path, self.data)


def write_site(
    out: Path, model: Path, *, webgpu_model: Path | None = None, onnxruntime_web: Path | None = None
) -> list[SiteFile]:
    """Write the page around ``model`` into ``out``, and return its files.

    ``model`` runs on WebAssembly everywhere; ``webgpu_model`` (fp16 or fp32) takes its place where the browser has
    WebGPU. ``onnxruntime_web``: a folder with that package, see ``runtime_files``. A page that is there already is
    replaced, file by file; what else lies there stays. Raises ModelError, WebError, and StorageError where ``out``
    holds something else than a page, a changed file of one, or cannot be written.
    """
    earlier_files(out, MANIFEST, _EXPECTED)  # before the work: it raises
    models = {WASM: _browser_model(model)}
    if webgpu_model is not None:
        models = {WEBGPU: _gpu_model(webgpu_model), **models}
        _refuse_other_labels(models[WASM], models[WEBGPU])
    files = _page_files() + _model_files(models.values()) + _runtime_files(list(models), onnxruntime_web)
    files.append(_manifest(models, files))
    with replace_folder(out, MANIFEST, _EXPECTED) as stage:
        for file in files:
            make_folder((stage / file.path).parent)
            (stage / file.path).write_bytes(file.data)
    return files


def _browser_model(path: Path) -> ModelFile:
    model = read_model(path)
    contract = model.metadata.input
    if model.onnx is None or contract.kind != PIXELS or 4 not in contract.channels:
        raise WebError(
            f"{path}: expected an .onnx model that takes RGBA pixels, found {model.metadata.format} with "
            f"{contract.kind} input; export one with 'fer-edge export --checkpoint runs/NAME --precision int8'"
        )
    return model


def _gpu_model(path: Path) -> ModelFile:
    model = _browser_model(path)
    if model.metadata.precision == "int8":
        raise WebError(
            f"{path}: expected fp16 or fp32 for WebGPU, which is slow at 8-bit integers, found int8; export one with "
            "'fer-edge export --checkpoint runs/NAME --precision fp16'"
        )
    return model


def _refuse_other_labels(model: ModelFile, webgpu_model: ModelFile) -> None:
    if webgpu_model.metadata.labels != model.metadata.labels:
        raise WebError(
            f"{webgpu_model.path}: expected the labels {', '.join(model.metadata.labels)} of {model.path.name}, found "
            f"{', '.join(webgpu_model.metadata.labels)}; export both from one checkpoint"
        )


def _page_files() -> list[SiteFile]:
    files = []
    policy = HEADERS["Content-Security-Policy"].rpartition(";")[0]
    for path in sorted(PAGE.iterdir()):
        data = path.read_bytes()
        if path.suffix == ".html":
            data = data.replace(_POLICY_PLACE.encode(), policy.encode())
        files.append(SiteFile(path.name, data))
    licence = detector.WEIGHTS.with_name("yunet-LICENSE.txt").read_bytes()
    at = next(index for index, file in enumerate(files) if file.path == "licenses.txt")
    files[at] = SiteFile("licenses.txt", files[at].data + b"\nYuNet, the face detector\n\n" + licence)
    return [*files, _headers_file()]


def _headers_file() -> SiteFile:
    """The headers for hosts that read them from a file of this name (Netlify, Cloudflare Pages)."""
    lines = ["/*", *(f"  {name}: {value}" for name, value in HEADERS.items())]
    return SiteFile("_headers", ("\n".join(lines) + "\n").encode())


def _model_files(models: Any) -> list[SiteFile]:
    files = {}
    for model in models:
        metadata = sidecar_json(model.metadata, model.sha256).encode()
        for file in (SiteFile(_model_path(model), model.data), SiteFile(_metadata_path(model), metadata)):
            files[file.path] = file
    data = detector.WEIGHTS.read_bytes()
    return [*files.values(), SiteFile(f"{_MODELS}/{detector.WEIGHTS.name}", data)]


def _runtime_files(providers: list[str], folder: Path | None) -> list[SiteFile]:
    return [SiteFile(_runtime_path(name), data) for name, data in runtime_files(providers, folder).items()]


def _runtime_path(name: str) -> str:
    """Where a file of onnxruntime-web lies. Modules end in ``.js``: many hosts know no ``.mjs`` (Debian's nginx sends
    it as bytes, IIS not at all), and browsers run no module that does not come as JavaScript."""
    return f"{_RUNTIME}/{name.removesuffix('.mjs')}.js" if name.endswith(".mjs") else f"{_RUNTIME}/{name}"


def _model_path(model: ModelFile) -> str:
    return f"{_MODELS}/{model.path.name}"


def _metadata_path(model: ModelFile) -> str:
    return f"{_MODELS}/{model.path.stem}.json"


def _manifest(models: Mapping[str, ModelFile], files: list[SiteFile]) -> SiteFile:
    described = {file.path: file.as_dict() for file in files}
    framing, finder = crops.Framing(), detector.FaceDetector()
    manifest = {
        "labels": models[WASM].metadata.labels,
        "models": [
            {
                "provider": provider,
                "precision": model.metadata.precision,
                "model": described[_model_path(model)],
                "card": _metadata_path(model),
            }
            for provider, model in models.items()
        ],
        "detector": described[f"{_MODELS}/{detector.WEIGHTS.name}"],
        "onnxruntime": {provider: [described[_runtime_path(name)] for name in FILES[provider]] for provider in models},
        "faces": {
            "minScore": finder.min_score,
            "maxOverlap": finder.max_overlap,
            "photoSide": finder.max_side,
            "cameraSide": CAMERA_SIDE,
            "margin": framing.margin,
            "maxCropSide": crops.MAX_CROP_SIDE,
            "minSide": detector.MIN_SIDE,
            "maxUnsearchedSide": whole_faces.MAX_UNSEARCHED_SIDE,
            "minFill": whole_faces.MIN_FILL,
            "maxShift": whole_faces.MAX_SHIFT,
            "squareTolerance": whole_faces.SQUARE_TOLERANCE,
            "smoothing": SMOOTHING,
        },
    }
    whole = with_files(manifest, {file.path: file.data for file in files})
    return SiteFile(MANIFEST, (json.dumps(whole, indent=2) + "\n").encode())
