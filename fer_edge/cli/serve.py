"""``serve``: a model behind HTTP, by the Open Inference Protocol."""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.stopping import signal_behind
from fer_edge.cli.typed import Describe
from fer_edge.errors import Interrupted
from fer_edge.runtime.shipped import shipped_by_name
from fer_edge.text import shown_name


def serve(
    model: Annotated[
        Path | None,
        typer.Option(help=f"A model of any format; {MODEL_HELP}", show_default=False, autocompletion=complete_model),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What clients call it. [default: its file's name]", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0: whoever reaches this machine may ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Images of one size that are scored together.")] = 32,
    batch_deadline_ms: Annotated[
        float, typer.Option(min=0, max=10_000, help="How long an image waits for others while the model is free.")
    ] = 0.0,
    queue: Annotated[
        int, typer.Option(min=1, max=100_000, help="Images in the server; a request beyond them is answered 503.")
    ] = 256,
    max_body_mb: Annotated[
        float, typer.Option(min=0.001, max=1024, help="Megabytes of a request; a larger one is answered 413.")
    ] = 8.0,
    max_connections: Annotated[int, typer.Option(min=1, max=100_000, help="Connections open at a time.")] = 256,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds in which a client has to send a request.")
    ] = 10.0,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that clients send as 'Authorization: Bearer TOKEN'. [default: the environment's "
            "FER_EDGE_TOKEN, else none is asked for]",
            show_default=False,
        ),
    ] = None,
    provider: Annotated[str, typer.Option(help="cpu, cuda, or auto: the best there is.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads inside an operator; 0: as many as cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address and the model as JSON.")] = False,
    describe: Describe = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a model whose loading runs code, or of operators unusual here.")
    ] = False,
) -> None:
    """Serve a model over HTTP by the Open Inference Protocol v2 (KServe, Triton): JSON and binary tensors.

    Clients send pixels or image files of faces; docs/serving.md has the protocol and the limits. Ends on Ctrl-C or
    SIGTERM after what is under way was answered. Needs `pip install 'fer-edge[serve]'`.

    Example: `fer-edge serve --model fer-tiny --port 8000`
    """
    from fer_edge.backends import open_model
    from fer_edge.serving.model import ServedModel
    from fer_edge.serving.server import open_server, require_packages
    from fer_edge.serving.settings import ServerSettings
    from fer_edge.serving.token import read_token

    require_packages()
    settings = ServerSettings(
        batch=batch,
        batch_deadline_ms=batch_deadline_ms,
        queue=queue,
        max_body_bytes=round(max_body_mb * 2**20),
        max_connections=max_connections,
        client_timeout_s=timeout,
        token=read_token(token_file),
    )
    path = model_named(model)
    backend = open_model(path, trust=trust, threads=threads, provider=provider, description=describe)
    served = ServedModel(backend, _name_of(path) if name is None else name, max_pixels=settings.max_pixels)
    server = open_server(served, settings, port, host=host)
    output.note(f"model {shown_name(path)} on {backend.provider}, as {served.name}")
    if not server.is_local:
        if settings.token is None:
            output.note("warning: whoever reaches this machine may ask; --token-file asks for a token")
        output.note("warning: plain HTTP; for TLS put a reverse proxy before it")
    output.note(f"serving {server.url}/v2/models/{served.name}; Ctrl-C stops")
    if as_json:
        output.result_json({"url": server.url, "model": served.name, "labels": list(served.labels)})
    try:
        server.run()
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; what was under way was answered", signal_behind(stop)) from None


def _name_of(path: Path) -> str:
    """What a shipped model is called, or its file without the suffix."""
    return next((one.name for one in shipped_by_name().values() if one.path == path), path.stem)
