"""Certificates for tests: a CA, another CA, and what the first has signed for a server at `localhost`."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: The host name in the server's certificate. Its address is not in it: reached by that, it is not who it says.
NAME = "localhost"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM format."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """Make them in a folder."""
    key, ca = _authority("the CA")
    _, other = _authority("another CA")
    own = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _begun(NAME, own)
        .issuer_name(ca.subject)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificates(*(folder / name for name in ("ca.pem", "other-ca.pem", "server.pem", "server.key")))
    for path, one in ((made.ca, ca), (made.other_ca, other), (made.certificate, certificate)):
        path.write_bytes(one.public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    made.key.touch(0o600)
    made.key.write_bytes(own.private_bytes(*form))
    return made


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    begun = _begun(name, key).issuer_name(_named(name))
    return key, begun.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def _begun(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
