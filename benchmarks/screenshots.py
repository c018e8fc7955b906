"""Makes the README's pictures of the browser page, in headless Chromium: docs/web-{light,dark,phone}.png.

make browser
python benchmarks/screenshots.py [--model exported/NAME.onnx]
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "web"))

import browser
from PIL import Image

from fer_edge.files import make_folder
from fer_edge.runtime.shipped import default_model
from fer_edge.web.server import open_server
from fer_edge.web.site import write_site

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
COLOURS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the shipped one")
    options = parser.parse_args()
    if reason := browser.missing():
        raise SystemExit(f"error: {reason}")
    shots = {DOCS / f"web-{name}.png": name for name in ("light", "dark", "phone")}
    make_folder(DOCS)
    with tempfile.TemporaryDirectory() as site:
        write_site(Path(site), options.model or default_model())
        with open_server(Path(site), 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            wanted = [
                {"path": str(path), "dark": name == "dark", "phone": name == "phone"} for path, name in shots.items()
            ]
            browser.drive("screenshots", url=server.url, shots=wanted)
            server.shutdown()
    for path in shots:
        with Image.open(path) as image:  # a palette: a third of the bytes
            small = image.convert("RGB").quantize(COLOURS)
        small.save(path, optimize=True)
        print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
