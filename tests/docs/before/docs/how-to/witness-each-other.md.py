"""Two markets that publish a log each."""

from adapters import create

for _name in ("shop", "gallery"):
    create(f"sqlite:///{_name}.db", origin=f"{_name}.example/log", publish=_name)
