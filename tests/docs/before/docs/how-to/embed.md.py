"""A shop with an engine of its own, and a picture."""

import os
import sys
from pathlib import Path

from PIL import Image

SHOP = """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_engine("sqlite:///market.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
"""

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
Path("shop.py").write_text(SHOP, "utf-8")
sys.path.insert(0, str(Path.cwd()))
Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save("dunes.jpg")

from shop import Base, Order, engine  # noqa: E402, F401 - the page uses them
from sqlalchemy.orm import Session  # noqa: E402, F401 - the page uses it
