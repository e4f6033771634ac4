"""Creates a certificate for this machine, so that a service on loopback can be reached over TLS."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_DAY = datetime.timedelta(days=1)


def create_certificate(
    path: Path, *, host: str = "localhost", now: datetime.datetime | None = None, issuer: str | None = None
) -> Path:
    """Write a key and its certificate, valid for `host` and 127.0.0.1 for a day from now on. Returns `path`.

    It is signed by itself, or by an issuer of this name whose own certificate nobody has.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = now or datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(host))
        .issuer_name(_name(issuer or host))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()) if issuer else key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def create_bundle(path: Path, certificate: Path) -> Path:
    """Write the certificates that programs trust by default, and this one. Returns `path`."""
    path.write_bytes(Path(certifi.where()).read_bytes() + certificate.read_bytes())
    return path
