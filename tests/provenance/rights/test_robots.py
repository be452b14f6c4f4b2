"""robots.txt with preferences: the draft's own table, its rules, and any bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.rights import parse_aipref, read_robots


def load(vectors):
    return json.loads((vectors / "reservations" / "aipref.json").read_text("utf-8"))


def test_every_answer_of_the_draft(vectors):
    robots = load(vectors)["robots_txt"]
    assert len(robots["cases"]) == 5
    for case in robots["cases"]:
        got = read_robots(robots["file"].encode(), agent=case["agent"], path=case["path"])
        assert got.crawl == case["crawl"], case
        assert got.fields == ((case["preference"],) if case["preference"] else ()), case


def test_every_rule_of_the_draft(vectors):
    rows = load(vectors)["robots_txt_rules"]
    assert len(rows) == 5
    for row in rows:
        file = "\n".join(["User-Agent: *", "Allow: /", *row["lines"]]).encode()
        said = read_robots(file, agent="OtherBot", path=row["path"]).said(version="07")
        assert said | row["expect"] == said, row["name"]


def test_every_header_of_the_draft(vectors):
    for row in load(vectors)["http_header"]:
        header = next(line for line in row["response"].splitlines() if line.lower().startswith("content-usage:"))
        assert parse_aipref(header.partition(":")[2].strip(), version="07") == row["expect"]


@pytest.mark.parametrize(
    "file, crawl",
    [
        (b"", True),
        (b"Disallow: /", True),
        (b"User-agent: *\nDisallow: /", False),
        (b"User-agent: *\nDisallow:", True),
        (b"User-agent: *\nDisallow: /\nAllow: /", True),
        (b"User-agent: *\nDisallow: /x\nAllow: /", False),
        (b"user-agent: bot\r\nuser-agent: *\r\ndisallow: /x", False),
        (b"User-agent: other\nDisallow: /\n\nUser-agent: bot\nAllow: /", True),
        (b"User-agent: BOT\nDisallow: /y\nUser-agent: bot\nDisallow: /x", False),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /", False),
        (b"User-agent: *\nDisallow: /*.x$", True),
        (b"\xff\x00:\n#:\nUser-agent *\nDisallow: /", True),
    ],
)
def test_what_may_be_fetched(file, crawl):
    assert read_robots(file, agent="Bot", path="/x").crawl is crawl


@given(
    file=st.binary(max_size=200) | st.text(alphabet="uUser-agent:*\n /Content-Usage=yn#", max_size=120).map(str.encode)
)
def test_any_bytes_are_read(file):
    said = read_robots(file, agent="bot", path="/x").said()
    assert set(said.values()) <= {"allow", "disallow", "unknown"}
