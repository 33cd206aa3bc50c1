"""What a page can ask of a session: each command checked in full before anything is done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from auralsam2.errors import UsageError
from auralsam2.utils import strict_json

MOST_OBJECTS = 255
"""Objects of a session: the values that a palette picture has beside the ground."""
Number = Annotated[int, Field(ge=0, lt=MOST_OBJECTS)]
Tick = Annotated[int, Field(ge=0, lt=1_000_000)]
Threshold = Annotated[FiniteFloat, Field(ge=-8, le=8)]
Score = Annotated[FiniteFloat, Field(ge=-20, le=20)]
Click = tuple[FiniteFloat, FiniteFloat, Literal[0, 1]]
# A picture of 8192 x 8192 pixels with a mask in it takes less.
Base64 = Annotated[str, Field(max_length=4_000_000)]


class Command(BaseModel):
    """Base of all; what else a message holds is not looked at."""

    model_config = ConfigDict(frozen=True)


class PointsCommand(Command):
    """Clicks, added to earlier ones. `shown` is the mask that they corrected, as the log has it."""

    do: Literal["points"]
    object: Number
    tick: Tick
    points: Annotated[tuple[Click, ...], Field(min_length=1, max_length=1000)]
    shown: Base64 | None = None


class BoxCommand(Command):
    """A box, which begins its frame anew."""

    do: Literal["box"]
    object: Number
    tick: Tick
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class BrushCommand(Command):
    """A painted mask, which begins its frame anew."""

    do: Literal["brush"]
    object: Number
    tick: Tick
    png: Base64


class HearCommand(Command):
    """Let an object be what sounds."""

    do: Literal["hear"]
    object: Number = 0
    on: bool


class SayCommand(Command):
    """Name an object in words."""

    do: Literal["say"]
    object: Number = 0
    text: Annotated[str, Field(max_length=300)] | None


class ClearCommand(Command):
    """Take back what was pointed at on a frame."""

    do: Literal["clear"]
    object: Number
    tick: Tick


class RemoveCommand(Command):
    """Forget an object."""

    do: Literal["remove"]
    object: Number


class SplitCommand(Command):
    """Make an object of each part. `made` are the numbers that they got, as the log has it."""

    do: Literal["split"]
    object: Number = 0
    tick: Tick
    made: tuple[Number, ...] = ()


class UndoCommand(Command):
    """Take the last change of the prompts back."""

    do: Literal["undo"]


class RedoCommand(Command):
    """Take the last undo back."""

    do: Literal["redo"]


class RestyleCommand(Command):
    """How an object is shown; what is not given stays."""

    do: Literal["style"]
    object: Number
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    hidden: bool | None = None


class SettleCommand(Command):
    """Where the sliders stand, and the name of the session; what is not given stays."""

    do: Literal["sliders"] = "sliders"
    name: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    threshold: Threshold | None = None
    score: Score | None = None


class ExportCommand(Command):
    """An export; sliders that are not given stand where they stood last. Asked for by a request of its own."""

    kind: str
    threshold: Threshold | None = None
    score: Score | None = None


class LookCommand(Command):
    """The mask of an object on one frame."""

    do: Literal["look"]
    object: Number
    tick: Tick


class PropagateCommand(Command):
    """Follow all objects through time."""

    do: Literal["run"]
    start: Annotated[Tick | None, Field(alias="from")] = None
    both: bool = True


class CancelCommand(Command):
    """Stop what is going on."""

    do: Literal["cancel"]


LoggedCommand = (
    PointsCommand | BoxCommand | BrushCommand | HearCommand | SayCommand | ClearCommand | RemoveCommand | SplitCommand
)
"""What makes the prompts, and can be undone."""
PageCommand = (
    LoggedCommand
    | UndoCommand
    | RedoCommand
    | RestyleCommand
    | SettleCommand
    | LookCommand
    | PropagateCommand
    | CancelCommand
)

_COMMANDS: TypeAdapter[PageCommand] = TypeAdapter(Annotated[PageCommand, Field(discriminator="do")])
_LOG: TypeAdapter[LoggedCommand] = TypeAdapter(Annotated[LoggedCommand, Field(discriminator="do")])
_OURS = ("shown", "made")


def parse_command(text: str) -> tuple[int | None, PageCommand]:
    """A message of the page.

    Returns:
        its number, by which the answer names it, and the command.

    Raises:
        UsageError: it is none; the message names what is wrong.
    """
    try:
        message = strict_json.parse_json(text)
    except ValueError as error:
        raise UsageError("a message that is not JSON: reload the page") from error
    if not isinstance(message, dict):
        raise UsageError("a message that is no JSON object: reload the page")
    number = message.get("n")
    given = {key: value for key, value in message.items() if key not in _OURS}
    return number if isinstance(number, int) else None, read_command(given)


def number_of(text: str) -> int | None:
    """The number of a message that may be no command."""
    try:
        message = strict_json.parse_json(text)
    except ValueError:
        return None
    number = message.get("n") if isinstance(message, dict) else None
    return number if isinstance(number, int) else None


def read_command(given: dict[str, Any]) -> PageCommand:
    """A command.

    Raises:
        UsageError: it is none.
    """
    try:
        return _COMMANDS.validate_python(given)
    except ValidationError as error:
        raise UsageError(_told(error)) from error


def read_logged(given: object) -> LoggedCommand:
    """A command of a log.

    Raises:
        UsageError: it is none.
    """
    try:
        return _LOG.validate_python(given)
    except ValidationError as error:
        raise UsageError(_told(error)) from error


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "command"
    return f"{where}: {first['msg']}: reload the page"
