"""A market that publishes a photo and a remix of it, and the remix as somebody gets it."""

import os
from pathlib import Path

from PIL import Image

from adapters import create

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
market = create("sqlite:///market.db", origin="market.example/log", publish="public/")
ada = market.register_party("person", name="Ada", ref="user:42")
for number, name in enumerate(("dunes.jpg", "remix.png")):
    Image.effect_mandelbrot((32 + number, 20), (-2, -1, 1, 1), 60).save(name)
photo = market.create("dunes.jpg", creators=[ada], terms="CC-BY-4.0")
remix = market.derive("remix.png", parents=[photo], creators=[ada])
market.attach(remix, "remix.png", "remix.signed.png")
market.publish()
