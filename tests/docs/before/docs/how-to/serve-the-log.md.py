"""A market that has published something."""

import os
from pathlib import Path

from adapters import create

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
create("sqlite:///market.db", origin="market.example/log", publish="public").register_party("person", ref="user:1")
