"""The server of the page: JSON and pictures from the records, and the page's own files."""

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genbench import UserError
from genbench.files import to_json
from genbench.ui import views
from genbench.ui.store import Store

STATIC = Path(__file__).with_name("static")
OURS = ["127.0.0.1", "localhost", "::1", "[::1]"]
HEADERS = {
    # Plotly writes a style element; nothing else is inline, and nothing comes from elsewhere
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
SECONDS = 2  # that open requests have at the end
Answer = Callable[[Request], Response]


class Headers:
    """The same headers on every answer."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with HEADERS."""

        async def more(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, more)


class Json(JSONResponse):
    """Strict JSON: numbers that are none are text."""

    def render(self, content: Any) -> bytes:
        """The bytes that are sent."""
        return to_json(content).encode()


class Pages:
    """The answers, each from the records as they are now."""

    def __init__(self, store: Store):
        self.store = store

    def runs(self, request: Request) -> Response:
        """What changed since the page asked last."""
        asked = request.query_params
        return Json(self.store.changes(_number(asked.get("since")), asked.get("session", "")))

    def run(self, request: Request) -> Response:
        """All of one run but its log."""
        record = self.store.record(request.path_params["name"])
        return Json(views.detail(record, self.store.folder))

    def log(self, request: Request) -> Response:
        """The rows of a run's log that the page has not got."""
        record, asked = self.store.record(request.path_params["name"]), request.query_params
        rows = views.log(record.path, _number(asked.get("at")), asked.get("generation", ""))
        named = {name for row in rows["rows"] if "file" not in row for name in row}
        return Json(rows | {"titles": views.titles(named)})

    def codes(self, request: Request) -> Response:
        """A run's codes on a plane."""
        record = self.store.record(request.path_params["name"])
        path = record.path / "latents.npz"
        return Json(views.codes_at(record.path, self._stamp(path)) if path.exists() else {"n": 0})

    def kept(self, request: Request) -> Response:
        """Pictures of pictures.npz or latents.npz as a grid."""
        name = request.path_params["array"]
        record = self.store.record(request.path_params["name"])
        archive = record.path / ("latents.npz" if name == "codes" else "pictures.npz")
        tag = f'"{self._stamp(archive)}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        content = views.grid(record, name)
        return Response(content, media_type="image/png", headers={"ETag": tag})

    def picture(self, request: Request) -> Response:
        """A picture that a run's record names."""
        asked = request.path_params
        path = self.store.picture(asked["name"], asked["file"])
        tag = f'"{self._stamp(path)}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        return FileResponse(path, media_type="image/png", headers={"ETag": tag})

    def study(self, request: Request) -> Response:
        """A search, whole."""
        row, study = self.store.study(request.path_params["name"])
        return Json(row | {"study": study})

    def _stamp(self, path: Path) -> str:
        """What changes when the file does; `KeyError` if it lies elsewhere or is not there."""
        if not self.store.inside(path) or not path.is_file():
            raise KeyError(path.name)
        status = path.stat()
        text = f"{path} {status.st_mtime_ns} {status.st_size}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _number(text: str | None) -> int:
    """A number that the page sent, 0 for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html")


def _missing(request: Request, error: Exception) -> Response:
    return Json({"error": "the records have no such thing"}, status_code=404)


def make_app(folder: Path, local: bool = True, host: str = "127.0.0.1") -> Starlette:
    """The page over the records in a folder, which need not be there.

    Args:
        folder: With the run folders.
        local: Only this machine is to reach it: requests by another name are refused, so that no
            web page can have its own name point here and read the answers (DNS rebinding).
        host: The address that it is served at.
    """
    pages = Pages(Store(folder))
    found = find_spec("plotly")  # without an import, which takes a second
    if not found or not found.origin:
        raise UserError("genbench ui: pip install plotly, which draws its charts")
    plotly = Path(found.origin).parent / "package_data"
    run = "/api/runs/{name}"
    routes: list[Route | Mount] = [
        Route("/", _page),
        Mount("/plotly", StaticFiles(directory=plotly)),
        Route("/api/runs", pages.runs),
        Route(run, pages.run),
        Route(f"{run}/log", pages.log),
        Route(f"{run}/codes", pages.codes),
        Route(f"{run}/kept/{{array}}.png", pages.kept),
        Route(f"{run}/files/{{file:path}}", pages.picture),
        Route("/api/studies/{name}", pages.study),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    middleware = [
        Middleware(Headers),
        Middleware(TrustedHostMiddleware, allowed_hosts=[*OURS, host] if local else ["*"]),
        Middleware(GZipMiddleware, minimum_size=4096, compresslevel=1),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={KeyError: _missing})


def server_of(app: Starlette) -> uvicorn.Server:
    """What answers for the app; Ctrl-C and SIGTERM end it, and are then raised as elsewhere."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        server_header=False,
        timeout_graceful_shutdown=SECONDS,
    )
    return uvicorn.Server(config)
