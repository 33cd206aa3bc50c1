"""Options of a run over many videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from auralsam2.errors import UsageError

Engine = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Part of a manifest: every `count`-th row, from row `index`.

    Attributes:
        index: number of the part, 1 to `count`.
        count: number of parts.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            UsageError: the index is not in 1 to `count`.
        """
        if not 1 <= self.index <= self.count:
            raise UsageError(f"`shard={self.index}/{self.count}`: give I/N with I from 1 to N")

    def holds(self, number: int) -> bool:
        """Return whether row `number`, from 1, belongs to the part."""
        return number % self.count == self.index % self.count

    @property
    def suffix(self) -> str:
        """Part of the names of records, such as `-2-of-8`; empty for the whole manifest."""
        return "" if self.count == 1 else f"-{self.index}-of-{self.count}"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run over many videos.

    Attributes:
        engine: `local` for processes of this machine, `ray` for actors of a Ray cluster.
        jobs: number of worker processes.
        shard: part of the rows.
        limit: maximum number of rows of the shard; None for all.
        timeout: maximum seconds for a video; None for no limit.
        dry_run: check the rows and segment nothing.
    """

    engine: Engine = "local"
    jobs: int = 1
    shard: Shard = field(default_factory=Shard)
    limit: int | None = None
    timeout: float | None = None
    dry_run: bool = False
