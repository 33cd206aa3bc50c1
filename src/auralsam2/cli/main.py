"""The command `auralsam2`: registration of its commands, exit codes and error messages."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Annotated, Any

import typer

from auralsam2.cli import (
    bench,
    data,
    demo,
    evaluate,
    export,
    live,
    models,
    options,
    prompt_options,
    samples,
    segment,
    studio,
    train,
)
from auralsam2.errors import EXIT_INTERRUPTED, EXIT_UNUSABLE, as_aural, message_line
from auralsam2.utils import signals
from auralsam2.version import __version__

app = typer.Typer(
    name="auralsam2",
    help="SAM 2 that hears: segments, frame by frame, the objects of a video that make the sound.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(requested: bool) -> None:
    if requested:
        print(f"auralsam2 {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set up logging."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, format="auralsam2: %(levelname)s: %(message)s")
    # The warnings of all other packages are collected in the result, and printed from it.
    logging.getLogger("auralsam2.outputs").setLevel(logging.DEBUG if debug else logging.WARNING)


app.command(cls=prompt_options.OrderedCommand, epilog=segment.EXAMPLES)(segment.segment)
app.command(epilog=live.EXAMPLES)(live.live)
app.command("export", epilog=export.EXAMPLES)(export.export_command)
app.command()(demo.demo)
app.command("convert", epilog=models.CONVERT_EXAMPLES)(models.convert_command)
app.command()(models.models)
app.command(epilog=samples.EXAMPLES)(samples.samples)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate_command)
app.command("train", epilog=train.EXAMPLES)(train.train_command)
app.command(epilog=studio.EXAMPLES)(studio.studio)
app.add_typer(bench.commands)
app.add_typer(data.commands)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one line on stderr.

    Ctrl-C, SIGTERM and SIGHUP remove unfinished files; the exit codes are 130, 143 and 129.
    """
    with signals.handled() as received:
        code = run(sys.argv[1:] if arguments is None else arguments)
        if code and received.exit_code is not None:
            code = received.exit_code
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    debug = "--debug" in arguments
    if debug:  # may follow the command, although it is an option of the program
        arguments = ["--debug", *(argument for argument in arguments if argument != "--debug")]
    if not sys.stderr.isatty() or {"--quiet", "-q"} & set(arguments):
        # Read by huggingface_hub and transformers when they are imported.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    command: Any = typer.main.get_command(app)
    try:
        outcome = command.main(arguments, prog_name="auralsam2", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        signals.end_command()
        outcome = EXIT_INTERRUPTED
    except Exception as error:
        if signals.exit_code() is None:
            if type(error).__name__ == "NoArgsIsHelpError":
                print(error, file=sys.stderr)
                return EXIT_UNUSABLE
            return _fail(error, command, arguments, debug)
        outcome = EXIT_INTERRUPTED  # the signal caused the error, for example by ending a worker process
    if outcome == EXIT_INTERRUPTED:
        print("auralsam2: interrupted; finished files stay", file=sys.stderr)
    return outcome if isinstance(outcome, int) else 0


def _parameters(command: Any, arguments: list[str]) -> set[str]:
    """Names of the options, without dashes and with `_`, of the command that the arguments name."""
    for argument in arguments:
        commands = getattr(command, "commands", {})
        if argument in commands:
            command = commands[argument]
    names = (name for parameter in command.params for name in parameter.opts)
    return {name[2:].replace("-", "_") for name in names if name.startswith("--")}


def _explain(error: Exception, command: Any, arguments: list[str]) -> tuple[str, int]:
    # Depending on the version of typer, the parser's errors come from click or from typer.
    formatted = getattr(error, "format_message", None)
    if formatted is not None:
        context = getattr(error, "ctx", None)
        return f"{formatted()} See {context.command_path if context else 'auralsam2'} --help", EXIT_UNUSABLE
    return options.error_text(error, _parameters(command, arguments)), as_aural(error).exit_code


def _fail(error: Exception, command: Any, arguments: list[str], debug: bool) -> int:
    """Print an exception as one line, after its traceback if `debug`; returns the exit code."""
    if debug:
        traceback.print_exc()
    message, code = _explain(error, command, arguments)
    print(message_line("error", message), file=sys.stderr)
    return code
