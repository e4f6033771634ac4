"""The key goes to the intended host and nowhere else: not through a proxy, a child process, a file, or an echo."""

import base64
import concurrent.futures
import html
import json
import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import AttemptError, RateLimited, SettingsInvalid
from imagen_batch.orchestration.server import own_server as prefect_child
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.endpoint_and_credential import check_base_url, make_provider
from imagen_batch.providers.redaction import redact, redact_error, redact_reply
from imagen_batch.providers.transport import RawReply, Transport
from imagen_batch.providers.trusted_hosts import host_of, is_google_host, is_third_party_host
from imagen_batch.records import NoImage, ReceivedImage, Reply
from imagen_batch.runs import history_preload as ahead
from imagen_batch.runs import local_simulator as simulator_process
from imagen_batch.sending.attempts.check_reply import decode_reply
from imagen_batch.settings import load_settings, make_settings
from imagen_batch.system.child_env import child_environment, reduced_environment
from imagen_batch.system.is_loopback import is_loopback
from tests.support.cli import COMMAND, command, environment
from tests.support.factories import request
from tests.support.runs import prompts, run

KEY = "AIzaSy-not/a+real_key-0123456789"


@contextmanager
def serving(answer, *, host="127.0.0.1"):
    """Run a server that replies with `answer(request)`; yield its address and the requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, dict(self.headers), data))
            status, body = answer(data)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_POST  # noqa: N815

        def log_message(self, *_):
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        name = f"[{host}]" if ":" in host else host
        yield SimpleNamespace(url=f"http://{name}:{server.server_port}", port=server.server_port, requests=requests)
        server.shutdown()
        thread.join()


# Loopback


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "[::ffff:127.3.2.1]",
        "::ffff:7f00:1",
        "localhost",
        "LOCALHOST",
        "localhost.",
    ],
)
def test_this_machine_has_many_names(host):
    """They are all of 127.0.0.0/8 and ::1, each in every notation."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "128.0.0.1",
        "127.0.0.1.example.com",
        "127.example.com",
        "localhost.example.com",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:128.0.0.1",
        "::2",
        "example.com",
    ],
)
def test_a_host_that_only_looks_like_this_machine_is_another(host):
    """Some of them are parsed differently by different libraries."""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_no_proxy_sees_a_request_to_this_machine(host, monkeypatch):
    """The environment may name any proxy: plain http would show it the key."""
    try:
        context = serving(lambda _data: (200, b"{}"), host="127.0.0.1" if host == "localhost" else host)
        with context as service, serving(lambda _data: (502, b"{}")) as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            for name in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            sender = Transport(Credential(KEY), timeout=5)
            url = service.url.replace("127.0.0.1", host) if host == "localhost" else service.url
            raw = sender.post(url + "/", b"{}")
            sender.close()
    except OSError as error:
        pytest.skip(f"{host} can't be bound here: {error}")
    assert raw.status == 200
    assert proxy.requests == []


@pytest.mark.parametrize("url", ["http://127.0.0.2:80", "http://[::ffff:127.0.0.1]:80", "http://LOCALHOST:1"])
def test_plain_http_is_for_every_name_of_this_machine(url):
    """Both checks have the same definition of this machine."""
    assert check_base_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example\\.googleapis.com",
        "https://evil.example\\@generativelanguage.googleapis.com",
        "https://evil.example#.googleapis.com",
        "https://evil.example?.googleapis.com",
        "https://x@evil.example",
        "https://generativelanguage.googleapis.com.evil.example\t",
        "https://[::1",
        "https://host:99999",
        "https://",
        "http://127.0.0.1\\.evil.example",
        "https:/host",
        "https://ho st",
        "https://b\u00fccher.example",
    ],
)
def test_an_address_that_parsers_read_differently_is_refused(url):
    """The message is a sentence, never a traceback."""
    with pytest.raises(SettingsInvalid):
        check_base_url(url)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text):
    """Every parser finds the same host in an accepted one."""
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            assert host_of(check_base_url(url))
        except SettingsInvalid:
            continue


# Redaction


def variants(key):
    """Return spellings of a key in JSON, and other texts that reveal it."""
    return {
        "plain": key,
        "slash": key.replace("/", "\\/"),
        "escaped": "".join(f"\\u{ord(letter):04x}" for letter in key),
        "capitals": "".join(f"\\u{ord(letter):04X}" for letter in key),
        "half": key[:5] + "".join(f"\\u{ord(letter):04x}" for letter in key[5:]),
        "quoted": quote(key, safe=""),
        "html": html.escape(key),
        "numbered": "".join(f"&#{ord(letter)};" for letter in key),
        "within": "".join(f"\\\\u{ord(letter):04x}" for letter in key),
        "small": key.lower(),
    }


def everywhere(text):
    """Return replies with a text in every field of both dialects, as JSON."""
    words = f'"said {text} here"'
    data = '"data": "QUFB"'
    return [
        f'{{"candidates": [{{"finishReason": {words}, "finishMessage": {words}, "safetyRatings": [{words}]}}]}}',
        f'{{"candidates": [{{"content": {{"parts": [{{"text": {words}}}]}}, "finishReason": "STOP"}}]}}',
        f'{{"promptFeedback": {{"blockReason": {words}, "blockReasonMessage": {words}, "safetyRatings": {words}}}}}',
        f'{{"candidates": [{{"content": {{"parts": [{{"inlineData": {{"mimeType": {words}, {data}}}}}]}}}}]}}',
        f'{{"predictions": [{{"raiFilteredReason": {words}, "safetyAttributes": {words}}}]}}',
        f'{{"predictions": [{{"mimeType": {words}, "prompt": {words}, "bytesBase64Encoded": "QUFB"}}]}}',
        f'{{"error": {{"code": 400, "message": {words}}}}}',
        f"{{{words}: 1}}",
        f'{{"candidates": [], "modelVersion": {words}}}',
    ]


@pytest.mark.parametrize("key", [KEY, "s3cr3t!"], ids=["long", "short"])
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("dialect", ["generate_content", "predict"])
def test_an_echoed_key_is_in_nothing_that_a_reply_becomes(key, status, dialect):
    """It is removed in every spelling and from every field."""
    context = SimpleNamespace(provider=SimpleNamespace(credential=Credential(key)))
    for name, text in variants(key).items():
        if name == "small" and len(key) < 16:
            continue
        pages = [f"<html><title>{text}</title>", text]
        for body in [*everywhere(text), *pages]:
            reply = RawReply(status, {}, body.encode())
            try:
                text_of_result = repr(decode_reply(reply, request(dialect=dialect), context))
            except AttemptError as error:
                text_of_result = str(error)
            assert not any(shown in text_of_result for shown in variants(key).values()), body


@pytest.mark.parametrize("status", [200, 400])
def test_an_echoed_key_is_written_nowhere(status, tmp_path):
    """It is in no ledger, manifest, table of failures or summary."""
    bodies = [body.encode() for name in ("escaped", "slash") for body in everywhere(variants(KEY)[name])[:3]]
    left = list(bodies)
    with serving(lambda _data: (status, left.pop() if left else b"{}")) as service:
        source = prompts(tmp_path, *[f"prompt {number}" for number in range(len(bodies))])
        chosen = {"provider": "gemini", "max_attempts": 1, "requests_per_minute": 100_000}
        run(source, SimpleNamespace(url=service.url), env={"GOOGLE_API_KEY": KEY}, **chosen)
    assert service.requests[0][1]["x-goog-api-key"] == KEY
    for path in (tmp_path / "out").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(value.encode() in data for value in variants(KEY).values()), path


def test_a_text_that_was_cut_within_the_key_does_not_show_its_beginning():
    """Long texts are shortened, and part of a key may remain at the end."""
    for length in range(4, len(KEY)):
        assert redact(f"said {KEY[:length]}…", KEY) == "said [key]…"
    assert redact("said AI…", KEY) == "said AI…"


def test_only_the_services_words_are_redacted():
    """A short key may be a part of our own texts."""
    missing = NoImage("failed", kind="no_image", reason="a failed e", finish_reason="e")
    image = ReceivedImage(b"e and more e", "image/jpeg", note="e")
    reply = redact_reply(Reply((missing, image), 200, model_version="e"), Credential("e").redact)
    first, second = reply.samples
    assert (first.outcome, first.kind, first.finish_reason) == ("failed", "no_image", "[key]")
    assert (second.data, second.note, reply.model_version) == (b"e and more e", "[key]", "[key]")


def test_an_error_keeps_its_facts():
    """Redaction changes only the message."""
    error = RateLimited(f"you sent {KEY}", kind="quota_minute", retry_after=3.0, per_minute=5.0)
    redact_error(error, Credential(KEY).redact)
    assert str(error) == "you sent [key]"
    assert (error.kind, error.retry_after, error.per_minute) == ("quota_minute", 3.0, 5.0)


@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=4, max_size=40),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_text_keeps_the_key(key, before, after):
    """Any text may be around it, raw or as JSON."""
    assert key not in redact(before + key + after, key).replace("[key]", "\x00")
    within = json.dumps({"words": [before + key + after]}, ensure_ascii=False)
    safety = redact_reply(Reply((), 200, prompt_safety=within), Credential(key).redact).prompt_safety
    assert all(key not in word.replace("[key]", "\x00") for words in json.loads(safety).values() for word in words)


# Children


SECRETS = {"GOOGLE_API_KEY": KEY, "GEMINI_API_KEY": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "PREFECT_API_KEY": KEY}


def test_a_child_gets_what_it_needs_and_no_key():
    """There is an allow-list: unknown variables are not passed on."""
    env = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "PYTHONPATH": "x", "PREFECT_HOME": "/p", "MY_TOKEN": "t"}
    assert child_environment({**env, **SECRETS}) == {
        name: env[name] for name in ("PATH", "HOME", "LC_ALL", "PYTHONPATH")
    }
    with_prefect = child_environment({**env, **SECRETS}, prefixes=("PREFECT_",))
    assert with_prefect["PREFECT_HOME"] == "/p"
    assert KEY not in with_prefect.values()


def test_the_environment_is_restored_after_a_child_was_started():
    """This holds after a failed start, too."""
    env = {"PATH": "/bin", **SECRETS}
    seen = []

    def fail():
        with reduced_environment(env):
            seen.append(dict(env))
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        fail()
    assert seen == [{"PATH": "/bin"}]
    assert env == {"PATH": "/bin", **SECRETS}


@pytest.fixture
def with_secrets(monkeypatch):
    """Set an environment with keys."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def started(monkeypatch):
    """Collect the environments of child processes, without starting any."""
    environments = []

    def refuse(*_args, env=None, **_kwargs):
        environments.append(dict(os.environ) if env is None else env)
        raise OSError

    monkeypatch.setattr(subprocess, "Popen", refuse)
    return environments


def test_the_simulators_child_has_no_key(with_secrets, started):
    """It needs no key."""
    with pytest.raises(OSError), simulator_process.simulator_process():  # noqa: PT011
        pass
    assert KEY not in started[0].values()


def test_prefects_child_has_no_key(with_secrets, started, tmp_path):
    """It gets its settings, but no key: neither that of Google nor that of Prefect Cloud."""
    with pytest.raises(OSError):  # noqa: PT011
        prefect_child.OwnServer({"PREFECT_HOME": str(tmp_path)})
    assert KEY not in started[0].values()
    assert started[0]["PREFECT_HOME"] == str(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_process_that_reads_the_ledger_ahead_has_no_key(with_secrets, tmp_path, monkeypatch):
    """The environment that the system shows has none either."""
    shown = []

    class Watched(concurrent.futures.ProcessPoolExecutor):
        def submit(self, *args):
            future = super().submit(*args)
            shown.extend(Path(f"/proc/{pid}/environ").read_bytes() for pid in self._processes)
            return future

    monkeypatch.setattr(ahead, "_MIN_BYTES", 0)
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Watched)
    reading = ahead.preload_history(str(tmp_path))
    assert reading is not None
    reading.result(60)
    assert len(shown) == 1
    assert KEY.encode() not in shown[0]
    assert os.environ["GOOGLE_API_KEY"] == KEY


# The host


def toml(folder, **chosen):
    """Write a settings file into a folder."""
    path = folder / "imagen-batch.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items()))
    return path


def test_a_host_from_a_settings_file_found_here_needs_consent(tmp_path):
    """A host on the command line, in the environment or in a file that was named needs none."""
    path = toml(tmp_path, base_url="https://gateway.example")
    typed, env = {"prompts": "p.csv"}, {"GOOGLE_API_KEY": "k" * 20}

    def resolved_url(**load):
        settings = load_settings(**{"typed": typed, "env": {}, "cwd": tmp_path, **load})
        return make_provider(settings, base_url=settings.base_url, env=env).base_url

    with pytest.raises(SettingsInvalid, match=r"gateway\.example.*nothing was sent.*--yes"):
        resolved_url()
    assert resolved_url(config=path) == "https://gateway.example"
    assert resolved_url(typed={**typed, "base_url": "https://other.example"}) == "https://other.example"
    assert resolved_url(env={"IMAGEN_BATCH_BASE_URL": "https://other.example"}) == "https://other.example"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://generativelanguage.googleapis.com"])
def test_googles_hosts_and_this_machine_need_no_consent(tmp_path, url):
    """It does not matter where they are named."""
    toml(tmp_path, base_url=url)
    settings = load_settings({"prompts": "p.csv"}, env={}, cwd=tmp_path)
    assert make_provider(settings, base_url=settings.base_url, env={"GOOGLE_API_KEY": "k" * 20}).base_url == url


def test_consent_holds_for_this_start_and_not_for_the_run(tmp_path):
    """It is not in stored settings or keys; workers get settings with an approved host."""
    toml(tmp_path, base_url="https://gateway.example")
    settings = load_settings({"prompts": "p.csv"}, env={}, cwd=tmp_path)
    assert settings.base_url_found_in is not None
    approved = settings.with_approved_host()
    assert approved.base_url_found_in is None
    assert approved.model_dump() == settings.model_dump()
    assert make_settings(json.loads(settings.model_dump_json())).base_url_found_in is None
    assert settings.model_copy(update={"samples": 2}).base_url_found_in is not None


def test_only_a_subdomain_of_google_belongs_to_google():
    """A host that only contains the name does not."""
    assert is_google_host("https://us-aiplatform.googleapis.com")
    assert not is_google_host("https://googleapis.com.evil.example")
    assert not is_google_host("https://evilgoogleapis.com")
    assert not is_google_host("https://evil.example\\.googleapis.com")
    assert is_third_party_host("https://gateway.example")
    assert not is_third_party_host("http://[::1]:5")


def start(tmp_path, *typed, **how):
    """Start `imagen-batch run` in a folder whose settings file names a gateway."""
    toml(tmp_path, base_url="https://gateway.invalid")
    prompts(tmp_path, "one")
    return command("run", "prompts.csv", *typed, here=tmp_path, env={"GOOGLE_API_KEY": KEY}, **how)


def test_without_a_terminal_a_run_to_such_a_host_does_not_start(tmp_path):
    """It ends with exit code 2 and a message; nothing is sent or written."""
    done = start(tmp_path)
    assert done.returncode == 2
    assert "gateway.invalid" in done.stderr
    assert "nothing was sent" in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("", 2)])
def test_at_a_terminal_the_user_is_asked(tmp_path, answer, code):
    """Nothing is sent without a yes."""
    pty = pytest.importorskip("pty")
    toml(tmp_path, base_url="https://gateway.invalid")
    prompts(tmp_path, "one")
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [str(COMMAND), "run", "prompts.csv"],
            cwd=tmp_path,
            env=environment({"GOOGLE_API_KEY": KEY}),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(ours, 4096)
        os.write(ours, answer.encode() + b"\n")
        assert child.wait(60) == code
    finally:
        os.close(ours)
    assert b"gateway.invalid" in seen
    assert b"not Google's" in seen


@pytest.mark.parametrize(
    "encode", [base64.b64encode, base64.urlsafe_b64encode, bytes.hex, lambda key: key.hex().upper()]
)
def test_an_encoded_key_is_redacted(encode):
    """A gateway may echo a header in base64 or as hexadecimal digits."""
    secret = "AIza-a_long?key>with~bytes"
    echoed = encode(secret.encode())
    text = echoed if isinstance(echoed, str) else echoed.decode()
    assert text.rstrip("=") not in redact(f"you sent {text}, which is wrong", secret)
