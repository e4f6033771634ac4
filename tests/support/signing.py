"""Signs images with C2PA data, using certificates that are created for the test."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import dataclass
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_MANIFEST = {
    "claim_generator_info": [{"name": "test", "version": "1"}],
    "title": "test image",
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
                    }
                ]
            },
        }
    ],
}


@dataclass(frozen=True)
class TestAuthority:
    """A root certificate and a signer below it."""

    __test__ = False

    root: str  # PEM
    _chain: bytes
    _key: bytes

    def sign(self, data: bytes, mime_type: str = "image/png") -> bytes:
        """Return the image with signed C2PA data."""
        info = c2pa.C2paSignerInfo(b"es256", self._chain, self._key, None)
        signed = io.BytesIO()
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(_MANIFEST)) as builder:
            builder.sign(signer, mime_type, io.BytesIO(data), signed)
        return signed.getvalue()


def make_authority(organization: str = "Test Imaging") -> TestAuthority:
    """Create keys and certificates."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(f"{organization} Root", root_key, f"{organization} Root", root_key, ca=True)
    leaf = _certificate(organization, key, f"{organization} Root", root_key, ca=False)
    pem = serialization.Encoding.PEM
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    chain = leaf.public_bytes(pem) + root.public_bytes(pem)
    return TestAuthority(root.public_bytes(pem).decode(), chain, key.private_bytes(pem, form, none))


def _certificate(subject: str, key: Any, issuer: str, issuer_key: Any, *, ca: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    organization = common_name.removesuffix(" Root")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
