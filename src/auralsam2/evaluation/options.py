"""What can be chosen for an evaluation. Nothing here imports torch, so that a wrong word is refused at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auralsam2.errors import UsageError
from auralsam2.evaluation.protocols import PROTOCOLS, Protocol, protocol

PROMPTS = ("audio", "text", "audio+text", "points", "box", "mask", "points+box", "audio+points+box")
SELECTS = ("iou", "iou+object", "first")
COMBINES = ("joint", "mean_prob", "mean_logit", "max_iou_score", "union")
SOUNDS = ("own", "shuffled", "silent", "swapped")


@dataclass(frozen=True, kw_only=True)
class Options:
    """One evaluation, but for the model and the place of the files.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        prompts: what the model is given, words joined by `+`. Points, box and mask come from the truth.
        protocol: name; None for the data set's own.
        select: which of the three candidate masks counts: the one of highest predicted IoU; the same, emptied where
            the object score is below 0; or the first.
        combine: sound and visual prompts together: `joint`, all in one call of the decoder; or an ensemble, the target
            found twice and the two masks of highest predicted IoU merged by this rule.
        sound: the clip's own; that of another clip; silence; or left and right swapped.
        limit: score only so many samples, the first ones.
        seed: of the shuffled sound and of the intervals.

    Raises:
        UsageError: a word is not known.
    """

    dataset: str
    split: str
    prompts: str = "audio"
    protocol: str | None = None
    select: str = "iou"
    combine: str = "joint"
    sound: str = "own"
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("--prompts", self.prompts, PROMPTS),
            ("--protocol", self.protocol, (None, *PROTOCOLS)),
            ("--select", self.select, SELECTS),
            ("--combine", self.combine, COMBINES),
            ("--sound", self.sound, SOUNDS),
        ):
            if value not in known:
                raise UsageError(f"{name} {value}: choose from {', '.join(word for word in known if word)}")
        if self.sound != "own" and not self.hears:
            raise UsageError(f"--sound {self.sound}: the prompts {self.prompts} have no sound in them")
        if self.combine != "joint" and (not self.hears or not self.visual or self.select != "iou"):
            raise UsageError(
                f"--combine {self.combine} merges what is heard and what is pointed at: take --prompts "
                "audio+points+box, without --select"
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: give at least 1, or leave it out")

    @property
    def parts(self) -> frozenset[str]:
        """The kinds of prompts."""
        return frozenset(self.prompts.split("+"))

    @property
    def hears(self) -> bool:
        """Whether the model hears the sound."""
        return "audio" in self.parts

    @property
    def reads(self) -> bool:
        """Whether the model reads the expression."""
        return "text" in self.parts

    @property
    def visual(self) -> frozenset[str]:
        """The prompts that are taken from the truth."""
        return self.parts & {"points", "box", "mask"}

    @property
    def rules(self) -> Protocol:
        """The protocol as it applies to the data set."""
        return protocol(self.protocol, self.dataset)

    def as_json(self) -> dict[str, Any]:
        """All choices, for a report and to tell runs apart; the protocol spelt out."""
        rules = self.rules
        return {
            "dataset": self.dataset,
            "split": self.split,
            "prompts": self.prompts,
            "protocol": {
                "name": rules.name,
                "size": rules.size,
                "threshold": rules.threshold,
                "call": rules.call,
                "null": rules.null,
            },
            "select": self.select,
            "combine": self.combine,
            "sound": self.sound,
            "limit": self.limit,
            "seed": self.seed,
        }
