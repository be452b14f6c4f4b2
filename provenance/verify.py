"""One answer for one file: manifest, ingredients, log, statement, event, terms and credits, each apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provenance.content import Manifest, digest_file, read_manifest
from provenance.history import History
from provenance.index import Entry
from provenance.lineage import Lineage, lineage
from provenance.verdict import Check, Node, Record, Verdict

__all__ = ["verify", "verify_work"]

_WORKS = ("work.create", "work.derive")


def verify(
    file: str | Path,
    history: History,
    *,
    anchors: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Verify a file against a published log, with nothing but public files.

    `history` is the log as read under the verifier's own policy; `anchors` are certificates (PEM) that the verifier
    trusts to sign manifests. The file is read with constant memory; `progress` gets (bytes read, bytes in all).
    Raises `NotFound`, `Unavailable` or `MalformedError` for a file that cannot be read or is empty; everything
    else is in the verdict.
    """
    path = Path(file)
    digest, _ = digest_file(path, progress=progress)
    manifest = read_manifest(path, anchors=anchors)
    checks = _manifest_checks(manifest)
    found, hearsay = _find(bytes.fromhex(digest), history)
    named = _named(manifest, history, checks)
    if found:
        work = found[0]
        checks.append(_same_bytes(digest, work, history))
        if named is not None and named.event_id != work.event_id:
            checks.append(_other_reference(named, work, found))
    elif hearsay and named is None:
        found = [work for work, _ in hearsay]
        work, said = hearsay[0]
        text = (
            f"entry #{said.idx} says that SHA-256 {digest} is a file of work #{work.idx}; its signer neither made nor "
            "registered that work, and is not the market: ask the work's creators"
        )
        checks.append(Check("bytes", "unknown", "said by a stranger", text))
    elif named is not None:
        work = named
        text = (
            f"SHA-256 {digest} is in no entry of work {work.event_id.hex()}: these are not the bytes that were logged"
        )
        checks.append(Check("bytes", "bad", "changed", text))
    else:
        size = history.log.checkpoint.size
        text = f"SHA-256 {digest} is in no entry of the log at size {size}, and no manifest names one"
        checks.append(Check("log", "unknown", "not found", text))
        claim = "Nobody says anything about these bytes in this log."
        return _verdict(path.name, digest, history, checks, claim, None, (), f"provenance create {path.name}")
    return _work_verdict(path.name, digest, history, checks, work, found[1:])


def verify_work(work: str, history: History) -> Verdict:
    """Verify what the log says about a work, given its event id (64 hex digits), without a file."""
    entry = history.index.find(bytes.fromhex(work))
    if entry is None or entry.type not in _WORKS:
        text = f"no work {work} in the log at size {history.log.checkpoint.size}"
        claim = "Nobody says anything about this work in this log."
        return _verdict(
            work, "", history, [Check("log", "unknown", "not found", text)], claim, None, (), "provenance list"
        )
    return _work_verdict(work, "", history, [], entry, [])


def _work_verdict(
    subject: str, digest: str, history: History, checks: list[Check], work: Entry, rivals: list[Entry]
) -> Verdict:
    checks += _log_checks(work, history)
    picture = lineage(history, work)
    node = picture.nodes[0]
    for other in picture.nodes[1:]:
        entry = history.index.find(bytes.fromhex(other.id)) if other.index is not None else None
        if entry is not None:
            checks += [c for c in _log_checks(entry, history, f"work #{entry.idx}") if c.status != "ok"]
    checks += _terms_checks(work, picture, history)
    checks.append(_credits_check(node))
    claim = _claim(work, node, history)
    twins = tuple(Lineage(history).node(rival) for rival in rivals)
    next_ = f"provenance trace {subject} --html trace.html"
    return _verdict(subject, digest or node.digest, history, checks, claim, picture, twins, next_)


def _claim(work: Entry, node: Node, history: History) -> str:
    """Who says it, and how strongly: the one who signed, who need not be one of those whom they name."""
    statement = history.reading(work.idx).statement
    actor = statement.issuer if statement else ""
    names = {credit.party: credit.name or f"party {credit.party[:12]}…" for credit in node.creators}
    speaker = names.get(actor) or ("the market" if actor and actor == history.market else f"party {actor[:12]}…")
    who = ", ".join(names.values()) or "an unknown party"
    if node.strength == "observed":
        says = f"{speaker} says that it was told so by {who}"
    elif node.strength == "self" and actor in names:
        says = f"{speaker} says so, and nobody else"
    else:
        says = f"{speaker} says so of {who}, and nobody else"
    return f"{says[0].upper()}{says[1:]}. The log proves that it was said, not that it is true."


def _verdict(
    subject: str,
    digest: str,
    history: History,
    checks: list[Check],
    claim: str,
    picture: Lineage | None,
    rivals: tuple[Node, ...],
    next_: str,
) -> Verdict:
    checkpoint = history.log.checkpoint
    return Verdict(
        subject=subject,
        digest=digest,
        record=_record(checks),
        claim=claim,
        checks=tuple(checks),
        origin=checkpoint.origin,
        size=checkpoint.size,
        work=picture.nodes[0].id if picture else "",
        nodes=picture.nodes if picture else (),
        edges=picture.edges if picture else (),
        terms=tuple(picture.terms) if picture else (),
        rivals=rivals,
        next=next_,
    )


def _record(checks: list[Check]) -> Record:
    """The worst check decides: nothing good outweighs anything bad."""
    statuses = {check.status for check in checks}
    if "bad" in statuses:
        return "altered"
    return "cannot check" if "unknown" in statuses else "intact"


def _find(digest: bytes, history: History) -> tuple[list[Entry], list[tuple[Entry, Entry]]]:
    """Works whose bytes these are, as registered or as signed, earliest first; then what strangers say of them.

    The second are pairs of a work and the `work.manifest` of somebody who may not speak for it. They find the work, and
    that is all: else anybody could log a manifest that makes their own file pass as somebody else's.
    """
    works: dict[int, Entry] = {}
    hearsay: dict[int, tuple[Entry, Entry]] = {}
    for entry, kind in history.index.by_digest(digest):
        if kind == "content" and entry.type in _WORKS:
            works[entry.idx] = entry
        elif kind == "file" and entry.type == "work.manifest":
            for link in history.index.links_from(entry.idx):
                work = history.index.find(link.event_id) if link.role == "work" else None
                if work is None or work.type not in _WORKS:
                    continue
                if (entry, True) in Lineage(history).said_of(work, entry.type):
                    works[work.idx] = work
                else:
                    hearsay.setdefault(work.idx, (work, entry))
    return [works[idx] for idx in sorted(works)], [hearsay[idx] for idx in sorted(hearsay)]


def _other_reference(named: Entry, work: Entry, found: list[Entry]) -> Check:
    """The manifest names another work than the earliest with these bytes: a rival's, or one with other bytes."""
    names, bytes_of = named.event_id.hex(), work.event_id.hex()
    if named in found:
        text = f"the manifest names work {names}, one of {len(found)} with these bytes; the earliest is {bytes_of}"
        return Check("reference", "note", "rival", text)
    text = f"the manifest names work {names}, the bytes are those of {bytes_of}"
    return Check("reference", "bad", "contradicts", text)


def _named(manifest: Manifest | None, history: History, checks: list[Check]) -> Entry | None:
    """The work that the manifest's ledger reference names."""
    if manifest is None or manifest.reference is None:
        return None
    log, event = manifest.reference
    origin = history.log.checkpoint.origin
    if log != origin:
        checks.append(Check("reference", "note", "another log", f"the manifest names log {log}, checked is {origin}"))
        return None
    entry = history.index.find(bytes.fromhex(event))
    if entry is None:
        text = f"the manifest names event {event}, which is not in the log at size {history.log.checkpoint.size}"
        checks.append(Check("reference", "bad", "not in the log", text))
    elif entry.type not in _WORKS:
        checks.append(Check("reference", "bad", "no work", f"the manifest names event {event}, a {entry.type}"))
        return None
    return entry


def _same_bytes(digest: str, work: Entry, history: History) -> Check:
    kinds = {kind for entry, kind in history.index.by_digest(bytes.fromhex(digest))}
    word = "as signed" if "file" in kinds else "as registered"
    return Check("bytes", "ok", word, f"SHA-256 {digest} is what work #{work.idx} names")


def _manifest_checks(manifest: Manifest | None) -> list[Check]:
    if manifest is None:
        text = "no manifest in the file and none beside it; the log may know the bytes all the same"
        return [Check("manifest", "note", "none", text)]
    checks = [
        _manifest_check("manifest", manifest.state, manifest.codes, f"{manifest.label}, signed by {manifest.signer}")
    ]
    todo = list(manifest.ingredients)
    while todo:
        part = todo.pop(0)
        todo = [*part.ingredients, *todo]
        name = f"ingredient {part.title or part.label or 'without a name'}"
        if part.state is None:
            checks.append(
                Check(name, "note", "no manifest", f"{part.relationship}: it carries no credentials of its own")
            )
        else:
            checks.append(_manifest_check(name, part.state, part.codes, f"{part.relationship}, {part.label}"))
    return checks


def _manifest_check(name: str, state: str, codes: tuple[str, ...], what: str) -> Check:
    if state == "Trusted":
        return Check(name, "ok", "trusted", what)
    if state == "Valid":
        return Check(name, "note", "valid", f"{what}; no certificate that you trust vouches for the signer")
    return Check(name, "bad", "tampered", f"{what}: {', '.join(codes) or 'invalid'}")


def _log_checks(work: Entry, history: History, name: str = "") -> list[Check]:
    """Inclusion, signature and event of the entry of a work, and of the registrations that its signer rests on."""
    prefix = f"{name} " if name else ""
    checks: list[Check] = []
    reading = history.reading(work.idx)
    proof = history.log.prove(work.idx)
    checkpoint = proof.verify(reading.entry, history.log.policy)
    root, size = checkpoint.root.hex(), checkpoint.size
    text = f"entry #{work.idx}: {len(proof.hashes)} hashes lead to root {root[:16]}… of size {size}"
    checks.append(Check(f"{prefix}included", "ok", "included", text))
    checks.append(Check(f"{prefix}signed", "ok", "signed", f"checkpoint by {checkpoint.origin}, under your policy"))
    findings = history.findings_at(work.idx)
    signature = [f for f in findings if f.rule.startswith("statement.")]
    others = [f for f in findings if not f.rule.startswith("statement.")]
    if reading.statement is None:
        checks.append(Check(f"{prefix}statement", "bad", "none", reading.problem))
        return checks
    if not signature:
        party = f"party {reading.statement.issuer[:16]}…"
        text = f"signed by {party} with a key valid at #{work.idx}; key history checked to size {size}"
        checks.append(Check(f"{prefix}statement", "ok", "signed", text))
    checks += [_finding(f"{prefix}statement", f.detail, f.altered) for f in signature]
    if reading.status in {"disclosed", "sealed"} and not others:
        text = f"{work.type} {work.event_id.hex()}: bytes {'match' if reading.event else 'kept back on purpose'}"
        checks.append(Check(f"{prefix}event", "ok", reading.status, text))
    if reading.status == "erased" and not others:
        erasure = history.index.erased([work.event_id]).get(work.event_id)
        text = f"{work.type} {work.event_id.hex()}: removed as entry #{erasure} says; that it was logged stays proven"
        checks.append(Check(f"{prefix}event", "note", "erased", text))
    checks += [_finding(f"{prefix}event", f.detail, f.altered) for f in others]
    return checks


def _finding(name: str, detail: str, altered: bool) -> Check:
    return Check(name, "bad" if altered else "unknown", "broken" if altered else "cannot check", detail)


def _terms_checks(work: Entry, picture: Lineage, history: History) -> list[Check]:
    """The offers that count, those that do not, and whatever is wrong with the entries that they stand on."""
    said = list(picture.said_of(work, "offer.attach"))
    strangers = [offer for offer, own in said if not own]
    license_, count = picture.nodes[0].license, len(said) - len(strangers)
    checks = [Check("terms", "note", "none", "the work is offered under no terms in this log: ask its creators")]
    if license_:
        checks = [
            Check(
                "terms",
                "ok",
                license_,
                f"offered under {license_} ({count} offer{'' if count == 1 else 's'} in the log)",
            )
        ]
    if strangers:
        where = ", ".join(f"#{offer.idx}" for offer in strangers[:5])
        text = f"{len(strangers)} offers by others than its creators and the market do not count: {where}"
        checks.append(Check("terms", "note", "not theirs to give", text))
    for offer, own in said:
        rests = [history.index.find(link.event_id) for link in history.index.links_from(offer.idx) if own]
        entries = {offer.idx, *(entry.idx for entry in rests if entry is not None and entry.type == "terms.publish")}
        checks += [_finding("terms", f.detail, f.altered) for idx in entries if own for f in history.findings_at(idx)]
    return checks


def _credits_check(node: Node) -> Check:
    if not node.creators:
        return Check("credits", "note", "none", "the log names no creator, or the event is not readable")
    names = ", ".join(f"{c.name or 'party ' + c.party[:16] + '… (name sealed)'} ({c.role})" for c in node.creators)
    return Check("credits", "ok", f"{len(node.creators)} named", f"credit {names}")
