"""Serves a run's gallery on loopback, where each decision is written to `review.csv` at once.

The address contains a random token. Requests with a foreign Host (DNS rebinding) or from another origin are refused.
Only the page, images inside the run folder and the decisions are served.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote_to_bytes, urlsplit

from imagen_batch.errors import InputInvalid
from imagen_batch.review.gallery import GALLERY_FILE, build_gallery
from imagen_batch.review.live_review_csv import ReviewFile
from imagen_batch.review.review_csv import COLUMNS, REVIEW_FILE, Decision, parse_decision_fields
from imagen_batch.review.thumbnails import THUMBNAILS, contained

LOOPBACK: Final = "127.0.0.1"
_IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_MAX_BODY = 64 * 2**20  # bytes: 100,000 decisions with long notes
_READ_TIMEOUT_S = 30
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def serve_gallery(folder: Path, *, announce: Callable[[str], None], port: int = 0, rebuild: bool = True) -> None:
    """Serve until Ctrl-C. `announce` is called with the address once it answers.

    Raises InputInvalid if the folder has a `review.csv` that can't be read: it is never overwritten.
    """
    with GalleryServer(folder, port=port, rebuild=rebuild) as server:
        try:
            announce(server.address)
            server.wait()
        except KeyboardInterrupt:
            return


class GalleryServer:
    """Answers requests until its `with` block ends."""

    def __init__(self, folder: Path, *, port: int = 0, rebuild: bool = True) -> None:
        review = ReviewFile(folder)
        if rebuild or not (folder / GALLERY_FILE).exists():
            build_gallery(folder)
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.folder = folder
        self._server.review = review
        self._server.token = secrets.token_urlsafe(32)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def address(self) -> str:
        """The page's address with its token."""
        return f"http://{LOOPBACK}:{self._server.server_port}/{self._server.token}/{GALLERY_FILE}"

    def wait(self) -> None:
        """Return when the server has stopped."""
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a page requests many thumbnails and sends many decisions at once
    block_on_close = False  # an idle connection of the browser would delay the end
    folder: Path
    review: ReviewFile
    token: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that disconnects in the middle of a reply."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = _READ_TIMEOUT_S

    def do_GET(self) -> None:
        """Send the page, the session, or an image."""
        path = self._allowed_path()
        if path is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif path == GALLERY_FILE:
            self._send_file(self.server.folder / GALLERY_FILE, "text/html; charset=utf-8", cache="no-store")
        elif path == "session.json":
            self._send_session()
        else:
            self._send_image(path)

    def do_POST(self) -> None:
        """Save decisions, which are sent as JSON."""
        origin = self.headers.get("Origin")
        is_json = self.headers.get_content_type() == "application/json"
        if self._allowed_path() != "review" or origin is None or not is_json:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > _MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self._save(self.rfile.read(int(length)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the address holds the token."""

    def version_string(self) -> str:
        """Return a name without the version of Python."""
        return "imagen-batch"

    def _save(self, body: bytes) -> None:
        try:
            decisions = _parse(body)
            self.server.review.save(decisions)
        except InputInvalid as invalid:
            message = "; ".join(_sentence(problem.line, problem.message) for problem in invalid.problems[:5])
            self._send_json({"error": f"{REVIEW_FILE} can't be used: {message}"}, status=HTTPStatus.CONFLICT)
        except ValueError as error:
            self._send_json({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
        except OSError as error:
            message = f"{REVIEW_FILE} can't be written: {error.strerror}"
            self._send_json({"error": message}, status=HTTPStatus.INSUFFICIENT_STORAGE)
        else:
            self._send_json({"saved": len(decisions)})

    def _send_session(self) -> None:
        try:
            decisions = self.server.review.all()
        except InputInvalid:
            self._send_json({"error": f"{REVIEW_FILE} can't be read"}, status=HTTPStatus.CONFLICT)
            return
        listed = [{column: getattr(decision, column) for column in COLUMNS} for decision in decisions]
        self._send_json({"review": 1, "decisions": listed})

    def _allowed_path(self) -> str | None:
        """Return the decoded path after the token; None for a request that must not be answered."""
        host = self.headers.get_all("Host") or []
        port = self.server.server_port
        if len(host) != 1 or host[0].lower() not in {f"{LOOPBACK}:{port}", f"localhost:{port}"}:
            return None
        origins = self.headers.get_all("Origin") or []
        if any(origin != f"http://{host[0].lower()}" for origin in origins):
            return None
        if self.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return None
        try:
            path = unquote_to_bytes(urlsplit(self.path).path).decode()
        except (UnicodeDecodeError, ValueError):
            return None
        _, token, rest = [*path.split("/", 2), "", ""][:3]
        return rest if hmac.compare_digest(token.encode(), self.server.token.encode()) else None

    def _send_image(self, name: str) -> None:
        parts = PurePosixPath(name).parts
        hidden = any(part.startswith(".") for part in parts) and not name.startswith(f"{THUMBNAILS}/")
        kind = _IMAGES.get(PurePosixPath(name).suffix.lower())
        path = None if kind is None or hidden else contained(self.server.folder, name)
        if path is None or kind is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._send_file(path, kind, cache="private, max-age=600")

    def _send_file(self, path: Path, kind: str, *, cache: str) -> None:
        try:
            data = path.read_bytes()
        except OSError:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        self._send(HTTPStatus.OK, data, kind, cache=cache)

    def _send_json(self, value: object, *, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # a body may follow that nobody reads
        self._send(status, b"", "text/plain")

    def _send(self, status: HTTPStatus, data: bytes, kind: str, *, cache: str = "no-store") -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", cache)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def _parse(body: bytes) -> list[Decision]:
    """Return the decisions that the page sent. Raises ValueError with the reason if they are invalid."""
    try:
        sent = json.loads(body)
        listed = sent["decisions"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("the body is not a list of decisions") from None
    if not isinstance(listed, list) or not all(isinstance(fields, Mapping) for fields in listed):
        raise ValueError("the body is not a list of decisions")
    return [_decision(fields) for fields in listed]


def _decision(fields: Mapping[str, Any]) -> Decision:
    texts = {name: "" if fields.get(name) is None else str(fields[name]) for name in COLUMNS}
    parsed = parse_decision_fields(texts)
    if isinstance(parsed, Decision):
        return parsed
    raise ValueError("; ".join(f"{problem.column}: {problem.message}" for problem in parsed))


def _sentence(line: int | None, message: str) -> str:
    return f"line {line}: {message}" if line else message
