"""A market whose operator keeps two histories: `public` shows one, and a friend was shown the other."""

import shutil
from pathlib import Path

from adapters import connect, create

create("sqlite:///market.db", origin="market.example/log", publish="public/")
shutil.copy("public/market.policy", "market.policy")
shutil.copytree("public", "other/public")
shutil.copytree("market.keys", "other/market.keys")
for _file in Path().glob("market.db*"):
    shutil.copy(_file, "other")
connect("sqlite:///other/market.db", publish="other/public").register_party("org")
_ledger = connect("sqlite:///market.db", publish="public/")
for _ in range(3):
    _ledger.register_party("org")
shutil.copy("other/public/checkpoint", "from-a-friend")
