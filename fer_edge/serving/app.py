"""The FastAPI app: the routes of the Open Inference Protocol, and what every request has to pass first."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from fer_edge.serving.batcher import Batcher
from fer_edge.serving.limits import Limits, Receive
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

    class App(FastAPI):  # type: ignore[misc,unused-ignore]  # not installed where types are checked
        """With the gate before everything that FastAPI does for a request itself."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await gate(scope, receive, send)

    # No pages of documentation: theirs load scripts from elsewhere.
    app = App(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    for path, answer in handlers.routes().items():
        methods = ["POST"] if path.endswith("/infer") else ["GET"]
        app.add_route(path, answer, methods=methods, include_in_schema=False)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)
    gate = _Gate(super(App, app).__call__, handlers)
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
        """The route: for other models and versions; what is asked of this one, ``_Gate`` hands on at once."""
        self._check_model(request)
        body, headers = await self.answer(dict(request.scope["headers"]), request.receive)
        return _respond(body, media_type=None, headers={name.decode(): value.decode() for name, value in headers})

    async def answer(self, headers: Mapping[bytes, bytes], receive: Receive) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Body and headers of the answer to an inference request. Raises RequestError."""
        with self.limits.body() as held:
            length = headers.get(HEADER_LENGTH)
            asked = parse_request(
                await held.read(headers, receive), None if length is None else length.decode("latin-1")
            )
            self.model.check_outputs(asked)
            images = asked.inputs[0].shape[0]
            self.limits.check_images(images)
            with self.limits.images(images):
                if self.model.is_cheap(asked):
                    feeds = self.model.feeds(asked)
                else:
                    loop = asyncio.get_running_loop()
                    feeds = await loop.run_in_executor(self._decoders, self.model.feeds, asked)
                held.holds(sum(feed.array.nbytes for feed in feeds))
                found = await self._batcher.score(feeds)
        body, json_length = render_answer(self.model.name, VERSION, asked.id, self.model.answer(asked, found))
        if json_length is None:
            return body, [(b"content-type", b"application/json")]
        return body, [
            (b"content-type", b"application/octet-stream"),
            (HEADER_LENGTH, b"%d" % json_length),
        ]

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
    """Before FastAPI: the token, encodings that are not taken; and after it the metrics."""

    def __init__(self, app: Any, handlers: _Handlers) -> None:
        self._app = app
        self._handlers = handlers
        own = f"/v2/models/{handlers.model.name}"
        self._infer = (f"{own}/infer", f"{own}/versions/{VERSION}/infer")

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
            headers = dict(scope["headers"])
            self._check(scope["path"], headers)
            if scope["path"] in self._infer and scope["method"] == "POST":  # past FastAPI: most requests are these
                body, more = await self._handlers.answer(headers, receive)
                start_message = {"type": "http.response.start", "status": 200, "headers": more}
                more.append((b"content-length", b"%d" % len(body)))
                await counted(start_message)
                await send({"type": "http.response.body", "body": body})
            else:
                await self._app(scope, receive, counted)
        except RequestError as error:
            await _error(error)(scope, receive, counted)
        except Exception:
            if not status:  # raised here: FastAPI answers what is raised in it
                await _fault()(scope, receive, counted)
            raise
        finally:
            metrics.answered(scope["path"], status, start)

    def _check(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        if not path.startswith(_OPEN):
            self._handlers.check_token(headers.get(b"authorization", b""))
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
            raise RequestError(f"Content-Encoding: expected none, found '{shown(encoding.decode('latin-1'))}'", 415)


def _respond(
    body: bytes, *, status: int = 200, media_type: str | None, headers: dict[str, str] | None = None
) -> "Response":
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
    return _fault()


def _fault() -> "Response":
    return _json({"error": "the server failed; its log says why"}, status=500)
