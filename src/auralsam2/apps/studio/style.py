"""How objects are shown: names and colours."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = (
    "#ff40a0",
    "#2fa8ff",
    "#ffb000",
    "#35d07f",
    "#a56bff",
    "#ff6a3d",
    "#16c7c7",
    "#e5e04a",
    "#ff8fc7",
    "#7d9bff",
    "#9be15d",
    "#d98cff",
)
"""Of objects 0, 1, … in turn; what sounds has the pink of the overlays of `segment`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How an object is shown.

    Attributes:
        name: for the user.
        colour: `#rrggbb`.
        hidden: not shown, and not exported.
    """

    name: str
    colour: str
    hidden: bool = False

    @classmethod
    def of(cls, number: int) -> Style:
        """The first style of an object."""
        name = "What sounds" if number == 0 else f"Object {number}"
        return cls(name=name, colour=COLOURS[number % len(COLOURS)])

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour, 8 bits a channel."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue
