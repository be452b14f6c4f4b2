"""One verdict, three readers: a terminal, a page that opens offline, and a program.

::

    from provenance.report import as_json, render_html, render_text

    print(render_text(verdict, color=sys.stdout.isatty()))
    Path("trace.html").write_text(render_html(verdict), encoding="utf-8")

All three are pure functions of the verdict: same value in, same bytes out. No clock, no network, no files.
"""

from __future__ import annotations

from provenance.report.lineage import render_lineage
from provenance.report.page import as_json, render_html
from provenance.report.safe import safe_text
from provenance.report.text import render_text

__all__ = ["as_json", "render_html", "render_lineage", "render_text", "safe_text"]
