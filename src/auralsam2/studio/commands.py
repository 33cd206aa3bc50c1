"""Commands of the page, validated completely before execution."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, model_validator

from auralsam2.errors import UsageError
from auralsam2.outputs.postprocessing import PostProcessing
from auralsam2.utils import strict_json

MAX_OBJECTS = 255
"""Maximum number of objects of a session: the values of a palette image without the background."""
NEW_OBJECT = -1
"""Object of a command that creates an object; the page sends null, and the server chooses the number."""
Number = Annotated[int, Field(ge=0, lt=MAX_OBJECTS)]
Tick = Annotated[int, Field(ge=0, lt=1_000_000)]
Threshold = Annotated[FiniteFloat, Field(ge=-8, le=8)]
Score = Annotated[FiniteFloat, Field(ge=-20, le=20)]
Click = tuple[FiniteFloat, FiniteFloat, Literal[0, 1]]
# Larger than an image of 8192 x 8192 pixels with a mask.
Base64 = Annotated[str, Field(max_length=4_000_000)]


class Command(BaseModel):
    """Base of all commands; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class VisualCommand(Command):
    """Base of the visual prompts. `shown` is the mask of the frame before its first prompt, set in the log."""

    object: Number
    tick: Tick
    shown: Base64 | None = None


class PointsCommand(VisualCommand):
    """Add clicks, which correct the mask shown before."""

    do: Literal["points"]
    points: Annotated[tuple[Click, ...], Field(min_length=1, max_length=1000)]


class BoxCommand(VisualCommand):
    """Add a box, which replaces the prompts of its frame."""

    do: Literal["box"]
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class BrushCommand(VisualCommand):
    """Add a painted mask, which replaces the prompts of its frame."""

    do: Literal["brush"]
    png: Base64


class AudioCommand(Command):
    """Switch audio prompts of an object on or off."""

    do: Literal["hear"]
    object: Number = 0
    on: bool


class TextCommand(Command):
    """Set the text of an object."""

    do: Literal["say"]
    object: Number = 0
    text: Annotated[str, Field(max_length=300)] | None


class ClearCommand(Command):
    """Remove the visual prompts of a frame."""

    do: Literal["clear"]
    object: Number
    tick: Tick


class RemoveCommand(Command):
    """Remove an object."""

    do: Literal["remove"]
    object: Number


class SplitCommand(Command):
    """Split the displayed mask of an object into its connected components.

    `made` are the numbers of the new objects and `masks` their components as PNG, both set in the log.
    """

    do: Literal["split"]
    object: Number = 0
    tick: Tick
    made: tuple[Number, ...] = ()
    masks: tuple[Base64, ...] = ()


class AddedObjects(Command):
    """Base of the commands that add several objects with masks on many frames.

    In the log, `made` are the numbers of the new objects, `ticks` a frame of each with its mask in `masks`, as PNG, and
    `names` their names, empty for the default ones.
    """

    made: tuple[Number, ...] = ()
    ticks: tuple[Tick, ...] = ()
    masks: tuple[Base64, ...] = ()
    names: tuple[Annotated[str, Field(max_length=200)], ...] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        lengths = {len(self.made), len(set(self.made)), len(self.ticks), len(self.masks), len(self.names)}
        if len(lengths) > 1:
            raise ValueError("made, ticks, masks and names have different lengths")
        return self


class SeparateCommand(AddedObjects):
    """Make an object of each sounding source in the masks of an object, which is hidden then."""

    do: Literal["separate"]
    object: Number = 0


class ImportCommand(AddedObjects):
    """Objects whose masks were imported from a file; an entry of the log alone."""

    do: Literal["import"] = "import"


class AbsentCommand(Command):
    """Declare an object absent from some frames, `tick` to `last`, and remove its visual prompts there."""

    do: Literal["absent"]
    object: Number
    tick: Tick
    last: Tick


class CopyCommand(Command):
    """Make the displayed mask of an object on a frame a prompt of another frame. It is logged as a painted mask."""

    do: Literal["copy"]
    object: Number
    tick: Tick
    to: Tick


class UndoCommand(Command):
    """Undo the last change of the prompts."""

    do: Literal["undo"]


class RedoCommand(Command):
    """Redo the last undone change."""

    do: Literal["redo"]


class StyleCommand(Command):
    """Change name, colour or visibility of an object; missing values are unchanged."""

    do: Literal["style"]
    object: Number
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    hidden: bool | None = None


class Sliders(Command):
    """Values of the sliders and steps of post-processing; missing ones are unchanged.

    The steps are those of `outputs.postprocessing.PostProcessing`, which checks them.
    """

    threshold: Threshold | None = None
    score: Score | None = None
    smooth: int | None = None
    fill_holes: bool | None = None
    min_area: int | None = None
    grow: float | None = None
    feather: float | None = None

    def postprocessing(self, before: PostProcessing) -> PostProcessing:
        """Return the steps of post-processing after the change.

        Raises:
            UsageError: a value is outside its range.
        """
        steps = {"smooth", "fill_holes", "min_area", "grow", "feather"}
        return dataclasses.replace(before, **self.model_dump(include=steps, exclude_none=True))


class SettingsCommand(Sliders):
    """Change sliders, name or mark of the session; missing values are unchanged. `done` marks finished work."""

    do: Literal["sliders"] = "sliders"
    name: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    done: bool | None = None


class ExportCommand(Sliders):
    """Start an export, with the given or the last slider values. It has its own HTTP request.

    `objects` are those that it contains, without them all that are not hidden; `invert` cuts out the background in
    cut-outs and mattes.
    """

    kind: str
    objects: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MAX_OBJECTS)] | None = None
    invert: bool = False


class PredictCommand(Command):
    """Predict the mask of an object on one frame."""

    do: Literal["look"]
    object: Number
    tick: Tick


class PropagateCommand(Command):
    """Propagate objects: all of them, or `objects`; through the whole clip, or the frames from `first` to `last`.

    `forward` starts at `first`, `backward` at `last`; `both` starts at the first prompted frame.
    """

    do: Literal["run"]
    objects: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MAX_OBJECTS)] | None = None
    first: Tick | None = None
    last: Tick | None = None
    direction: Literal["forward", "backward", "both"] = "both"


class CancelCommand(Command):
    """Cancel the running propagation, or the running export."""

    do: Literal["cancel"]
    what: Literal["run", "export"] = "run"


PromptCommand = PointsCommand | BoxCommand | BrushCommand
ChangeCommand = (
    PromptCommand
    | AudioCommand
    | TextCommand
    | ClearCommand
    | RemoveCommand
    | SplitCommand
    | SeparateCommand
    | AbsentCommand
    | StyleCommand
)
"""Commands of the page that change objects."""
LoggedCommand = ChangeCommand | ImportCommand
"""Commands that change objects; they are logged and can be undone."""
PageCommand = (
    ChangeCommand
    | CopyCommand
    | UndoCommand
    | RedoCommand
    | SettingsCommand
    | PredictCommand
    | PropagateCommand
    | CancelCommand
)


@dataclasses.dataclass(frozen=True)
class ImportOrder:
    """Import the masks of an uploaded file; see `mask_import`."""

    file: Path


Order = PageCommand | ExportCommand | ImportOrder
"""Requests to a session."""

_COMMANDS: TypeAdapter[PageCommand] = TypeAdapter(Annotated[PageCommand, Field(discriminator="do")])
_LOG: TypeAdapter[LoggedCommand] = TypeAdapter(Annotated[LoggedCommand, Field(discriminator="do")])
_MAX_COMMAS = 10_000
"""Maximum number of commas of a message: 1000 clicks have fewer, and decoded values take far more memory than text."""
_LOG_FIELDS = ("shown", "made", "masks", "ticks", "names")
_CREATING = ("points", "box", "brush", "hear", "say")
"""Commands whose object may be null: a new one."""


def parse_command(text: str) -> tuple[int | None, PageCommand]:
    """Parse a message of the page.

    Returns:
        its number, which the reply repeats, and the command.

    Raises:
        UsageError: the message is no command.
    """
    if text.count(",") > _MAX_COMMAS:
        raise UsageError("a message with too many values: reload the page")
    try:
        message = strict_json.parse_json(text)
    except ValueError as error:
        raise UsageError("a message that is not JSON: reload the page") from error
    if not isinstance(message, dict):
        raise UsageError("a message that is no JSON object: reload the page")
    number = message.get("n")
    values = {key: value for key, value in message.items() if key not in _LOG_FIELDS}
    creates = values.get("do") in _CREATING and values.get("object", 0) is None
    command = read_command(values | {"object": 0} if creates else values)
    if creates:
        command = command.model_copy(update={"object": NEW_OBJECT})
    return number if isinstance(number, int) else None, command


def message_number(text: str) -> int | None:
    """Return the number of a message that may be no command."""
    if text.count(",") > _MAX_COMMAS:
        return None
    try:
        message = strict_json.parse_json(text)
    except ValueError:
        return None
    number = message.get("n") if isinstance(message, dict) else None
    return number if isinstance(number, int) else None


def read_command(values: dict[str, Any]) -> PageCommand:
    """Validate a command.

    Raises:
        UsageError: invalid command.
    """
    try:
        return _COMMANDS.validate_python(values)
    except ValidationError as error:
        raise UsageError(_describe(error)) from error


def read_logged(values: object) -> LoggedCommand:
    """Validate a command of a log.

    Raises:
        UsageError: invalid command.
    """
    try:
        return _LOG.validate_python(values)
    except ValidationError as error:
        raise UsageError(_describe(error)) from error


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    location = ".".join(str(part) for part in first["loc"]) or "command"
    return f"{location}: {first['msg']}: reload the page"
