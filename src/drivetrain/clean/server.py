"""The server of the cleaning page: for one person, on this machine, with a token.

    with Server(desk) as server:
        print(server.start_url)                          # opens once, and sets the cookie
        server.serve_forever()

It listens on a loopback address alone. Any page in the same browser can send requests to it, and a name
that an attacker owns can be made to mean 127.0.0.1 (DNS rebinding); hence, before anything of a request
is read: its Host is one of our own names with our port, its cookie is the one that the start address
has set, and the browser says that it comes from our own page (`Sec-Fetch-Site`, a header that other
sites cannot send, `Origin`). Bodies are JSON of a bounded size. What a request names is looked up in a
table; nothing of it becomes a path.

Why Python's own server: see docs/decisions/0022-cleaning-page.md.
"""

from __future__ import annotations

import contextlib
import hmac
import http.server
import json
import re
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib import resources
from typing import Any

from drivetrain import _strict
from drivetrain.clean.desk import Desk
from drivetrain.errors import ConfigError, ConflictError, DrivetrainError, StorageError

LOOPBACK = ("127.0.0.1", "::1")
"""Addresses that it may listen on."""
NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names that a browser may call it by."""
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")
"""All are answered by us, and all but two refused; what is none of them is by the standard library."""
LONGEST_BODY = 64 * 1024
"""Bytes."""
MOST_CONNECTIONS = 128
SECONDS = 10.0
"""That a connection may be silent."""
MARK = "X-Drivetrain"
"""Header that our page sends: other sites cannot, unless we allowed it."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
"""Path -> a file of this package and its type: the only ones that are served."""
_OF_ITEM = re.compile(r"/api/(item|picture)/([0-9a-f]{64})", re.ASCII)
_OF_STATE = re.compile(r"/api/state/([0-9]{1,9})", re.ASCII)
_TARGET = re.compile(r"/(?!/)[!-~]*", re.ASCII)
_START = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
    '<meta http-equiv="refresh" content="0;url=/"><title>Drivetrain</title>'
    '<p><a href="/">Go on</a></p></html>'
)
"""A page, not a redirect: a cookie for this site alone is not sent on one that began elsewhere."""
_ONCE = "This address has been used, or is not of this start. Start `drivetrain clean` again."

Log = Callable[[Mapping[str, Any]], None]
"""Told of each request: `{at, method, path, status}`, without its query and cookie."""


class Refused(Exception):  # noqa: N818 - an answer, and no error of ours
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str, **more: Any) -> None:
        super().__init__(sentence)
        self.status = status
        self.more = more


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves a desk until `shutdown`.

    Args:
        desk: what is served.
        host: one of `LOOPBACK`.
        port: 0 for one that is free.
        log: told of each request.

    Raises: ConfigError: another host. StorageError: the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(
        self, desk: Desk, *, host: str = "127.0.0.1", port: int = 0, log: Log | None = None
    ) -> None:
        if host not in LOOPBACK:
            raise ConfigError(
                f"The cleaning page is served on this machine alone: {' or '.join(LOOPBACK)}. Got "
                f"{host!r}."
            )
        self.desk = desk
        self.log = log
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.session = secrets.token_urlsafe(32)
        """What the cookie says; 256 bits, new at each start."""
        self._once: str | None = secrets.token_urlsafe(32)
        self._once_lock = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise StorageError(
                f"Could not listen on {host}, port {port}: {error.strerror or error}. Give another "
                "port with --port."
            ) from error
        self.port: int = self.server_address[1]
        self.hosts = frozenset(f"{name}:{self.port}" for name in NAMES)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)
        self.cookie = f"drivetrain-clean-{self.port}"
        """Cookies know no ports: with one name, two servers would overwrite each other's."""
        self.files = {path: (_file(name), kind) for path, (name, kind) in _FILES.items()}

    @property
    def url(self) -> str:
        """Where the page is, for a browser that has the cookie."""
        host = self.server_address[0]
        return f"http://{f'[{host}]' if ':' in str(host) else host}:{self.port}/"

    @property
    def start_url(self) -> str:
        """The address that opens the page once. It is a secret until then."""
        return f"{self.url}start?token={self._once or ''}"

    def spend(self, token: str) -> bool:
        """Whether this is the token of the start address; it is not again."""
        with self._once_lock:
            known = self._once
            if known is None or not hmac.compare_digest(known.encode(), token.encode()):
                return False
            self._once = None
            return True

    def server_bind(self) -> None:
        """Bind, without asking a name server who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, as long as there is room."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error, and a traceback would go to the terminal."""
        self.say("", "", 0)

    def say(self, method: str, path: str, status: int) -> None:
        """Tell the log; a log that fails changes no answer."""
        if self.log is None:
            return
        clean = path.partition("?")[0][:200]
        for secret in (self.session, self._once):
            clean = clean.replace(secret, "…") if secret else clean
        line = {"at": round(time.time(), 3), "method": method, "path": clean, "status": status}
        with contextlib.suppress(OSError):
            self.log(line)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    server_version = "drivetrain"
    sys_version = ""
    error_content_type = "application/json"

    def answer(self) -> None:
        """Answer one request of any method."""
        try:
            self._answer()
        except Refused as refused:
            self._json(refused.status, {"error": str(refused), **refused.more}, close=True)
        except (TimeoutError, ConnectionError):
            self.close_connection = True

    def _answer(self) -> None:
        self._check_form()
        path, _, query = self.path.partition("?")
        self._check_host()
        if path == "/healthz" and not query:
            self._only("GET")
            self._json(HTTPStatus.OK, {"ok": True})
        elif path == "/favicon.ico" and not query:  # browsers ask for it by themselves
            self._only("GET")
            self._send(HTTPStatus.NO_CONTENT, b"", "image/png")
        elif path in self.server.files and not query:
            self._only("GET")
            content, kind = self.server.files[path]
            self._send(HTTPStatus.OK, content, kind)
        elif path == "/start":
            self._only("GET")
            self._start(query)
        else:
            self._check_ours()
            if query:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such thing.")
            self._of_api(path)

    def _of_api(self, path: str) -> None:
        desk = self.server.desk
        if path == "/api/queue":
            self._only("GET")
            self._json(HTTPStatus.OK, desk.page())
        elif match := _OF_STATE.fullmatch(path):
            self._only("GET")
            self._json(HTTPStatus.OK, desk.state(int(match[1])))
        elif match := _OF_ITEM.fullmatch(path):
            self._only("GET")
            self._item(match[1], match[2])
        elif path in ("/api/edit", "/api/undo", "/api/redo"):
            self._only("POST")
            self._edit(path.rpartition("/")[2], self._body())
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such thing.")

    def _item(self, what: str, hash_: str) -> None:
        if what == "item":
            found = self.server.desk.item(hash_)
            if found is None:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such item.")
            self._json(HTTPStatus.OK, found)
            return
        try:
            picture = self.server.desk.picture(hash_)
        except (DrivetrainError, OSError) as error:
            raise Refused(HTTPStatus.GONE, "The picture cannot be opened any more.") from error
        if picture is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such picture.")
        self._send(HTTPStatus.OK, picture, "image/png", keep=True)

    def _edit(self, what: str, body: Any) -> None:
        desk = self.server.desk
        try:
            done = desk.edit(body) if what == "edit" else desk.turn(what, body)
        except ConfigError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        except ConflictError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error), **desk.standing(body)) from error
        except StorageError as error:
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, f"Not saved. {error}") from error
        self._json(HTTPStatus.OK, done)

    def _start(self, query: str) -> None:
        token = query.removeprefix("token=")
        if token == query or not self.server.spend(token):
            raise Refused(HTTPStatus.FORBIDDEN, _ONCE)
        said = f"{self.server.cookie}={self.server.session}; HttpOnly; SameSite=Strict; Path=/"
        self._send(
            HTTPStatus.OK, _START.encode(), "text/html; charset=utf-8", more={"Set-Cookie": said}
        )

    # --- the doors ------------------------------------------------------------------------------------

    def _check_form(self) -> None:
        """What no browser sends, and what proxies and servers read in different ways."""
        lengths = self.headers.get_all("Content-Length", [])
        if (
            self.request_version not in ("HTTP/1.1", "HTTP/1.0")
            or not _TARGET.fullmatch(self.path)
            or "Transfer-Encoding" in self.headers
            or len(lengths) > 1
            or not all(re.fullmatch(r"[0-9]{1,9}", one, re.ASCII) for one in lengths)
            or self.headers.defects
        ):
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no request that we understand.")

    def _check_host(self) -> None:
        """Our own name with our own port, once; and an Origin, where there is one, of the same kind."""
        hosts = self.headers.get_all("Host", [])
        origins = self.headers.get_all("Origin", [])
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "This server is not called by that name.")
        if len(origins) > 1 or not set(origins) <= self.server.origins:
            raise Refused(HTTPStatus.FORBIDDEN, "Other pages may not ask this server.")

    def _check_ours(self) -> None:
        """The cookie, and that the browser was sent by our own page."""
        if not self._has_cookie():
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "This page was opened at an earlier start. Open it anew by the address that "
                "`drivetrain clean` has printed.",
            )
        is_picture = self.path.startswith("/api/picture/")
        if self.headers.get_all("Sec-Fetch-Site", []) != ["same-origin"]:
            raise Refused(HTTPStatus.FORBIDDEN, "Other pages may not ask this server.")
        if not is_picture and self.headers.get_all(MARK, []) != ["clean"]:
            raise Refused(HTTPStatus.FORBIDDEN, f"The header {MARK} is missing.")
        if self.command != "GET" and "Origin" not in self.headers:
            raise Refused(HTTPStatus.FORBIDDEN, "The header Origin is missing.")

    def _has_cookie(self) -> bool:
        said = "; ".join(self.headers.get_all("Cookie", []))
        pairs = (one.strip().partition("=") for one in said.split(";"))
        found = [value for name, _, value in pairs if name == self.server.cookie]
        wanted = self.server.session.encode()
        return len(found) == 1 and hmac.compare_digest(found[0].encode("latin-1"), wanted)

    def _only(self, method: str) -> None:
        if self.command != method:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"Only {method} is understood here.")
        if method == "GET" and self.headers.get("Content-Length", "0") != "0":
            raise Refused(HTTPStatus.BAD_REQUEST, "A GET has no body.")

    def _body(self) -> Any:
        """The JSON of a request, of which nothing is read before it is known to be small."""
        if self.headers.get_all("Content-Type", []) != ["application/json"]:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
        length = self.headers.get("Content-Length")
        if length is None:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Say how long the body is.")
        if int(length) > LONGEST_BODY:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {LONGEST_BODY:,} bytes are read."
            )
        data = self.rfile.read(int(length))
        if len(data) != int(length):
            raise Refused(HTTPStatus.BAD_REQUEST, "The body is shorter than was said.")
        try:
            return _strict.parse_json(data, max_depth=8, max_values=100, max_letters=4096)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error

    # --- answers --------------------------------------------------------------------------------------

    def _json(self, status: HTTPStatus, value: Any, *, close: bool = False) -> None:
        text = json.dumps(
            value, allow_nan=False
        )  # ASCII: names that are no text pass as \u escapes
        self._send(status, text.encode(), "application/json", close=close)

    def _send(
        self,
        status: HTTPStatus,
        content: bytes,
        kind: str,
        *,
        more: Mapping[str, str] | None = None,
        keep: bool = False,
        close: bool = False,
    ) -> None:
        self.send_response_only(status)
        lasting = "private, max-age=86400, immutable" if keep else "no-store"
        headers = {**_HEADERS, "Cache-Control": lasting, "Content-Type": kind, **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        if close:  # a body that was not read would be taken for the next request
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.server.say(self.command or "", self.path, int(status))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses by itself, in our form and without repeating it."""
        if not hasattr(self, "path"):
            self.path, self.command = "", ""
        self._json(HTTPStatus(code), {"error": HTTPStatus(code).phrase}, close=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `Server.say` tells of each request, without its query."""


for _method in METHODS:
    setattr(Handler, f"do_{_method}", Handler.answer)


def _file(name: str) -> bytes:
    return resources.files("drivetrain.clean").joinpath("page", name).read_bytes()
