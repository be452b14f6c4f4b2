"""The main job in one run, on real media: a toy market, its log, an auditor who trusts nobody, and two forgeries."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.connect import connect, create, open_log
from ledger.errors import Conflict, LedgerError, MalformedError, TileMismatch
from ledger.policy import Policy
from ledger.tile import WIDTH, bundle_spans
from provenance.audit import audit
from provenance.content import digest_file, media_type_of
from provenance.drafts import Money
from provenance.errors import MissingExtra
from provenance.history import History
from provenance.ledger import ProvenanceLedger
from provenance.proofs import write_proof
from provenance.report import render_html, safe_text
from provenance.ticket import Ticket
from provenance.verify import verify

__all__ = ["ORIGIN", "demo"]

ORIGIN = "demo.market.example/log"

_SIDECARS = ("demo.mp3", "demo.pdf", "demo.mp4")
_LEFT = (
    "market.db",
    "market.db-wal",
    "market.db-shm",
    "market.keys",
    "public",
    "media",
    "proofs",
    "work",
    "report.html",
    "auditor",
    "forged",
)
_MARK = ".provenance-demo"
_AUDITOR = """
import json, sys
from adapters import open_log
from provenance.audit import audit
report = audit(open_log("public", open("market.policy").read()))
print(json.dumps({"record": report.record, "size": report.checkpoint.size, "findings": len(report.findings)}))
"""


def demo(folder: str | os.PathLike[str], media: Sequence[Path] = (), *, say: Callable[[str], None] = print) -> None:
    """Run the demo in `folder`, which is emptied of an earlier run's files first; `say` gets each line.

    `media` are files of the user's own: the first JPEG or PNG takes the photo's place, all others are registered as
    they are. Raises `Conflict` for a folder that holds anything but an earlier run, `MissingExtra` without the
    optional parts it needs, and any error of the library: nothing is expected to fail but the two forgeries, and it is
    an error when they are not found.
    """
    root = Path(folder)
    photo, others = _media(root, media)
    say(f"1  a market begins its log: {ORIGIN}")
    ledger = create(
        f"sqlite:///{root / 'market.db'}", origin=ORIGIN, publish=root / "public", market_name="Demo Market"
    )
    ada = ledger.register_party("person", name="Ada Lovelace", ref="user:1")
    bo = ledger.register_party("person", name="Bo Derek Ito", ref="user:2")
    cleo = ledger.register_party("person", name="Cleo Marsh", ref="user:3")
    model = ledger.register_party("model-provider", name="Dune Diffusion 2", ref="model:1")
    say("2  three creators and one generative model are parties; their names stay in the vault")
    works = _works(ledger, root, photo, [ada, bo, cleo], model, say)
    for path in others:
        works[path.name] = ledger.create(path, creators=[cleo], title=path.name, ref=f"work:{path.name}")
    signed = _attach(ledger, root, works, say)
    sale = _sell(ledger, root, works, say)
    ledger.publish()
    _prove(root, ledger, works, sale, say)
    _audit_apart(root, say)
    _report(root, signed, say)
    _forge(root, signed, say)
    say(f"8  everything is in {root}: open report.html in a browser")
    public = root / "public"
    words = ["verify", signed, "--log", public, "--policy", public / "market.policy"]
    say(f"next: {shlex.join(['provenance', *map(str, words)])}")


def _works(
    ledger: ProvenanceLedger, root: Path, photo: Path, people: list[Ticket], model: Ticket, say: Callable[[str], None]
) -> dict[str, Ticket]:
    ada, bo, cleo = people
    works: dict[str, Ticket] = {}
    works[photo.name] = ledger.create(
        photo,
        creators=[ada],
        role="photographer",
        terms="CC-BY-4.0",
        title="Dunes at noon",
        source_type="digitalCapture",
        ref="work:photo",
    )
    say(f"3  {photo.name}: registered by Ada, offered to all under CC-BY-4.0")
    remix, collage = _edit(photo, root / "work")
    works[remix.name] = ledger.derive(
        remix,
        parents=[works[photo.name]],
        creators=[bo],
        tool=model,
        terms="CC-BY-4.0",
        title="Dunes, remixed",
        ref="work:remix",
    )
    works[collage.name] = ledger.derive(
        collage,
        parents=[works[photo.name], works[remix.name]],
        creators=[cleo],
        relation="composed",
        source_type="composite",
        title="Dunes twice",
        ref="work:collage",
    )
    say(f"   {remix.name}: made from it by Bo with the model; {collage.name}: made from both by Cleo")
    return works


def _attach(ledger: ProvenanceLedger, root: Path, works: dict[str, Ticket], say: Callable[[str], None]) -> Path:
    signed = root / "media"
    signed.mkdir(parents=True, exist_ok=True)
    for name, work in works.items():
        ledger.attach(work, root / "work" / name, signed / name)
    sidecars = sorted(path.name for path in signed.glob("*.c2pa"))
    say(f"4  C2PA manifests with ingredients and AI source types: {len(works) - len(sidecars)} embedded,")
    say(f"   {len(sidecars)} beside their files ({', '.join(safe_text(name, limit=40) for name in sidecars)})")
    return signed / "remix.png"


def _sell(ledger: ProvenanceLedger, root: Path, works: dict[str, Ticket], say: Callable[[str], None]) -> Ticket:
    """Sell a license in the same transaction as a row of the market's own; once more, and roll it back."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    buyer = ledger.register_party("org", name="Buyer & Sons", ref="user:4")
    # What CC BY allows under terms that no list knows is unknown; the market stands for it.
    ledger.attest(works["remix.png"], claim="rights-cleared", expires=datetime.now(UTC) + timedelta(days=365))
    offer = ledger.offer(
        works["remix.png"], terms="LicenseRef-demo-commercial", price=Money(1250, "EUR"), ref="offer:1"
    )
    engine = create_engine(f"sqlite:///{root / 'market.db'}")
    with engine.begin() as connection:
        connection.execute(text('CREATE TABLE "order" (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)'))

    def sell(session: Session, order: int) -> Ticket:
        session.execute(text('INSERT INTO "order" VALUES (:id, 1250)'), {"id": order})
        return ledger.license(
            works["remix.png"],
            to=buyer,
            offer=offer,
            price=Money(1250, "EUR"),
            ref=f"order:{order}",
            session=session,
        )

    with Session(engine) as session:
        ticket = sell(session, 7731)
        session.commit()
    with Session(engine) as session:
        sell(session, 7732)
        session.rollback()
    ledger.publish()
    with engine.connect() as connection:
        orders = [row.id for row in connection.execute(text('SELECT id FROM "order"'))]
    grants = ledger.index.counts()["grant.issue"]
    engine.dispose()
    if orders != [7731] or grants != 1:
        msg = f"demo: orders {orders} and {grants} grants, want order 7731 and its grant alone"
        raise LedgerError(msg)
    say("5  order 7731 sold: the order row and the sealed license are one transaction")
    say("   order 7732 rolled back: neither an order nor a license is left")
    return ticket


def _prove(
    root: Path, ledger: ProvenanceLedger, works: dict[str, Ticket], sale: Ticket, say: Callable[[str], None]
) -> None:
    history = History.read(
        open_log(root / "public", ledger.log.policy), disclosed={bytes.fromhex(sale.id): ledger.event(sale)}
    )
    for name, ticket in {**works, "sale-7731": sale}.items():
        entry = history.index.find(bytes.fromhex(ticket.id))
        if entry is None:
            msg = f"demo: {name} is not in the published log"
            raise LedgerError(msg)
        write_proof(root / "proofs", name, history, entry)
    say(f"   proofs/ holds a proof, the entry and the event of {len(works) + 1} of them")


def _audit_apart(root: Path, say: Callable[[str], None]) -> None:
    """Let another process audit a copy of the public folder alone."""
    seen = root / "auditor"
    shutil.copytree(root / "public", seen / "public")
    shutil.copy(root / "public" / "market.policy", seen / "market.policy")
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", _AUDITOR], cwd=seen, capture_output=True, text=True, check=False, env=_import_path()
    )
    if done.returncode:
        raise LedgerError("demo: the auditor failed: " + done.stderr.strip().splitlines()[-1])
    report = json.loads(done.stdout)
    shutil.rmtree(seen)
    if report["record"] != "intact":
        msg = f"demo: the auditor found {report['findings']} findings in an honest log"
        raise LedgerError(msg)
    say(f"6  a separate process, with the public folder alone, audits {report['size']} entries: {report['record']}")


def _report(root: Path, signed: Path, say: Callable[[str], None]) -> None:
    ledger = connect(f"sqlite:///{root / 'market.db'}", publish=root / "public")
    disclosed = ledger.disclosures()
    history = History.read(open_log(root / "public", _policy(root)), disclosed=disclosed)
    (root / "report.html").write_text(render_html(verify(signed, history)), encoding="utf-8")
    blind = verify(signed, History.read(open_log(root / "public", _policy(root))))
    if blind.record != "intact":
        msg = f"demo: {signed.name} is {blind.record}: {[c for c in blind.checks if c.status == 'bad']}"
        raise LedgerError(msg)
    say(f"   {signed.name} is verified without the database: Record {blind.record}")
    say(f"   Claim {blind.nodes[0].strength}: the market was told so; nobody says that it is true")


def _forge(root: Path, signed: Path, say: Callable[[str], None]) -> None:
    """Change one byte of a logged entry, and one of an image, in a copy: both must be found and named."""
    copy = root / "forged"
    shutil.copytree(root / "public", copy)
    log = open_log(copy, _policy(root))
    bundle = copy / log.bundle(0, min(log.checkpoint.size, WIDTH))[0]
    data = bytearray(bundle.read_bytes())
    begin, end = bundle_spans(bytes(data))[5]
    data[(begin + end) // 2] ^= 1
    bundle.write_bytes(data)
    try:
        audit(open_log(copy, _policy(root)))
    except TileMismatch as error:
        say(f"7  one byte of entry #5 changed in a copy: found — {error}")
    else:
        msg = "demo: a changed entry was not found"
        raise LedgerError(msg)
    image = copy / signed.name
    data = bytearray(signed.read_bytes())
    data[-2_000] ^= 1
    image.write_bytes(data)
    verdict = verify(image, History.read(open_log(root / "public", _policy(root))))
    bad = [check for check in verdict.checks if check.status == "bad"]
    if verdict.record != "altered" or not bad:
        msg = "demo: a changed image was not found"
        raise LedgerError(msg)
    words = ", ".join(f"{check.name} {check.word}" for check in bad)
    say(f"   one byte of {signed.name} changed in a copy: found — {words}")
    shutil.rmtree(copy)


def _edit(photo: Path, folder: Path) -> tuple[Path, Path]:
    """A real edit of the real pixels, and a picture made of both."""
    try:
        from PIL import Image, ImageEnhance, ImageOps
    except ImportError as error:
        raise MissingExtra("demo", "demo") from error  # noqa: EM101 - a name, no message
    try:
        with Image.open(io.BytesIO(photo.read_bytes())) as opened:
            original = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        msg = f"{photo.name}: begins like a picture and is none that can be edited ({error})"
        raise MalformedError(msg) from error
    warm = ImageEnhance.Color(ImageOps.mirror(original)).enhance(1.8)
    remix = ImageOps.posterize(warm, 4)
    remix.thumbnail((900, 900))
    small = original.copy()
    small.thumbnail(remix.size)
    collage = Image.new("RGB", (remix.width + small.width, max(remix.height, small.height)))
    collage.paste(small, (0, 0))
    collage.paste(remix, (small.width, 0))
    paths = folder / "remix.png", folder / "collage.jpg"
    remix.save(paths[0])
    collage.save(paths[1], quality=90)
    return paths


def _media(root: Path, media: Sequence[Path]) -> tuple[Path, list[Path]]:
    """Copies in `root / "work"` of the user's files and of the samples: (the photo, the others).

    What the user named is looked at before anything of an earlier run is removed.
    """
    try:
        import iscc_samples
    except ImportError as error:
        raise MissingExtra("demo", "demo") from error  # noqa: EM101 - a name, no message
    for path in media:
        digest_file(path)
        if root.resolve() in path.resolve().parents:
            msg = f"{path}: is inside {root}, which is emptied first; copy it elsewhere"
            raise Conflict(msg)
    samples = {Path(str(path)).name: Path(str(path)) for path in iscc_samples.all()}
    pictures = [path for path in media if media_type_of(path) in {"image/jpeg", "image/png"}]
    photo = pictures[0] if pictures else samples["demo.jpg"]
    _clean(root)
    work = root / "work"
    work.mkdir()
    place = work / ("photo.png" if media_type_of(photo) == "image/png" else "photo.jpg")
    shutil.copyfile(photo, place)
    rest = list(dict.fromkeys(path for path in media if path != photo))
    others = []
    taken = {"photo.jpg", "photo.png", "remix.png", "collage.jpg", "sale-7731"}
    for path in [*(samples[name] for name in _SIDECARS), *rest]:
        others.append(work / _free(path.name, taken))
        shutil.copyfile(path, others[-1])
    return place, others


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with a number in it that nobody has; case makes no difference, as on some disks."""
    path = Path(name)
    free, number = name, 1
    # A name that ends as a sidecar's could be the one of a file beside it.
    while free.lower().removesuffix(".c2pa") in taken:
        number += 1
        free = f"{path.stem}-{number}{path.suffix}"
    taken.add(free.lower().removesuffix(".c2pa"))
    return free


def _clean(root: Path) -> None:
    """Remove an earlier run's files from `root` and mark it as ours; refuse a folder of anybody else's."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        msg = f"{root}: a file, want a folder for the demo"
        raise Conflict(msg) from error
    mark = root / _MARK
    names = sorted(path.name for path in root.iterdir())
    if names and not mark.exists() and not _shows_demo(root, names):
        msg = f"{root}: holds {safe_text(names[0], limit=40)} and no earlier demo; name a new folder"
        raise Conflict(msg)
    mark.touch()
    for name in _LEFT:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _shows_demo(root: Path, names: Iterable[str]) -> bool:
    """Whether this is what a run leaves, its mark apart."""
    key = root / "public" / "log.vkey"
    return set(names) <= set(_LEFT) and key.is_file() and key.read_bytes().startswith(f"{ORIGIN}+".encode())


def _policy(root: Path) -> Policy:
    return Policy.parse((root / "public" / "market.policy").read_text(encoding="utf-8"))


def _import_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
