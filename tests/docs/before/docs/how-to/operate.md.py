"""A shop with an engine of its own."""

import os
import sys
from pathlib import Path

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
Path("shop.py").write_text(SHOP, "utf-8")
sys.path.insert(0, str(Path.cwd()))

from shop import Base, Order, engine  # noqa: E402, F401 - the page uses them
from sqlalchemy.orm import Session  # noqa: E402, F401 - the page uses it
