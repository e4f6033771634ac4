"""A reply always belongs to its request, however it is framed."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reliability.random_framings import FRAMES, exchange_all, prompt_of, reply_body, serving, with_length
from imagen_batch.errors import Transient
from imagen_batch.providers.http import strict_connections
from imagen_batch.providers.http.framing import BadReply, find_end, parse_chunk_size, parse_head
from imagen_batch.providers.transport import MAX_ERROR_BYTES
from tests.support.connections import read_prompt, sending, speaking

OK = b"HTTP/1.1 200 OK\r\n"


def ends(*headers, status=b"HTTP/1.1 200 OK"):
    """Return how the end of the body behind these headers is known."""
    return find_end(parse_head([status + b"\r\n", *(header + b"\r\n" for header in headers)]))


@pytest.mark.parametrize(
    ("headers", "by", "length"),
    [
        ([b"Content-Length: 5"], "length", 5),
        ([b"content-length:0"], "length", 0),
        ([b"Transfer-Encoding: chunked"], "chunks", 0),
        ([b"TRANSFER-ENCODING: Chunked"], "chunks", 0),
        ([b"Connection: keep-alive", b"Content-Length: 5"], "length", 5),
    ],
)
def test_a_body_ends_where_its_headers_say(headers, by, length):
    """There is one length, or chunks, and nothing else."""
    end = ends(*headers)
    assert (end.by, end.length) == (by, length)


@pytest.mark.parametrize(
    ("headers", "by"),
    [
        ([b"Content-Length: 5", b"Transfer-Encoding: chunked"], "chunks"),
        ([b"Transfer-Encoding: gzip, chunked"], "chunks"),
        ([b"Transfer-Encoding: chunked, identity"], "close"),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], "chunks"),
        ([b"Content-Length: 5", b"Content-Length: 5"], "length"),
        ([b"Content-Length: 5, 5"], "length"),
        ([b"Content-Length: 5, 6"], "close"),
        ([b"Content-Length: -5"], "close"),
        ([b"Content-Length: +5"], "close"),
        ([b"Content-Length: 0x5"], "close"),
        ([b"Content-Length: 5_0"], "close"),
        ([b"Content-Length: "], "close"),
        ([b"Content-Length: " + b"9" * 400], "close"),
        ([b"Content-Length : 5"], "length"),
        ([b"Content-Length: 5", b" folded"], "length"),
        ([b"Content-Length: 5", b"no colon"], "length"),
        ([b"Content-Length: 5", b"X: \x00"], "length"),
        ([b"Content-Length: 5", b"Connection: x, Close"], "length"),
        ([], "close"),
    ],
)
def test_headers_that_depart_from_the_standard_are_read_as_they_were_meant(headers, by):
    """Chunks override a length; lengths that differ or can't be read leave the end of the connection."""
    assert ends(*headers).by == by


def test_a_reply_without_content_has_no_body():
    """A 204 or 304 ends with its headers, whatever length they state."""
    for status in (b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"):
        assert (ends(b"Content-Length: 5", status=status).by, ends(b"Content-Length: 5", status=status).length) == (
            "length",
            0,
        )


@given(st.binary(max_size=200))
def test_any_line_is_a_status_line_or_a_bad_reply(line):
    """No input raises another exception."""
    for lines in ([line], [OK, line + b"\r\n"]):
        try:
            find_end(parse_head(lines))
        except BadReply:
            continue


@given(st.binary(max_size=40))
def test_a_chunk_size_is_a_number_or_a_bad_reply(line):
    """It has no sign, no blank before it and no underscore."""
    try:
        size = parse_chunk_size(line)
    except BadReply:
        return
    digits = line.split(b";")[0].strip()
    assert size == int(digits, 16)
    assert digits.isalnum()


@pytest.mark.parametrize("frame", dict.fromkeys(FRAMES), ids=lambda frame: frame.__name__.strip("_"))
def test_no_framing_moves_a_reply_to_another_request(frame):
    """Requests follow each other on one client, with and without a pause; a complete reply is not requested again."""
    with serving(seed=3, frames=[frame]) as server, ThreadPoolExecutor(2) as threads:
        counts = list(
            threads.map(
                lambda pause: exchange_all(server, [f"{pause} {number}" for number in range(4)], pause=pause),
                (0.0, 0.26),
            )
        )
    assert [count.wrong for count in counts] == [[], []]
    assert [count.repeated for count in counts] == [[], []]


def test_random_framings_move_no_reply_to_another_request():
    """All framings are mixed, on many clients. benchmarks/reliability/random_framings.py runs ten thousand."""
    with serving(seed=7) as server, ThreadPoolExecutor(24) as threads:
        shares = [[f"{client} {number}" for number in range(6)] for client in range(48)]
        counts = list(threads.map(lambda share: exchange_all(server, share, pause=0.26), shares))
    assert sum(len(count.wrong) for count in counts) == 0
    assert sum(len(count.repeated) for count in counts) == 0
    assert sum(count.answered for count in counts) > 100


def answer_each(connection):
    """Answer one request after the other correctly."""
    while True:
        connection.sendall(with_length(reply_body(read_prompt(connection), 10)))


def send_late(connection, reply):
    """Send a reply; the client may have closed its connection."""
    with suppress(OSError):
        connection.sendall(reply)


def test_every_request_has_its_own_connection():
    """A late or repeated reply then has no other request to be assigned to."""
    with speaking(answer_each) as (port, taken), sending() as post:
        replies = [post(f"http://127.0.0.1:{port}/", str(number)) for number in range(5)]
    assert [prompt_of(raw.body) for raw in replies] == list("01234")
    assert len(taken) == 5


@pytest.mark.parametrize("first", ["", "503 Busy", "200 OK"])
def test_a_second_reply_that_comes_much_later_belongs_to_no_other_request(first):
    """It is well framed, and arrives on the same connection after the next request was sent."""
    late = []

    def serve(connection):
        reply = with_length(reply_body(read_prompt(connection), 10))
        connection.sendall(f"HTTP/1.1 {first}\r\nContent-Length: 0\r\n\r\n".encode() if first else reply)
        timer = threading.Timer(0.3, send_late, (connection, reply))
        late.append(timer)
        timer.start()
        with suppress(OSError):
            answer_each(connection)

    with speaking(serve) as (port, _), sending() as post:
        for number in range(4):
            body = post(f"http://127.0.0.1:{port}/", str(number)).body
            assert not body or prompt_of(body) == str(number)
            time.sleep(0.1)
    for timer in late:
        timer.join()


def test_a_large_request_that_is_refused_halfway_gets_the_refusal():
    """An early 413 is read, and the connection closed."""

    def serve(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        with suppress(OSError):
            while connection.recv(2**16):
                pass

    with speaking(serve) as (port, _), sending() as post:
        assert post(f"http://127.0.0.1:{port}/", "x" * 5_000_000).status == 413


def test_endless_interim_replies_are_rejected():
    """Their number is limited, and so is their time."""

    def flood(connection):
        read_prompt(connection)
        while True:
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)

    with speaking(flood) as (port, _), sending() as post, pytest.raises(Transient) as caught:
        post(f"http://127.0.0.1:{port}/", "one")
    assert (caught.value.lost, caught.value.kind) == (True, "connection_broken")


def test_a_complete_reply_without_its_end_is_read():
    """The body is complete, so it is accepted at the deadline."""

    def serve(connection):
        body = reply_body(read_prompt(connection), 10)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
        connection.recv(1)

    with speaking(serve) as (port, _), sending(timeout=0.4) as post:
        assert prompt_of(post(f"http://127.0.0.1:{port}/", "one").body) == "one"


def test_a_length_that_ends_behind_an_inner_bracket_is_too_short():
    """What is read looks like the end of JSON, but more bytes are there and it can't be parsed."""

    def serve(connection):
        body = b'{"parts": [{"a": 1}], ' + reply_body(read_prompt(connection), 10)[1:]
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % body.index(b"]") + body)
        connection.recv(1)

    with speaking(serve) as (port, _), sending() as post:
        assert prompt_of(post(f"http://127.0.0.1:{port}/", "one").body) == "one"


def test_bytes_behind_a_whole_reply_do_not_delay_it():
    """Its stated length is right; what follows belongs to nothing."""
    asked = []

    def serve(connection):
        connection.sendall(with_length(reply_body(read_prompt(connection), 10)) + b"}")
        asked.append(connection.recv(1))

    with speaking(serve) as (port, _), sending(timeout=1.0) as post:
        assert prompt_of(post(f"http://127.0.0.1:{port}/", "one").body) == "one"
    assert asked == [b""]


def test_a_refusal_without_an_end_is_read_up_to_a_bound():
    """Its message is at the beginning."""

    def serve(connection):
        read_prompt(connection)
        connection.sendall(b"HTTP/1.1 503 Busy\r\n\r\n" + b"x" * (MAX_ERROR_BYTES + 100_000))
        connection.recv(1)

    with speaking(serve) as (port, _), sending() as post:
        raw = post(f"http://127.0.0.1:{port}/", "one")
    assert raw.status == 503
    assert MAX_ERROR_BYTES <= len(raw.body) < 2 * MAX_ERROR_BYTES


def test_a_request_that_was_interrupted_right_after_sending_may_be_charged(monkeypatch):
    """An exception may occur between the last byte and the line that records it."""

    class Cut(strict_connections._Connection):
        def connect(self):
            super().connect()
            sock = self.sock

            class Cutting:
                def sendall(self, data):
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_RDWR)

                def __getattr__(self, name):
                    return getattr(sock, name)

            self.sock = Cutting()

    def serve(connection):
        read_prompt(connection)
        connection.recv(1)

    monkeypatch.setattr(strict_connections._Pool, "ConnectionCls", Cut)
    with speaking(serve) as (port, _), sending() as post, pytest.raises(Transient) as caught:
        post(f"http://127.0.0.1:{port}/", "one")
    assert (caught.value.lost, caught.value.maybe_charged) == (True, True)


def test_a_web_page_without_a_length_is_reported_as_a_page():
    """It is the sign-in page of a network, and no broken connection."""

    def serve(connection):
        read_prompt(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>Sign in</html>")

    with speaking(serve) as (port, _), sending() as post:
        assert b"Sign in" in post(f"http://127.0.0.1:{port}/", "one").body


def test_json_without_a_length_that_was_cut_is_a_lost_reply():
    """The end of the connection does not prove that the reply is complete."""

    def serve(connection):
        body = reply_body(read_prompt(connection), 1000)
        connection.sendall(OK + b"Connection: close\r\n\r\n" + body[:500])

    with speaking(serve) as (port, _), sending() as post, pytest.raises(Transient) as caught:
        post(f"http://127.0.0.1:{port}/", "one")
    assert (caught.value.lost, caught.value.maybe_charged) == (True, True)
