"""The reader has saved the first two blocks of the page as the files it names."""

import sys
from pathlib import Path

from __main__ import parse

saved = [block.text for block in parse(Path(sys.argv[1]).read_text("utf-8")) if block.language == "python"]
Path("shelf.py").write_text(saved[0], "utf-8")
Path("under_test.py").write_text(saved[1], "utf-8")
sys.path.insert(0, str(Path.cwd()))
