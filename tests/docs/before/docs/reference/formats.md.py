"""A small published log: an open event of each common kind, and a sealed one at its end."""

from pathlib import Path

from adapters import create

ledger = create("sqlite:///market.db", origin="market.example/log", publish="public/")
Path("poem.txt").write_text("The dune remembers every foot,\nand no foot twice.\n", "utf-8")
_ada = ledger.register_party("person", name="Ada")
_poem = ledger.create("poem.txt", creators=[_ada], title="Dunes")
ticket = ledger.license(_poem, to=_ada, offer=ledger.offer(_poem, terms="CC-BY-4.0"), ref="order:7731")
Path("sale.entry").write_bytes(ledger.receipt(ticket).entry)
Path("sale.cose").write_bytes(ledger.transparent_statement(ticket))
