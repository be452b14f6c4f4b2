"""The certificate and key that sign manifests: their text form, what is wrong with them, and one for development."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from ledger.errors import MalformedError

__all__ = ["CLAIM_SIGNING", "Credential", "is_development", "lint", "make_development_credential"]

CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""Extended key usage of C2PA claim signers."""

_DEVELOPMENT = "Provenance development certificate - not for production"
_DAYS = 366
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----\n", re.DOTALL)
_ACCEPTED = frozenset(
    {CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION, x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")}
)
_EXCLUSIVE = frozenset(
    {
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    }
)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate chain (PEM, leaf first, without the root) and the leaf's P-256 key (PKCS#8 PEM).

    `str(credential)` is key, chain and anchor, the secret included; `repr` does not show the key. `anchor` is the root
    that verifiers are to trust, empty when an authority of theirs issued it.
    """

    chain: str
    key: str = field(repr=False)
    anchor: str = ""

    @classmethod
    def parse(cls, text: str) -> Credential:
        """Read what `str(credential)` wrote, or any PEM file of one PKCS#8 key and a chain. Raises `MalformedError`."""
        parts = {"PRIVATE KEY": [], "CERTIFICATE": []}  # type: dict[str, list[str]]
        for match in _PEM.finditer(text.replace("\r\n", "\n") + "\n"):
            if match[1] not in parts:
                msg = f"credential: holds a PEM part {match[1]!r}, want PRIVATE KEY (PKCS#8) and CERTIFICATE"
                raise MalformedError(msg)
            parts[match[1]].append(match[0])
        if len(parts["PRIVATE KEY"]) != 1 or not parts["CERTIFICATE"]:
            msg = "credential: want one PRIVATE KEY (PKCS#8) and at least one CERTIFICATE in PEM"
            raise MalformedError(msg)
        try:
            certificates = [x509.load_pem_x509_certificate(pem.encode()) for pem in parts["CERTIFICATE"]]
            load_pem_private_key(parts["PRIVATE KEY"][0].encode(), None)
        except (ValueError, TypeError) as error:
            msg = f"credential: {error}"
            raise MalformedError(msg) from error
        # The first is the signer, whatever it is: a self-signed one is for `lint` to name.
        leaf, *others = zip(parts["CERTIFICATE"], certificates, strict=True)
        roots = [pem for pem, c in others if c.issuer == c.subject]
        chain = [leaf[0], *(pem for pem, c in others if c.issuer != c.subject)]
        return cls("".join(chain), parts["PRIVATE KEY"][0], "".join(roots))

    def __str__(self) -> str:
        return self.key + self.chain + self.anchor

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The chain, leaf first."""
        return x509.load_pem_x509_certificates(self.chain.encode())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf certificate (DER) in hex."""
        return self.certificates[0].fingerprint(hashes.SHA256()).hex()


def is_development(credential: Credential) -> bool:
    """Whether it was made by `make_development_credential`."""
    names = credential.certificates[0].subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return any(name.value == _DEVELOPMENT for name in names)


def lint(credential: Credential, *, at: datetime) -> tuple[str, ...]:
    """What a C2PA signer or verifier would refuse, each rule by itself; the library itself does not say which."""
    return tuple(_problems(credential, at))


def _problems(credential: Credential, at: datetime) -> Iterator[str]:
    chain = credential.certificates
    leaf = chain[0]
    if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
        span = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
        yield f"certificate is valid from {span} only"
    key = load_pem_private_key(credential.key.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        yield "key is no P-256 key"
    elif key.public_key() != leaf.public_key():
        yield "key is not the key of the first certificate"
    if leaf.issuer == leaf.subject:
        yield "certificate is self-signed"
    if leaf.version != x509.Version.v3:
        yield f"certificate has version {leaf.version.name}, want v3"
        return  # others have no extensions
    yield from _extension_problems(leaf)
    for child, parent in pairwise(chain):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, BadSignature):
            yield "chain is out of order: each certificate must be issued by the next"


def _extension_problems(leaf: x509.Certificate) -> Iterator[str]:
    try:
        if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            yield "certificate is that of an authority (CA)"
    except x509.ExtensionNotFound:
        pass  # allowed: then it is none
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.digital_signature or usage.key_cert_sign:
            yield "key usage is not digitalSignature alone"
    except x509.ExtensionNotFound:
        yield "key usage is missing, want digitalSignature"
    try:
        purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        if not _ACCEPTED & purposes:
            yield "extended key usage has none of claimSigning, emailProtection, documentSigning"
        if _EXCLUSIVE & purposes:
            yield "extended key usage allows any use, or time stamping or OCSP besides: these stand alone"
    except x509.ExtensionNotFound:
        yield "extended key usage is missing"
    try:
        leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        yield "authority key identifier is missing"
    for extension in leaf.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            yield f"critical extension {extension.oid.dotted_string} is none that C2PA verifiers understand"


def make_development_credential(name: str) -> Credential:
    """A root, an intermediate and a leaf that sign manifests for a year, marked so that `doctor` refuses them."""
    start = datetime.now(UTC) - timedelta(hours=1)
    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root_name, middle_name = _name(f"DEVELOPMENT root of {name}"), _name(f"DEVELOPMENT intermediate of {name}")
    root = _issue(root_name, root_name, root_key.public_key(), root_key, root_key.public_key(), start, ca=True)
    middle = _issue(middle_name, root_name, middle_key.public_key(), root_key, root_key.public_key(), start, ca=True)
    leaf = _issue(
        _name(f"DEVELOPMENT signer of {name}"),
        middle_name,
        leaf_key.public_key(),
        middle_key,
        middle_key.public_key(),
        start,
        ca=False,
    )
    key = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Credential(_pem(leaf) + _pem(middle), key, _pem(root))


def _issue(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer_public: ec.EllipticCurvePublicKey,
    start: datetime,
    *,
    ca: bool,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )
    if not ca:
        purposes = [ExtendedKeyUsageOID.EMAIL_PROTECTION, CLAIM_SIGNING]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _DEVELOPMENT),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
        ]
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
