"""Tests that the gallery's server answers only requests with its token, and serves only images of its folder."""

import functools
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.review import GalleryServer, read_review
from tests.review.run_folders import image_bytes, key_of, run_folder


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path / "run", rows=3, samples=2)


@pytest.fixture
def server(folder):
    with GalleryServer(folder) as running:
        yield running


class Client:
    """Sends requests as a browser does, or with other headers."""

    def __init__(self, server: GalleryServer) -> None:
        parts = urlsplit(server.address)
        self.host, self.token = parts.netloc, parts.path.split("/")[1]

    def request(self, path: str, *, method="GET", body=None, headers=None, token=None):
        connection = http.client.HTTPConnection(self.host, timeout=5)
        target = f"/{self.token if token is None else token}/{path}"
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": self.host, **(headers or {})}
        if body is not None:
            sent = {"Content-Length": str(len(body)), "Content-Type": "application/json", **sent}
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def post(self, decisions, **headers):
        body = json.dumps({"decisions": decisions}).encode()
        return self.request("review", method="POST", body=body, headers={"Origin": f"http://{self.host}", **headers})


@pytest.fixture
def client(server):
    return Client(server)


def decision(row=1, sample=1, **fields):
    return {
        "row": row,
        "id": f"scene-{row}",
        "sample": sample,
        "version": 1,
        "key": key_of(row),
        "decision": "approve",
        **fields,
    }


def test_the_page_and_its_images_are_served(client, folder):
    assert client.request("gallery.html")[1] == (folder / "gallery.html").read_bytes()
    image = next(folder.glob("images/*"))
    assert client.request(f"images/{image.name}") == (200, image.read_bytes())
    thumbnail = next(folder.glob(".imagen-batch/thumbs/*/*")).relative_to(folder)
    assert client.request(str(thumbnail))[0] == 200


def test_the_address_is_loopback_with_a_token_that_differs_each_time(folder, server):
    with GalleryServer(folder) as other:
        assert Client(other).token != Client(server).token
    assert server.address.startswith("http://127.0.0.1:")
    assert len(Client(server).token) >= 40


@pytest.mark.parametrize("token", ["", "x", "gallery.html", "%00", "é"])
def test_requests_without_the_token_are_refused(client, token):
    assert client.request("gallery.html", token=quote(token))[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_hosts_and_origins_are_refused(client, folder, headers):
    assert client.request("gallery.html", headers=headers)[0] == 404
    assert client.post([decision()], **headers)[0] == 404
    assert not (folder / "review.csv").exists()


def test_a_post_needs_an_origin_and_json(client, folder):
    assert client.post([decision()], Origin=None)[0] == 404
    assert client.post([decision()], **{"Content-Type": "text/plain"})[0] == 404
    assert not (folder / "review.csv").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "%2e%2e/secret.png",
        "images/..%2f..%2fsecret.png",
        "..%5csecret.png",
        "/etc/hostname",
        "link.png",
        "linked/secret.png",
        "manifest.csv",
        "manifest.parquet",
        "summary.json",
        ".imagen-batch/gallery-id",
        ".imagen-batch/hidden.png",
        ".imagen-batch/thumbs/../hidden.png",
        ".hidden.png",
        "images/",
        "",
        "images/none.png",
        "images/%00.png",
        "images/%ff.png",
    ],
)
def test_only_images_inside_the_folder_are_served(client, folder, path):
    for name in (folder.parent / "secret.png", folder / ".imagen-batch/hidden.png", folder / ".hidden.png"):
        name.write_bytes(image_bytes(1))
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "linked").symlink_to(folder.parent)
    assert client.request(path)[0] == 404


def test_an_image_with_a_strange_name_is_served(client, folder):
    (folder / "images/a b#?%é.png").write_bytes(image_bytes(1))
    assert client.request("images/a%20b%23%3F%25%C3%A9.png")[0] == 200


def test_a_decision_is_in_the_file_before_the_reply_is_sent(client, folder):
    status, answer = client.post([decision(note="=fine"), decision(2, decision="redo", prompt="new", seed=3)])
    assert (status, json.loads(answer)) == (200, {"saved": 2})
    assert (folder / "review.csv").read_bytes().startswith(b"\xef\xbb\xbfrow,id,sample,")
    approved, redo = read_review(folder / "review.csv")
    assert (approved.decision, approved.note, approved.key) == ("approve", "=fine", key_of(1))
    assert (redo.decision, redo.prompt, redo.seed) == ("redo", "new", 3)
    client.post([decision(decision=None)])
    assert [each.decision for each in read_review(folder / "review.csv")] == [None, "redo"]
    assert json.loads(client.request("session.json")[1])["decisions"][1]["prompt"] == "new"


def test_concurrent_decisions_are_all_saved(client, folder):
    threads = [threading.Thread(target=client.post, args=([decision(row)],)) for row in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_review(folder / "review.csv")) == 20


def test_a_file_that_another_program_changed_is_read_again(client, folder):
    client.post([decision()])
    (folder / "review.csv").write_text("row,sample,decision\n3,1,reject\n")
    client.post([decision(2)])
    assert [(each.row, each.decision) for each in read_review(folder / "review.csv")] == [
        (3, "reject"),
        (2, "approve"),
    ]


def test_a_mark_replaces_a_handwritten_line_about_the_same_image(client, folder):
    (folder / "review.csv").write_text("row,sample,decision\n1,1,reject\n2,1,redo\n")
    client.post([decision()])
    lines = read_review(folder / "review.csv")
    assert [(each.row, each.decision) for each in lines] == [(2, "redo"), (1, "approve")]


def test_decisions_of_rows_that_have_moved_are_kept(client, folder):
    client.post([decision(key=key_of(9)), decision(decision="reject")])
    assert [each.decision for each in read_review(folder / "review.csv")] == ["approve", "reject"]


def test_a_file_that_became_unreadable_is_not_overwritten(client, folder):
    (folder / "review.csv").write_text("row,sample,decision\n3,1,perhaps\n")
    status, answer = client.post([decision()])
    assert status == 409
    assert "line 2" in json.loads(answer)["error"]
    assert (folder / "review.csv").read_text().endswith("perhaps\n")


def test_an_unreadable_review_is_refused_at_the_start(folder):
    (folder / "review.csv").write_text("no review at all")
    with pytest.raises(InputInvalid):
        GalleryServer(folder)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"decisions": 1}',
        b'{"decisions": [1]}',
        b"[" * 100_000,
        b'{"decisions": [{"row": 1, "sample": 1, "decision": "maybe"}]}',
        b'{"decisions": [{"row": "x", "sample": 1, "decision": "redo"}]}',
        b'{"decisions": [{"row": 1, "sample": 1, "decision": "approve", "prompt": "p"}]}',
    ],
)
def test_an_invalid_body_is_refused_and_changes_nothing(client, folder, body):
    status, _ = client.request("review", method="POST", body=body, headers={"Origin": f"http://{client.host}"})
    assert status == 400
    assert not (folder / "review.csv").exists()


def test_a_body_too_large_or_without_length_is_refused(client):
    origin = {"Origin": f"http://{client.host}"}
    for length in (str(2**40), "-1", "many", None):
        headers = {**origin, "Content-Type": "application/json", "Content-Length": length}
        assert client.request("review", method="POST", headers=headers)[0] == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(client, method):
    assert client.request("gallery.html", method=method)[0] == 501


def test_ctrl_c_ends_the_server(folder):
    script = (
        "import sys; from pathlib import Path; from imagen_batch.review import serve_gallery;"
        "serve_gallery(Path(sys.argv[1]), announce=lambda address: print(address, flush=True)); print('ended')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert out == "ended\n"
    assert process.returncode == 0


# --- in the browser


@pytest.mark.browser
def test_marks_are_written_at_once_and_nothing_stays_in_the_browser(page, server, folder):
    page.open(server.address)
    assert page.run("document.body.dataset.mode") == "served"
    page.press("a", "r", "u")
    page.press("e")
    page.type(" in snow")
    page.press("Enter", modifiers=2)
    review, found = folder / "review.csv", []
    for _ in range(100):
        found = read_review(review) if review.exists() else []
        if len(found) == 2 and found[1].prompt:
            break
        page.run("new Promise(done => setTimeout(done, 20))")
    assert [(each.decision, each.prompt) for each in found] == [
        ("approve", None),
        ("redo", "A hedgehog with lantern number 1 in snow"),
    ]
    assert page.run("Object.keys(localStorage).filter(key => key.includes(':') && key.split(':').length > 2)") == []
    page.open(server.address)
    assert page.run("document.querySelector('[data-item=\"1\"] .mark').textContent") == "redo, edited"
    assert page.complaints() == []


@pytest.mark.browser
def test_marks_that_can_not_be_saved_are_reported_and_sent_again(page, server, folder):
    page.open(server.address)
    (folder / "review.csv").write_text("nonsense")
    page.press("a")
    page.wait_for("document.querySelector('#warning').textContent.includes('not saved')")
    (folder / "review.csv").unlink()
    page.wait_for("document.querySelector('#warning').hidden")
    assert [each.decision for each in read_review(folder / "review.csv")] == ["approve"]


@pytest.mark.browser
def test_a_mark_just_before_the_page_is_left_is_saved(page, server, folder):
    page.open(server.address)
    page.run(
        "(() => { for (const key of 'rrr') document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
        " { key, bubbles: true, cancelable: true })); location.href = 'about:blank'; })()"
    )
    review, found = folder / "review.csv", []
    page.wait_for("location.href === 'about:blank'")
    for _ in range(100):
        found = read_review(review) if review.exists() else []
        if len(found) == 3:
            break
        page.run("new Promise(done => setTimeout(done, 20))")
    assert [each.decision for each in found] == ["reject"] * 3


@pytest.mark.browser
def test_a_page_from_another_web_server_does_not_save_to_it(page, folder, server):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            page.open(f"http://127.0.0.1:{other.server_port}/gallery.html")
            assert page.run("document.body.dataset.mode") == "disk"
        finally:
            other.shutdown()
            thread.join()
