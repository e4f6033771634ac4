"""A request is written with exactly its own headers and body."""

from http.client import HTTPException

import pytest

from imagen_batch.providers.http.write_request import first_lines, whole_request

HEADERS = (("Accept", "application/json"),)


def test_a_request_has_its_target_its_host_its_headers_and_its_length():
    """Everything that a service needs is in one message."""
    first = first_lines("https://service.test/v1/models/m:verb", "/v1/models/m:verb", HEADERS)
    assert whole_request(first, [("x-key", "secret")], b'{"a": 1}') == (
        b"POST /v1/models/m:verb HTTP/1.1\r\nHost: service.test\r\nAccept: application/json\r\n"
        b'x-key: secret\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080/", b"127.0.0.1:8080"),
        ("http://127.0.0.1:80/", b"127.0.0.1"),
        ("https://service.test:443/", b"service.test"),
        ("https://service.test:4443/", b"service.test:4443"),
        ("http://[::1]:8080/", b"[::1]:8080"),
    ],
)
def test_the_host_is_that_of_the_address_without_the_usual_port(url, host):
    """Some services compare it with their name."""
    assert b"\r\nHost: " + host + b"\r\n" in first_lines(url, "/", ())


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "a\0b"])
def test_a_header_with_a_line_break_is_refused(value):
    """It would add headers, or a second request."""
    with pytest.raises(HTTPException, match="x-key"):
        whole_request(b"", [("x-key", value)], b"")


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\nb", "/\u00e9"])
def test_a_target_that_would_end_the_request_line_is_refused(target):
    """The line has exactly three parts."""
    with pytest.raises(HTTPException):
        first_lines("https://service.test/", target, ())
