"""Documentation uses the terms of the field, and figures of the model card agree with the tables below them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "recipes").rglob("*.yaml")),
]
PRIVATE = re.compile(
    r"\b(?:nobody|whoever|deaf|strange voices?|is told|are told|was told|goes on|takes away|let go of|what sounds|"
    r"the heard|is heard|way in|drawn mask|reads words)\b",
    re.IGNORECASE,
)
QUOTED = {"the object that is heard first"}
"""Sentences of StampAVS that the documentation quotes."""


def private_terms(text: str) -> list[str]:
    for sentence in QUOTED:
        text = text.replace(sentence, "")
    return PRIVATE.findall(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_use_terms_of_the_field(page):
    assert private_terms(page.read_text(encoding="utf-8")) == []


def test_a_private_term_is_found():
    assert private_terms("Nobody met the deaf row, which goes on.") == ["Nobody", "deaf", "goes on"]


def test_figures_of_the_model_card_are_those_of_its_tables():
    card = (REPOSITORY / "docs" / "models" / "mini.md").read_text(encoding="utf-8")
    lines = [line.strip("|") for line in card.splitlines() if line.startswith("| test-")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    own = {row[0]: row for row in reversed(rows) if row[1] == "own" and row[2].isdigit()}
    quoted = dict(re.findall(r"(\.\d{3}) on\s+`(test-[\w-]+)`", card.replace("mini.md", "")))
    assert len(quoted) == 4
    for value, split in quoted.items():
        assert own[split][3].startswith(f"0{value} "), split
    pictures = re.search(r"sounding object in (\.\d+) and (\.\d+) of", card)
    assert pictures is not None
    for value, split in zip(pictures.groups(), ("test-new-sound", "test-unseen"), strict=True):
        assert own[split][5].startswith(f"0{value} "), split
