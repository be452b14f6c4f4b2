"""A market that sold a picture three times."""

import os
from pathlib import Path

from PIL import Image

from adapters import create
from provenance import Money

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
market = create("sqlite:///market.db", origin="market.example/log", publish="public/")
ada, bo = (market.register_party("person", ref=f"user:{number}") for number in (42, 43))
Image.effect_mandelbrot((32, 20), (-2, -1, 1, 1), 60).save("dunes.jpg")
work = market.create("dunes.jpg", creators=[ada], ref="work:1")
price = Money(1250, "EUR")
offer = market.offer(work, terms="LicenseRef-house", price=price)
for number in (7731, 7732, 7733):
    market.license(work, to=bo, offer=offer, price=price, ref=f"order:{number}")
