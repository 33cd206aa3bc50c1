"""Hook of mkdocs: add the generated reference pages to the site."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import docs_pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add `reference/cli.md` and `reference/config.md`, which exist in no folder."""
    for name, page in (("cli", docs_pages.cli_page()), ("config", docs_pages.config_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files
