from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID

from ledger.errors import LedgerError, MalformedError
from provenance.content import Credential, is_development, lint, make_development_credential
from provenance.content.certificates import CLAIM_SIGNING
from tests.provenance.content_media import credential, sample, sign

NOW = datetime.now(UTC)
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
CRITICAL_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def usage(**on):
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: on.get(name, False) for name in names.split()})


def pem(certificate):
    return certificate.public_bytes(Encoding.PEM).decode()


def issued(
    purposes=(Purpose.EMAIL_PROTECTION,),
    key_usage=usage(digital_signature=True),  # noqa: B008 - frozen
    ca=False,
    aki=True,
    ski=True,
    basic=True,
    organization=True,
    extra=None,
    curve=ec.SECP256R1(),  # noqa: B008 - no state
    start=NOW - timedelta(days=1),
    end=NOW + timedelta(days=100),
    own=False,
    other_key=False,
    backwards=False,
):
    """A credential whose leaf obeys every rule of C2PA but those that the test changes."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(curve)
    issuer_key = key if own else root_key
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(root_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=900))
        .not_valid_after(NOW + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "Leaf")]
    if organization:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"))
    subject = x509.Name(names)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if own else name)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if ski:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if aki:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    leaf = builder.sign(issuer_key, hashes.SHA256())
    signing = ec.generate_private_key(ec.SECP256R1()) if other_key else key
    text = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    chain = pem(root) + pem(leaf) if backwards else pem(leaf)
    return Credential(chain, text, pem(root))


BAD = {
    "no extended key usage": ({"purposes": ()}, "extended key usage is missing"),
    "any use": ({"purposes": (Purpose.ANY_EXTENDED_KEY_USAGE,)}, "extended key usage"),
    "server": ({"purposes": (Purpose.SERVER_AUTH,)}, "extended key usage has none"),
    "code": ({"purposes": (Purpose.CODE_SIGNING,)}, "extended key usage has none"),
    "mail and time": ({"purposes": (Purpose.EMAIL_PROTECTION, Purpose.TIME_STAMPING)}, "stand alone"),
    "mail and any": ({"purposes": (Purpose.EMAIL_PROTECTION, Purpose.ANY_EXTENDED_KEY_USAGE)}, "stand alone"),
    "no key usage": ({"key_usage": None}, "key usage is missing"),
    "no digitalSignature": ({"key_usage": usage(key_encipherment=True)}, "digitalSignature"),
    "keyCertSign": ({"key_usage": usage(digital_signature=True, key_cert_sign=True)}, "digitalSignature alone"),
    "authority": ({"ca": True}, "authority"),
    "no AKI": ({"aki": False}, "authority key identifier"),
    "unknown critical": ({"extra": CRITICAL_UNKNOWN}, "critical extension 1.2.3.4"),
    "curve": ({"curve": ec.SECP256K1()}, "no P-256 key"),
    "expired": ({"end": NOW - timedelta(hours=1)}, "valid from"),
    "not yet valid": ({"start": NOW + timedelta(days=1)}, "valid from"),
    "self-signed authority": ({"own": True, "ca": True}, "self-signed"),
    "other key": ({"other_key": True}, "not the key of the first certificate"),
    "backwards": ({"backwards": True}, "out of order"),
}
GOOD = {
    "mail": {},
    "claim signing alone": {"purposes": (CLAIM_SIGNING,)},
    "document signing alone": {"purposes": (DOCUMENT_SIGNING,)},
    "no SKI": {"ski": False},
    "no basic constraints": {"basic": False},
    "no organization": {"organization": False},
}


@pytest.mark.parametrize("changes, rule", BAD.values(), ids=BAD)
def test_lint_names_the_rule_and_signing_fails(tmp_path, changes, rule):
    bad = issued(**changes)
    assert rule in "; ".join(lint(bad, at=NOW))
    with pytest.raises(LedgerError):
        sign(sample("demo.jpg"), tmp_path / "out.jpg", credential=bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_lint_passes_what_signs(tmp_path, changes):
    good = issued(**changes)
    assert lint(good, at=NOW) == ()
    assert sign(sample("demo.jpg"), tmp_path / "out.jpg", credential=good).state == "Trusted"


def test_a_development_credential_is_fit_and_says_what_it_is():
    made = make_development_credential("Ada's market")
    assert is_development(made)
    assert lint(made, at=datetime.now(UTC)) == ()
    assert "valid from" in "; ".join(lint(made, at=datetime.now(UTC) + timedelta(days=400)))
    leaf = made.certificates[0]
    assert "DEVELOPMENT" in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert "not for production" in leaf.subject.rfc4514_string()
    assert not is_development(issued())


def test_a_long_name_still_makes_a_certificate():
    assert is_development(make_development_credential("x" * 500))


def test_text_form_round_trips_and_repr_hides_the_key():
    made = credential()
    assert Credential.parse(str(made)) == made
    assert Credential.parse(str(made).replace("\n", "\r\n")) == made
    assert made.key in str(made)
    assert "PRIVATE" not in repr(made)
    assert made.fingerprint == made.certificates[0].fingerprint(hashes.SHA256()).hex()


def test_a_self_signed_signer_parses_so_that_lint_can_name_it():
    made = issued(own=True, ca=True)
    parsed = Credential.parse(made.key + made.chain)
    assert "certificate is self-signed" in lint(parsed, at=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not PEM",
        credential().chain,
        credential().key,
        credential().key * 2 + credential().chain,
        credential().key.replace("PRIVATE KEY", "EC PRIVATE KEY") + credential().chain,
        credential().key + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + credential().chain,
    ],
    ids=["empty", "text", "no key", "no certificate", "two keys", "SEC1", "bad certificate", "bad key"],
)
def test_other_text_is_malformed(text):
    with pytest.raises(MalformedError, match="credential"):
        Credential.parse(text)


def test_malformed_never_shows_the_key():
    made = credential()
    broken = made.key.replace("MIG", "XXX", 1)
    with pytest.raises(MalformedError) as caught:
        Credential.parse(broken + made.chain)
    assert made.key.splitlines()[2] not in str(caught.value)


def test_an_intermediate_left_out_signs_but_is_not_trusted(tmp_path):
    made = credential()
    alone = replace(made, chain=made.chain[: made.chain.index("-----END CERTIFICATE-----\n") + 26])
    assert len(alone.certificates) == 1
    done = sign(sample("demo.jpg"), tmp_path / "out.jpg", credential=alone)
    assert (done.state, done.codes) == ("Valid", ("signingCredential.untrusted",))


def test_lint_is_stricter_than_the_library_about_content_commitment(tmp_path):
    """The specification asks for digitalSignature; c2pa-rs 0.91 takes contentCommitment (non-repudiation) for it."""
    made = issued(key_usage=usage(content_commitment=True))
    assert "digitalSignature" in "; ".join(lint(made, at=NOW))
    assert sign(sample("demo.jpg"), tmp_path / "out.jpg", credential=made).state == "Trusted"
