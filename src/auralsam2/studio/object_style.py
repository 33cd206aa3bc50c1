"""Style of an object: name, colour and visibility."""

from __future__ import annotations

from dataclasses import dataclass

from auralsam2.outputs.overlay import OBJECT_COLOURS


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectStyle:
    """Style of an object.

    Attributes:
        name: name for the user.
        colour: `#rrggbb`.
        hidden: neither shown nor exported.
    """

    name: str
    colour: str
    hidden: bool = False

    @classmethod
    def default(cls, number: int) -> ObjectStyle:
        """Return the default style of an object."""
        name = "What sounds" if number == 0 else f"Object {number}"
        return cls(name=name, colour=OBJECT_COLOURS[number % len(OBJECT_COLOURS)])

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Colour, 8 bits per channel."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue
