"""What a role said, kept on disk: one line of JSON for each question."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auralsam2 import strict_json
from auralsam2.outputs.staging import writing


class Answers:
    """Answers by question; a file that only grows, and may be removed at any time.

    A last line that was cut short is dropped: its question is asked again.

    Args:
        path: the file, made where missing; None keeps nothing.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = strict_json.parse(line)
                self._known[entry["question"]] = entry["answer"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, question: str, ask: Callable[[], Any]) -> Any:
        """The answer that is known, or that of `ask`, which is kept: plain values.

        Raises:
            OutputError: the file cannot be written.
        """
        if question not in self._known:
            self._known[question] = answer = ask()
            if self.path is not None:
                line = json.dumps({"question": question, "answer": answer})
                with writing(self.path):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    with self.path.open("a", encoding="utf-8") as file:
                        # On a line of its own, whatever a killed run has left.
                        file.write(f"\n{line}\n")
        return self._known[question]
