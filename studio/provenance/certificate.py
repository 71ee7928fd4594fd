"""The certificate that signs this installation's files: one PEM with the key and the chain, made at first use.

Anyone may put their own in its place: an EC P-256 key (PKCS #8), then the signing certificate, then its issuers.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

NAME = "signer.pem"
YEARS = 10


@dataclass(frozen=True)
class Certificate:
    """PEM bytes of the private key and of the chain, the signing certificate first; its serial number in decimal."""

    key: bytes
    chain: bytes
    serial: str


def load_or_make(folder: Path) -> Certificate:
    """ValueError when the file in `folder` is no key with a certificate; OSError when none can be written there."""
    path = folder / NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write_once(path, _make())
    return _read(path)


def own_serial(folder: Path) -> str | None:
    """The serial number of this installation's certificate, if it has one yet."""
    try:
        return _read(folder / NAME).serial
    except (OSError, ValueError):
        return None


def _read(path: Path) -> Certificate:
    from cryptography import x509

    parts = list(re.finditer(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", path.read_bytes(), re.DOTALL))
    keys = [part[0] for part in parts if part[1] == b"PRIVATE KEY"]
    chain = [part[0] for part in parts if part[1] == b"CERTIFICATE"]
    if len(keys) != 1 or not chain:
        held = ", ".join(part[1].decode() for part in parts) or "neither"
        raise ValueError(f"{path} must hold one PRIVATE KEY and its CERTIFICATE in PEM form, it holds: {held}.")
    return Certificate(keys[0], b"".join(chain), str(x509.load_pem_x509_certificate(chain[0]).serial_number))


def _write_once(path: Path, content: bytes) -> None:
    """Readable by its owner alone, and never replacing what another process made in the meantime."""
    part = path.with_name(f".{secrets.token_hex(8)}.pem")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def _make() -> bytes:
    """A self-signed leaf with what C2PA asks of one: digital signature only, e-mail protection, key identifiers."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    attributes = {NameOID.ORGANIZATION_NAME: "Quintet", NameOID.COMMON_NAME: "Quintet, one installation"}
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes.items()])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
