"""The FastAPI app: the routes of the Open Inference Protocol, and what every request has to pass first."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from fer_edge.serving.batcher import Batcher
from fer_edge.serving.limits import Limits
from fer_edge.serving.metrics import Metrics
from fer_edge.serving.model import VERSION, ServedModel
from fer_edge.serving.protocol import HEADER_LENGTH, parse_request, render_answer
from fer_edge.serving.settings import ServerSettings
from fer_edge.serving.tensors import RequestError, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI, Request, Response

EXTENSIONS = ("binary_tensor_data", "classification")
DECODERS = 2
"""Threads that open image files."""
_OPEN = "/v2/health/"
"""Below it anybody may ask: it says no more than that somebody listens."""


def make_app(model: ServedModel, settings: ServerSettings) -> "FastAPI":
    """The app that serves ``model``. It opens no connection, and no model but this one."""
    from fastapi import FastAPI
    from starlette.exceptions import HTTPException

    handlers = _Handlers(model, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> "AsyncIterator[None]":
        yield
        handlers.close()

    # No pages of documentation: theirs load scripts from elsewhere.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    for path, answer in handlers.routes().items():
        methods = ["POST"] if path.endswith("/infer") else ["GET"]
        app.add_route(path, answer, methods=methods, include_in_schema=False)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(_Gate, handlers=handlers)
    app.state.handlers = handlers
    return app


class _Handlers:
    def __init__(self, model: ServedModel, settings: ServerSettings) -> None:
        self.model = model
        self.metrics = Metrics(model.name)
        self.limits = Limits(settings, self.metrics)
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
        self._batcher = Batcher(
            model.run,
            size=settings.batch,
            deadline_s=settings.batch_deadline_ms / 1e3,
            observe=self.metrics.scored,
        )
        self._token = None if settings.token is None else settings.token.encode()

    def routes(self) -> "dict[str, Callable[[Request], Awaitable[Response]]]":
        """Every path, and what answers there."""
        found: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/v2": self.server,
            "/v2/": self.server,
            "/v2/health/live": self.healthy,
            "/v2/health/ready": self.healthy,
            "/metrics": self.show_metrics,
        }
        for one in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            found |= {one: self.describe, f"{one}/ready": self.ready, f"{one}/infer": self.infer}
        return found

    def check_token(self, authorization: bytes) -> None:
        """Refuse (RequestError) a request without the token, in a time that does not tell how much of it was right."""
        if self._token is None:
            return
        scheme, _, found = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(found.strip(), self._token):
            raise RequestError(
                "expected the header 'Authorization: Bearer TOKEN' with this server's token, found another or none",
                401,
                {"WWW-Authenticate": "Bearer"},
            )

    async def server(self, _: "Request") -> "Response":
        from fer_edge import __version__

        return _json({"name": "fer_edge", "version": __version__, "extensions": list(EXTENSIONS)})

    async def healthy(self, _: "Request") -> "Response":
        return _json({})

    async def show_metrics(self, _: "Request") -> "Response":
        return _respond(self.metrics.text(), media_type=self.metrics.media_type)

    async def describe(self, request: "Request") -> "Response":
        self._check_model(request)
        return _json(self.model.description())

    async def ready(self, request: "Request") -> "Response":
        self._check_model(request)
        return _json({})

    async def infer(self, request: "Request") -> "Response":
        self._check_model(request)
        with self.limits.body() as held:
            asked = parse_request(await held.read(request), request.headers.get(HEADER_LENGTH))
            self.model.check_outputs(asked)
            if len(asked.inputs) == 1:
                self.limits.check_images(asked.inputs[0].shape[0])
            with self.limits.images(asked.inputs[0].shape[0]):
                if self.model.is_cheap(asked):
                    feeds = self.model.feeds(asked)
                else:
                    loop = asyncio.get_running_loop()
                    feeds = await loop.run_in_executor(self._decoders, self.model.feeds, asked)
                held.holds(sum(feed.array.nbytes for feed in feeds))
                found = await self._batcher.score(feeds)
        outputs = self.model.answer(asked, found)
        body, json_length = render_answer(self.model.name, VERSION, asked.id, outputs)
        if json_length is None:
            return _respond(body, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(json_length)}
        return _respond(body, media_type="application/octet-stream", headers=headers)

    def close(self) -> None:
        """Let the threads end."""
        self._decoders.shutdown(wait=True, cancel_futures=True)
        self._batcher.close()

    def _check_model(self, request: "Request") -> None:
        name, version = request.path_params["name"], request.path_params.get("version", VERSION)
        if name != self.model.name:
            raise RequestError(f"expected the model '{self.model.name}', found '{shown(name)}'", 404)
        if version != VERSION:
            raise RequestError(f"expected version {VERSION}, found '{shown(version)}'", 404)


class _Gate:
    """Before every route: the token, encodings that are not taken; and after it the metrics."""

    def __init__(self, app: Any, *, handlers: _Handlers) -> None:
        self._app = app
        self._handlers = handlers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        metrics = self._handlers.metrics
        start = metrics.now()
        status = 0

        async def counted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
        except RequestError as error:
            await _error(error)(scope, receive, counted)
        else:
            try:
                await self._app(scope, receive, counted)
            except Exception:
                status = 500
                raise
        finally:
            metrics.answered(scope["path"], status, start)

    def _check(self, scope: Any) -> None:
        headers = dict(scope["headers"])
        if not scope["path"].startswith(_OPEN):
            self._handlers.check_token(headers.get(b"authorization", b""))
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"", b"identity"):
            raise RequestError(f"Content-Encoding: expected none, found '{shown(encoding.decode('latin-1'))}'", 415)


def _respond(body: bytes, *, status: int = 200, media_type: str, headers: dict[str, str] | None = None) -> "Response":
    from starlette.responses import Response

    return Response(body, status, headers, media_type)


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> "Response":
    return _respond(msgspec.json.encode(value), status=status, media_type="application/json", headers=headers)


def _error(error: RequestError) -> "Response":
    return _json({"error": str(error)}, status=error.status, headers=error.headers)


async def _refused(_: "Request", error: Exception) -> "Response":
    assert isinstance(error, RequestError)
    return _error(error)


async def _no_route(request: "Request", error: Exception) -> "Response":
    status: int = getattr(error, "status_code", 404)
    headers = getattr(error, "headers", None)
    told = "expected a path of the Open Inference Protocol that this server has"
    if status == 405:
        told = f"expected another method than {shown(request.method)} here"
    return _json({"error": f"{told}; see docs/serving.md"}, status=status, headers=headers)


async def _failed(_: "Request", __: Exception) -> "Response":
    return _json({"error": "the server failed; its log says why"}, status=500)
