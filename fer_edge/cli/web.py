"""``web``: the page that runs the face detector and a model in its visitor's browser."""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.stopping import signal_behind
from fer_edge.errors import Interrupted
from fer_edge.text import shown_name


def web(
    out: Annotated[Path, typer.Option(help="Folder for the page; an earlier page there is replaced.")] = Path("site"),
    model: Annotated[
        Path | None,
        typer.Option(
            help=f"An .onnx model, INT8 by choice; {MODEL_HELP}", show_default=False, autocompletion=complete_model
        ),
    ] = None,
    webgpu_model: Annotated[
        Path | None,
        typer.Option(
            help="An fp16 or fp32 .onnx for browsers that have WebGPU.",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            help="The unpacked npm package onnxruntime-web; default: npm fetches it once.", show_default=False
        ),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Then serve the page on this machine until Ctrl-C.")] = False,
    host: Annotated[
        str,
        typer.Option(help="Address of --serve. 0.0.0.0: for a test, every machine in your network can open the page."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --serve; 0: any that is free.")] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Write a static page that reads expressions in the visitor's browser: camera or photo, nothing is uploaded.

    The folder can be put on any web host that uses https. Needs Node.js (npm) the first time, or `--onnxruntime-web`.

    Example: `fer-edge web --out site --serve`
    """
    from fer_edge.web.server import open_server
    from fer_edge.web.site import write_site

    path = model_named(model)
    files = write_site(out, path, webgpu_model=webgpu_model, onnxruntime_web=onnxruntime_web)
    output.note(f"model {shown_name(path)}")
    sizes = {file.path: len(file.data) for file in files}
    if as_json:
        output.result_json({"folder": str(out), "bytes": sum(sizes.values()), "files": sizes})
    else:
        for name, size in sizes.items():
            output.result(f"{size / 1e6:8.3f} MB  {name}")
        output.result(f"{sum(sizes.values()) / 1e6:8.3f} MB  in {len(sizes)} files")
    output.wrote(out)
    if not serve:
        return
    with open_server(out, port, host=host) as server:
        if server.is_local:
            output.note(f"serving {server.url} to this machine; Ctrl-C stops")
        else:
            output.note(f"warning: everybody who reaches this machine on port {server.server_port} can open the page")
            output.note("browsers give the camera to https and localhost only: elsewhere choose photos")
            output.note(f"serving {server.url} to your network; Ctrl-C stops")
        try:
            server.serve_forever()
        except KeyboardInterrupt as stop:
            raise Interrupted(f"stopped; the page is in {out}", signal_behind(stop)) from None
