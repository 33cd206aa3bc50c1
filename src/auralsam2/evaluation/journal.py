"""The rows of a run as it goes, so that a run that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from auralsam2 import strict_json
from auralsam2.errors import UsageError
from auralsam2.outputs.json_stream import dump, plain
from auralsam2.outputs.staging import writing


def journal_path(report: Path) -> Path:
    """`REPORT.partial.jsonl`, beside the report."""
    return report.with_name(f"{report.name}.partial.jsonl")


class Journal:
    """A file of JSON lines: first what tells the run from others, then one row a sample.

    A context manager. A line that was cut short, as by a killed process, is dropped when the file is opened again.

    Args:
        path: made where missing.
        run: what must agree for a later run to go on.

    Raises:
        UsageError: on entering: the file is of another run.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path, self._run = path, plain(run)
        self._file: Any = None

    def __enter__(self) -> Journal:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._whole_bytes()
            self._file = self.path.open("ab")
            self._file.truncate(whole)
        if whole == 0:
            self._line(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows so far.

        Raises:
            UsageError: the file was damaged meanwhile or by an earlier run.
        """
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for number, line in enumerate(file, 2):
                try:
                    row = strict_json.parse(line)
                except ValueError as error:
                    raise UsageError(
                        f"{self.path}:{number}: damaged ({error}): delete the file to start anew"
                    ) from error
                yield row

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; it outlives the process when this returns."""
        self._line(row)

    def _line(self, value: dict[str, Any]) -> None:
        with writing(self.path):
            self._file.write((dump(value) + "\n").encode())
            self._file.flush()

    def _whole_bytes(self) -> int:
        """Length of the file up to the end of its last whole line, after a look at the first one."""
        if not self.path.exists():
            return 0
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    self._check(line)
                whole += len(line)
        return whole

    def _check(self, line: bytes) -> None:
        try:
            earlier = strict_json.parse(line)
        except ValueError:
            earlier = None
        if not isinstance(earlier, dict):
            raise UsageError(f"{self.path}: not the rows of an evaluation: move it, or choose another --report")
        names = {*earlier, *self._run}
        if different := sorted(name for name in names if earlier.get(name) != self._run.get(name)):
            raise UsageError(
                f"{self.path} holds rows of a run with another {', '.join(different)}: delete it to start anew, or "
                "choose another --report"
            )
