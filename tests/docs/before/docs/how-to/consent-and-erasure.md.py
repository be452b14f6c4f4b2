"""A market that was just begun, and three pictures."""

import os
from pathlib import Path

from PIL import Image

from adapters import create

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
create("sqlite:///market.db", origin="market.example/log", publish="public/")
for number, name in enumerate(("dunes.jpg", "remix.png", "child.png")):
    Image.effect_mandelbrot((32 + number, 20), (-2, -1, 1, 1), 60).save(name)
