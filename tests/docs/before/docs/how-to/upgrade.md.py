"""A market that has sold something."""

from pathlib import Path

from adapters import create

Path("dunes.jpg").write_bytes(b"not really a photo")
begun = create("sqlite:///market.db", origin="market.example/log", publish="public/")
begun.create("dunes.jpg", creators=[begun.register_party("person", name="Ada")], terms="CC-BY-4.0")
