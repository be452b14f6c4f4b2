"""Two pictures, a text, and a home of the page's own."""

import os
from pathlib import Path

from PIL import Image

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save("dunes.jpg")
Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 20).save("remix.png")
Path("poem.txt").write_text("The dune remembers every foot,\nand no foot twice.\n", "utf-8")
