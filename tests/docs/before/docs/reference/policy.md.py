"""A user's own configuration folder."""

import os
from pathlib import Path

os.environ["PROVENANCE_HOME"] = str(Path("home").resolve())
