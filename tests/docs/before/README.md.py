"""A market that exists already: two pictures, a ledger, a table of orders, and no trace in the user's own home."""

import os
from pathlib import Path

from PIL import Image
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column  # noqa: F401 - the page uses Session

from adapters import create

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save("dunes.jpg")
Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 20).save("remix.png")
create("sqlite:///market.db", origin="market.example/log", publish="public/")
engine = create_engine("sqlite:///market.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    cents: Mapped[int]


Base.metadata.create_all(engine)
