"""Files of results and records of a run over many videos."""

from __future__ import annotations

import json
import re
from pathlib import Path


def records(folder: Path, name: str) -> list[dict]:
    """Return the lines of a record."""
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def results(folder: Path) -> dict[str, bytes]:
    """Return all files of the results, without durations and times, and without hidden and unfinished files."""
    files = {}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and path.parent != folder and not hidden:
            content = path.read_bytes()
            if path.name == "result.json":
                content = re.sub(rb'"timing": \{[^}]*\}', b"", content)
            files[str(path.relative_to(folder))] = content
    return files
