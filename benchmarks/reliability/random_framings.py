"""Checks that no reply reaches the wrong request, and that none is requested twice, in any framing.

    python -m benchmarks.reliability.random_framings [EXCHANGES=10000] [SEED=1] [CLIENTS=48]

A raw-socket server on loopback frames each reply at random, in the ways that servers and gateways get it wrong:
interim replies, surplus bytes, whole second replies at once or a little later, lengths that lie, broken chunks, and
more. Each client makes one exchange after the other, mostly with a pause, in which late bytes of a server arrive.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from benchmarks.support.jobs import close as report
from imagen_batch.errors import Transient
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.transport import Transport

_CRLF = b"\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_EXCHANGES_OF_A_CLIENT = 10
_PAUSE_S = 0.3
_LATEST_S = 0.1


@dataclass(frozen=True)
class Sent:
    """What a server sends: pieces of bytes, and pauses in seconds. `whole`: they contain the complete reply."""

    steps: Sequence[bytes | float]
    whole: bool = True
    hangs_up: bool = False
    resets: bool = False


Frame = Callable[[bytes, random.Random], Sent]


def reply_body(prompt: str, size: int) -> bytes:
    """Build JSON that names its prompt, with `size` bytes of an image."""
    return json.dumps({"candidates": [{"data": "A" * size}], "modelVersion": prompt}).encode()


def prompt_of(body: bytes) -> str:
    """Return the prompt of a reply."""
    return str(json.loads(body)["modelVersion"])


def with_length(body: bytes, *, head: bytes = _OK) -> bytes:
    """Build a correct reply."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(body: bytes, dice: random.Random, *, extension: bytes = b"") -> bytes:
    """Split a body into chunks, without the last one."""
    pieces, start = [], 0
    while start < len(body):
        piece = body[start : start + dice.randint(1, len(body))]
        pieces.append(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece))
        start += len(piece)
    return b"".join(pieces)


def _chunked(body: bytes, dice: random.Random) -> bytes:
    return _OK + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, dice) + b"0\r\n\r\n"


def _plain(body: bytes, dice: random.Random) -> Sent:
    return Sent([with_length(body) if dice.random() < 0.7 else _chunked(body, dice)])


def _torn(body: bytes, dice: random.Random) -> Sent:
    data = with_length(body)
    cut = dice.randint(1, len(data) - 1)
    return Sent([data[:cut], dice.random() * 0.01, data[cut:]])


def _interim(body: bytes, dice: random.Random) -> Sent:
    steps: list[bytes | float] = []
    for _ in range(dice.randint(1, 4)):
        status = dice.choice([100, 102, 103, 199])
        steps += [b"HTTP/1.1 %d Wait\r\nLink: </a>; rel=preload\r\n\r\n" % status, dice.choice([0.0, 0.02, 0.5])]
    return Sent([*steps, with_length(body)])


def _switching(body: bytes, dice: random.Random) -> Sent:  # noqa: ARG001
    return Sent([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", with_length(body)], whole=False)


def _surplus(body: bytes, dice: random.Random) -> Sent:
    junk = dice.choice([b"\r\n", b"}", b"0\r\n\r\n", bytes(dice.randbytes(dice.randint(1, 3000)))])
    return Sent([with_length(body), dice.choice([0.0, dice.random() * _LATEST_S]), junk])


def _second(body: bytes, dice: random.Random) -> Sent:
    other = with_length(reply_body("somebody else's", dice.randint(0, 9000)))
    return Sent([with_length(body), dice.choice([0.0, dice.random() * _LATEST_S]), other])


def _second_at_once(body: bytes, dice: random.Random) -> Sent:  # noqa: ARG001
    return Sent([with_length(body) + with_length(reply_body("somebody else's", 100))])


def _length_and_chunks(body: bytes, dice: random.Random) -> Sent:
    lie = dice.choice([len(body), 5, 0])
    return Sent([_OK + b"Content-Length: %d\r\n" % lie + _chunked(body, dice)[len(_OK) :]])


def _twice_the_length(body: bytes, dice: random.Random) -> Sent:
    length = len(body)
    twice = dice.choice([b"Content-Length: %d\r\nContent-Length: %d\r\n", b"Content-Length: %d, %d\r\n"])
    return Sent([_OK + twice % (length, length) + _CRLF + body])


def _no_length(body: bytes, dice: random.Random) -> Sent:
    wrong = dice.choice([b"-1", b"abc", b"+12", b"0x1F", b"1_0", b"9" * 400, b"12.0", b"5, 7", b""])
    return Sent([_OK + b"Content-Length: " + wrong + b"\r\n\r\n" + body], hangs_up=True)


def _too_long(body: bytes, dice: random.Random) -> Sent:
    return Sent([_OK + b"Content-Length: %d\r\n\r\n" % (len(body) + dice.randint(1, 99)) + body], hangs_up=True)


def _too_short(body: bytes, dice: random.Random) -> Sent:
    return Sent([_OK + b"Content-Length: %d\r\n\r\n" % dice.randint(1, len(body) - 1) + body], hangs_up=True)


def _truncated(body: bytes, dice: random.Random) -> Sent:
    part = body[: dice.randint(0, len(body) - 2)]
    head = dice.choice([b"Content-Length: %d\r\n\r\n" % len(body), _CRLF, b"Connection: close\r\n\r\n"])
    return Sent([_OK + head + part], whole=False, hangs_up=True, resets=dice.random() < 0.3)


def _extended(body: bytes, dice: random.Random) -> Sent:
    chunks = in_chunks(body, dice, extension=dice.choice([b"", b";a=b", b' ; q="x"']))
    end = dice.choice([b"0\r\n\r\n", b"0;last\r\n\r\n", b"0\r\nX-Sum: 1\r\n\r\n", b"000\r\n\r\n"])
    return Sent([_OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + end])


def _bad_chunks(body: bytes, dice: random.Random) -> Sent:
    bad = dice.choice(
        [b"zz\r\n", b"-5\r\nabc", b"5\r\nabcdefgh\r\n", b"f" * 5000, b"\r\n", b"1g\r\n", b"99999999999999999\r\n"]
    )
    half = in_chunks(body[: len(body) // 2], dice)
    return Sent([_OK + b"Transfer-Encoding: chunked\r\n\r\n" + half + bad], whole=False)


def _unended_chunks(body: bytes, dice: random.Random) -> Sent:
    return Sent([_OK + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, dice)], hangs_up=True)


def _old(body: bytes, dice: random.Random) -> Sent:
    head = dice.choice([b"", b"Connection: keep-alive\r\n", b"Content-Length: %d\r\n" % len(body)])
    return Sent([b"HTTP/1.0 200 OK\r\n" + head + _CRLF + body], hangs_up=True)


def _bodiless(body: bytes, dice: random.Random) -> Sent:
    status = dice.choice([b"204 No Content", b"304 Not Modified"])
    return Sent([b"HTTP/1.1 " + status + b"\r\n", b"Content-Length: %d\r\n\r\n" % len(body), body], whole=False)


def _untidy(body: bytes, dice: random.Random) -> Sent:
    data = with_length(body)
    head, _, rest = data.partition(b"\r\n\r\n")
    untidy = dice.choice(
        [
            head.replace(b"\r\n", b"\n") + b"\n\n",
            head + b"\r\n folded\r\n\r\n",
            head.replace(b"Content-Length:", b"content-length :") + b"\r\n\r\n",
            head + b"\r\nno colon\r\n\r\n",
            head + b"\r\nX: \x00\r\n\r\n",
        ]
    )
    return Sent([untidy + rest])


def _bomb(body: bytes, dice: random.Random) -> Sent:
    bomb = dice.choice([b"X-A: b\r\n" * 5000, b"X-A: " + b"b" * 200_000 + _CRLF, b"HTTP/1.1 100 Go\r\n\r\n" * 5000])
    return Sent([(b"" if bomb.startswith(b"HTTP") else _OK) + bomb + with_length(body)], whole=False)


def _packed(body: bytes, dice: random.Random) -> Sent:  # noqa: ARG001
    return Sent([with_length(gzip.compress(body, 1), head=_OK + b"Content-Encoding: gzip\r\n")])


def _refused(body: bytes, dice: random.Random) -> Sent:  # noqa: ARG001
    other = json.dumps({"error": {"message": "busy", "code": 503}, "modelVersion": prompt_of(body)}).encode()
    return Sent([with_length(other, head=b"HTTP/1.1 503 Busy\r\n")])


FRAMES: tuple[Frame, ...] = (
    _plain,
    _plain,
    _torn,
    _interim,
    _interim,
    _switching,
    _surplus,
    _second,
    _second_at_once,
    _length_and_chunks,
    _twice_the_length,
    _no_length,
    _too_long,
    _too_short,
    _truncated,
    _extended,
    _bad_chunks,
    _unended_chunks,
    _old,
    _bodiless,
    _untidy,
    _bomb,
    _packed,
    _refused,
)


class FramingServer:
    """Sends each reply in the framing that `choose` names, until it is closed."""

    def __init__(self, choose: Callable[[str], tuple[Frame, random.Random]], *, latency: float = 0.001) -> None:
        self._choose = choose
        self._latency = latency
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.whole: dict[str, bool] = {}  # by prompt: whether its reply was sent whole
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection, suppress(OSError):
            data = b""
            while True:
                head, data = _read_until(connection, data, b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                while len(data) < length:
                    data += _receive(connection)
                prompt, data = json.loads(data[:length])["prompt"], data[length:]
                time.sleep(self._latency)
                if not self._answer(connection, prompt):
                    return

    def _answer(self, connection: socket.socket, prompt: str) -> bool:
        frame, dice = self._choose(prompt)
        size = dice.choice([0, 10, 5000, 9000, 200_000])
        sent = frame(reply_body(prompt, size), dice)
        self.whole[prompt] = sent.whole
        for step in sent.steps:
            if isinstance(step, float):
                time.sleep(step)
            else:
                connection.sendall(step)
        if sent.resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return not sent.hangs_up


def _read_until(connection: socket.socket, data: bytes, mark: bytes) -> tuple[bytes, bytes]:
    while mark not in data:
        data += _receive(connection)
    head, _, rest = data.partition(mark)
    return head, rest


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(2**16)
    if not data:
        raise ConnectionResetError
    return data


@dataclass
class Count:
    """The results of exchanges."""

    exchanges: int = 0
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)  # complete replies that would be requested again
    errors: Counter[str] = field(default_factory=Counter)

    def exchange(self, sender: Transport, server: FramingServer, prompt: str) -> None:
        """Post one prompt and check the reply."""
        self.exchanges += 1
        try:
            raw = sender.post(server.url, json.dumps({"prompt": prompt}).encode())
            answered_prompt = prompt_of(raw.body)
        except (Transient, ValueError, KeyError) as error:
            self.errors[getattr(error, "kind", "not JSON")] += 1
            self.repeated += [prompt] if server.whole.get(prompt) else []
            return
        self.answered += 1
        self.wrong += [prompt] if answered_prompt != prompt else []


@contextmanager
def serving(seed: int, frames: Sequence[Frame] = FRAMES) -> Iterator[FramingServer]:
    """Run a server that chooses among `frames` by seed and prompt."""

    def choose(prompt: str) -> tuple[Frame, random.Random]:
        dice = random.Random(f"{seed} {prompt}")
        return dice.choice(frames), dice

    server = FramingServer(choose)
    try:
        yield server
    finally:
        server.close()


def exchange_all(
    server: FramingServer, prompts: Sequence[str], *, pause: float = _PAUSE_S, timeout: float = 5
) -> Count:
    """Post one prompt after the other through one client."""
    count = Count()
    sender = Transport(Credential("AIza-not-a-real-key"), timeout=timeout)
    try:
        for prompt in prompts:
            count.exchange(sender, server, prompt)
            time.sleep(pause)
    finally:
        sender.close()
    return count


def _pause(prompt: str) -> float:
    return _PAUSE_S if int(prompt) % (4 * _EXCHANGES_OF_A_CLIENT) else 0.0


def main() -> None:
    """Run the exchanges and print the results."""
    arguments = [int(text) for text in sys.argv[1:]]
    exchanges, seed, clients = [*arguments, *(10_000, 1, 48)[len(arguments) :]]
    prompts = [str(number) for number in range(exchanges)]
    shares = [prompts[at : at + _EXCHANGES_OF_A_CLIENT] for at in range(0, exchanges, _EXCHANGES_OF_A_CLIENT)]
    total = Count()
    began = time.monotonic()
    with serving(seed) as server, ThreadPoolExecutor(clients) as threads:
        for count in threads.map(lambda share: exchange_all(server, share, pause=_pause(share[0])), shares):
            total.exchanges += count.exchanges
            total.answered += count.answered
            total.wrong += count.wrong
            total.repeated += count.repeated
            total.errors += count.errors
        print(f"{total.exchanges} exchanges on {server.connections} connections, {time.monotonic() - began:.0f} s")
    print(f"answered                                       {total.answered}")
    print(f"failed                                         {dict(total.errors)}")
    print(f"images under a wrong prompt                    {len(total.wrong)}")
    print(f"second requests for complete replies           {len(total.repeated)}")
    report(
        {
            "no image under a wrong prompt": not total.wrong,
            "no second request for a complete reply": not total.repeated,
        }
    )


if __name__ == "__main__":
    main()
