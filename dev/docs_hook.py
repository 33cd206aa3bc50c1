"""Hook of mkdocs: add the generated reference pages, and hide sidebars where tables need the width."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import docs_pages

HIDDEN = {
    "index.md": ["navigation", "toc"],
    "benchmarks/results.md": ["toc"],
    "models/mini.md": ["toc"],
}
"""Sidebars that a page does without. Front matter would show as a table on the code host."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add `reference/cli.md` and `reference/config.md`, which exist in no folder."""
    for name, page in (("cli", docs_pages.cli_page()), ("config", docs_pages.config_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set the sidebars that the theme hides."""
    page.meta["hide"] = HIDDEN.get(page.file.src_uri, [])
    return markdown
