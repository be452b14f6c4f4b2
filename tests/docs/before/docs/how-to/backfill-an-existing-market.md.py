"""A market that was just begun, its old table, and datasets of others."""

import os
from pathlib import Path

from PIL import Image

from adapters import create

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
create("sqlite:///market.db", origin="market.example/log", publish="public/")
for number, name in enumerate(("dunes.jpg", "remix.png")):
    Image.effect_mandelbrot((32 + number, 20), (-2, -1, 1, 1), 60).save(name)
Path("orders.csv").write_text(
    "order,day,seller,name,buyer,photo,path,license,cents\n"
    "7731,2019-03-01,42,Ada,43,1,dunes.jpg,CC BY 4.0,1250\n"
    "7732,2019-03-02,42,Ada,44,2,remix.png,CC BY 4.0,\n"
    "7733,yesterday,42,Ada,43,1,dunes.jpg,CC BY 4.0,1250\n",
    "utf-8",
)
Path("datasets.jsonl").write_text(
    '{"id": "a", "name": "A", "licenses": [{"name": "MIT License"}], "derived_from": [], "model_generated": []}\n',
    "utf-8",
)
Path("cards").mkdir()
Path("cards/a.json").write_text('{"@type": "sc:Dataset", "name": "A", "license": "mit"}', "utf-8")
