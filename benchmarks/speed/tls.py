"""Measures the CPU time of an image over TLS, in the form in which real services send it.

    python -m benchmarks.speed.tls [ROUNDS=3]

The service is the one of cpu_per_image.py, with a certificate and with replies in chunks; every client trusts the
usual bundle of certificates and that one. All run in turn, round after round; the result is the median of the
ratios. The CPU time of an image is the slope between 50 and 350 images, which excludes start-up. A run uses a
connection for each image; Google's client keeps its connections; the plain loop makes one for each image.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.cpu_per_image import BASELINES, OTHER_PYTHON, has_sdk
from benchmarks.support.certificate import create_bundle, create_certificate
from benchmarks.support.figures import Figure, at_most, report_and_exit
from benchmarks.support.processes import cost_of, empty_images, prefect_server, run_command, write_prompts
from benchmarks.support.replay_server import Manner, replay

FEW, MANY = 50, 350
CHUNK_BYTES = 2**14
MAX_OVER_PLAIN = 2.5  # CPU over TLS, over CPU without
MAX_OVER_SDK = 0.35

_Command = Callable[[Path, int], list[str]]


def main() -> None:
    """Run the rounds and report the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, prefect_server():
        place = Path(name)
        certificate = create_certificate(place / "cert.pem")
        bundle = str(create_bundle(place / "bundle.pem", certificate))
        env = {**os.environ, "REQUESTS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}
        manner = Manner(certificate=str(certificate), chunk_bytes=CHUNK_BYTES)
        with replay() as plain, replay(manner) as service:
            clients = _clients(plain.url, service.url)
            for number in range(rounds):
                for client, command in clients.items():
                    cpu_ms = _slope(place / f"{client} {number}", command, env)
                    measured.setdefault(client, []).append(cpu_ms)
                    print(f"{client:<14} {cpu_ms:6.2f} ms", flush=True)
    report_and_exit(_figures(measured))


def _clients(plain_url: str, url: str) -> dict[str, _Command]:
    def baseline(python: str, way: str) -> _Command:
        return lambda source, count: [python, "-I", BASELINES, way, url, str(count), str(source.parent)]

    clients: dict[str, _Command] = {
        "without TLS": lambda source, _count: run_command(source, plain_url),
        "ours": lambda source, _count: run_command(source, url),
        "loop": baseline(sys.executable, "loop"),
    }
    return clients | ({"google-genai": baseline(OTHER_PYTHON, "sdk")} if has_sdk() else {})


def _slope(place: Path, command: _Command, env: dict[str, str]) -> float:
    """Return the CPU of an image in ms."""
    seconds = []
    for count in (FEW, MANY):
        source = write_prompts(place / str(count), count)
        seconds.append(cost_of(command(source, count), env=env).cpu)
        empty_images(source.parent)
    return (seconds[1] - seconds[0]) / (MANY - FEW) * 1e3


def _figures(measured: dict[str, list[float]]) -> list[Figure]:
    def ratio(name: str, other: str) -> float:
        return statistics.median(one / two for one, two in zip(measured[name], measured[other], strict=True))

    medians = ", ".join(f"{client} {statistics.median(cpu):.2f} ms" for client, cpu in measured.items())
    figures = [
        Figure("CPU of an image over TLS", medians),
        at_most("CPU of an image over TLS, over the same without", ratio("ours", "without TLS"), MAX_OVER_PLAIN),
    ]
    if "google-genai" in measured:
        over_sdk = ratio("ours", "google-genai")
        figures.append(at_most("CPU of an image over TLS, over google-genai's", over_sdk, MAX_OVER_SDK))
    return figures


if __name__ == "__main__":
    main()
