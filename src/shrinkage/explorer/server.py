"""The page's server: this machine only, behind a token, every origin but our own refused."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from shrinkage.arguments import as_int
from shrinkage.errors import ExploreError, ShrinkageError
from shrinkage.explorer.commands import read_command
from shrinkage.explorer.messages import hello
from shrinkage.explorer.saved import save
from shrinkage.explorer.session import Session
from shrinkage.explorer.worker import Worker, as_text
from shrinkage.runs.records import Json

HOST = "127.0.0.1"
_KEPT = ("hello", "state", "glance", "look")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self' ws:; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Mailbox:
    """What one page has not got yet: of each kind only the newest, but every line that is said."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        self._lines = 0
        self._arrived = asyncio.Event()

    def put(self, kind: str, text: str) -> None:
        """Add a message; called in the server's thread."""
        if kind not in _KEPT:
            self._lines += 1
            kind = f"{kind} {self._lines}"
        self._waiting[kind] = text
        self._arrived.set()

    async def take(self) -> list[str]:
        """Wait for messages and take them all."""
        await self._arrived.wait()
        self._arrived.clear()
        taken, self._waiting = list(self._waiting.values()), {}
        return taken


class Hub:
    """All open pages: each gets every message, and a page that opens later the newest of each."""

    def __init__(self) -> None:
        self.pages: set[Mailbox] = set()
        self._newest: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def publish(self, message: Json) -> None:
        """Send to all pages, from any thread."""
        kind, text = str(message["kind"]), as_text(message)
        if kind in _KEPT:
            self._newest[kind] = text
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: so have the pages
                self._loop.call_soon_threadsafe(self._deliver, kind, text)

    def join(self) -> Mailbox:
        """A mailbox for a page that has just opened."""
        self._loop = asyncio.get_running_loop()
        box = Mailbox()
        for kind in _KEPT:
            if kind in self._newest:
                box.put(kind, self._newest[kind])
        self.pages.add(box)
        return box

    def _deliver(self, kind: str, text: str) -> None:
        for box in self.pages:
            box.put(kind, text)


class Guard:
    """Lets in who knows the token, asks for this machine by name, and comes from our own page."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 with one line, or pass on."""
        why = self._refusal(scope)
        if not why:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": why})
        else:
            await PlainTextResponse(why + "\n", 403, _HEADERS)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        origin = headers.get("origin")
        if headers.get("host") not in self._hosts:
            return "Another host: open the address that shrinkage explore printed."
        if origin is None and scope["type"] == "websocket":
            return "No origin: only the page itself may connect."
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return "Another origin: only the page itself may connect."
        given = unquote(scope["path"]).split("/")[1:2]
        if not secrets.compare_digest("".join(given).encode(), self._token.encode()):
            return "Wrong token: open the address that shrinkage explore printed."
        return ""


class Live:
    """A session on a page. ``address`` is where; :meth:`run` serves it until :meth:`stop`.

    ``say`` takes lines for the terminal. Raises :class:`ExploreError` for a port in use.
    """

    def __init__(
        self, session: Session, *, port: int, runs: Path, say: Callable[[str], None]
    ) -> None:
        self._socket = _bound(port)
        self.port = int(self._socket.getsockname()[1])
        self.token = secrets.token_urlsafe(16)
        self.address = f"http://{HOST}:{self.port}/{self.token}/"
        self.hub, self._say = Hub(), say
        self._saved: dict[str, Path] = {}
        self._runs = runs
        self.worker = Worker(session, self._published, self._save)
        self._published(hello(session))
        config = uvicorn.Config(
            Guard(self._app(), self.token, self.port),
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            ws_max_size=32 * 2**20,
            ws_per_message_deflate=False,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve and train until stopped, from this thread (Ctrl-C, in the main one) or another."""
        self.worker.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.worker.end()
            self.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    @property
    def is_up(self) -> bool:
        """Whether pages can be opened."""
        return self._server.started

    def stop(self) -> None:
        """End :meth:`run`, from any thread."""
        self._server.should_exit = True

    def _app(self) -> Starlette:
        static = files("shrinkage.explorer").joinpath("static")
        inside = [
            WebSocketRoute("/live", self._talk),
            Route("/report.css", _report_style),
            Route("/saved/{name}/{file}", self._saved_file),
            Mount("/", StaticFiles(directory=str(static), html=True)),
        ]
        return Starlette(routes=[Mount(f"/{self.token}", _WithHeaders(Starlette(routes=inside)))])

    async def _talk(self, socket: WebSocket) -> None:
        await socket.accept()
        box = self.hub.join()
        self._count()
        sender = asyncio.create_task(_forward(box, socket))
        try:
            while True:
                await self._hear(socket, box)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            sender.cancel()
            self.hub.pages.discard(box)
            self._count()

    async def _hear(self, socket: WebSocket, box: Mailbox) -> None:
        """One message: a command for the worker, or one line back about what is wrong with it."""
        try:
            message = await socket.receive_json()
        except (ValueError, KeyError):
            message = None
        try:
            self.worker.send(read_command(message))
        except ShrinkageError as error:
            box.put("said", as_text({"kind": "said", "text": str(error)}))

    def _count(self) -> None:
        pages = len(self.hub.pages)
        self.worker.watched_by(pages)
        self.hub.publish({"kind": "pages", "pages": pages})

    def _published(self, message: Json) -> None:
        self.hub.publish(message)
        if message["kind"] == "said" and not self.hub.pages:
            self._say(str(message["text"]))

    def _save(self, session: Session, picture: str) -> Json:
        folder = save(session, self._runs, picture)
        self._saved[folder.name] = folder
        self._say(f"Saved: {folder}")
        return {"folder": str(folder), "report": f"saved/{folder.name}/report.html"}

    async def _saved_file(self, request: Request) -> Response:
        folder = self._saved.get(request.path_params["name"])
        file = request.path_params["file"]
        if folder is None or file not in ("report.html", "picture.png"):
            return PlainTextResponse("Not saved in this session.\n", 404)
        # The report is one page with its own scripts inside; its own policy rules them.
        return FileResponse(folder / file, headers={"Cache-Control": "no-store"})


class _WithHeaders:
    """Adds the security headers to every answer but a saved report."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Any) -> None:
            if message["type"] == "http.response.start" and "/saved/" not in scope["path"]:
                extra = [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self._app(scope, receive, headed)


async def _forward(box: Mailbox, socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            for text in await box.take():
                await socket.send_text(text)


async def _report_style(_: Request) -> Response:
    css = files("shrinkage.reports").joinpath("page.css").read_text(encoding="utf-8")
    return Response(css, media_type="text/css")


def _bound(port: int) -> socket.socket:
    expected, remedy = "0 to 65535; 0 takes any that is free", "Leave --port out."
    port = as_int("port", port, most=65535, expected=expected, remedy=remedy, error=ExploreError)
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen(64)
    except OSError as error:
        made.close()
        raise ExploreError(
            f"port {port} cannot be used",
            got=error.strerror or str(error),
            expected="a free port of this machine",
            remedy="Leave --port out, and a free one is taken.",
        ) from None
    return made
