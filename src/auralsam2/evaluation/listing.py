"""What an evaluation asks of a reader. Nothing here imports torch, so that it is checked before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from auralsam2.data.samples import Sample
from auralsam2.errors import InputError, UsageError
from auralsam2.evaluation.options import Options


class Problem(Protocol):
    """What a reader found wrong; as text, a line that names the place."""

    @property
    def excluded(self) -> bool:
        """A sample is left out because of it."""
        ...


class Listing(Protocol):
    """What a reader says of a split."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Those whose files are there, in the published order."""
        ...

    @property
    def problems(self) -> Sequence[Problem]:
        """What the reader found wrong."""
        ...


def check(listing: Listing, options: Options) -> None:
    """Whether there is something to score, and whether it can be prompted as the options say.

    Raises:
        InputError: the split has no samples.
        UsageError: there are no expressions to read.
    """
    if not listing.samples:
        first = f"; the first: {listing.problems[0]}" if listing.problems else ""
        raise InputError(
            f"{options.dataset}: split {options.split} has no usable samples, {len(listing.problems)} problems{first}"
        )
    if options.reads and any(sample.expression is None for sample in listing.samples):
        raise UsageError(
            f"--prompts {options.prompts}: {options.dataset} has no expressions to read: take --prompts audio"
        )
