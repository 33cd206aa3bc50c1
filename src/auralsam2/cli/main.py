"""The command `auralsam2`. Commands parse and call; what needs torch is imported inside them."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from auralsam2 import samples as packaged
from auralsam2.cli import bench, data, studio
from auralsam2.cli import options as options_module
from auralsam2.cli.options import DeviceOption, DtypeOption, ModelOption, ThreadsOption
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
app.add_typer(bench.commands)
app.add_typer(data.commands)
app.add_typer(studio.commands)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"auralsam2 {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, format="auralsam2: %(levelname)s: %(message)s")
    # The result has the warnings of all other packages, and the command prints them from there.
    logging.getLogger("auralsam2.outputs").setLevel(logging.DEBUG if debug else logging.WARNING)


EXAMPLES = """
Examples:

\b
  auralsam2 segment dog.mp4                           what sounds, one frame a second
  auralsam2 segment dog.mp4 --fps all --out results   every frame
  auralsam2 segment party.mp4 --model ref-avs --text "the dog on the left"
  auralsam2 segment silent.mp4 --point 320,180        no sound: follow what is clicked
  auralsam2 segment archive/ --resume --json          a whole folder, going on where it stopped
"""


@app.command(epilog=EXAMPLES)
def segment(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Videos, or folders of videos.")],
    model: ModelOption = "mini",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path("out"),
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Expression, for models that read text.")] = None,
    point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y[,+|-][@SECONDS]", help="Click on (+) or off (-) the object.")
    ] = None,
    box: Annotated[list[str] | None, typer.Option(metavar="X0,Y0,X1,Y1[@SECONDS]", help="Box around it.")] = None,
    mask: Annotated[list[str] | None, typer.Option(metavar="PNG[@SECONDS]", help="Mask of it, source size.")] = None,
    audio: Annotated[
        str | None, typer.Option(metavar="FILE|none", help="Replace the sound track, or turn hearing off.")
    ] = None,
    fps: Annotated[str, typer.Option(metavar="N|all", help="Frames a second to segment; training data has 1.")] = "1",
    start: Annotated[str, typer.Option(metavar="S", help="First second.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="S", help="Second at which to stop.")] = None,
    save: Annotated[
        str, typer.Option(metavar="LIST", help="Of overlay,masks,json,coco,frames.")
    ] = "overlay,masks,json",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Skip inputs whose results are complete.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an input on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")] = False,
) -> None:
    """Segment the sounding objects of videos.

    Writes DIR/NAME/ for each input: overlay.mp4, masks/, result.json; with --save also coco.json and frames/.
    Points are pixels of the displayed frame, times are seconds.
    """
    from auralsam2.cli import segment as segmenting
    from auralsam2.types import Prompts

    begin, until = options_module.parse_span(start, end)
    job = segmenting.Job(
        model=model,
        out=out,
        prompts=Prompts(
            points=tuple(map(options_module.parse_point, point or ())),
            boxes=tuple(map(options_module.parse_box, box or ())),
            masks=tuple(map(options_module.parse_mask, mask or ())),
            text=options_module.parse_expression(text),
        ),
        audio=options_module.parse_audio(audio),
        fps=options_module.parse_rate(fps),
        start=begin,
        end=until,
        save=options_module.parse_saves(save),
        device=options_module.parse_device(device),
        dtype=options_module.parse_dtype(dtype),
        threads=threads,
        resume=resume,
        as_json=as_json,
        quiet=quiet,
    )
    raise typer.Exit(segmenting.segment_inputs(inputs, job))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path("out"),
    model: ModelOption = "mini",
) -> None:
    """Segment the bundled clip, and print where the overlay is and how well the masks meet the truth."""
    from auralsam2.cli.demo import print_demo

    print_demo(out, model)


@app.command(epilog="Example:\n\n\b\n  auralsam2 convert auralsam2_avs_v1m.pth models/v1m")
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", help="A released checkpoint, in any of its layouts.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Model folder to write.")],
    sam2: Annotated[
        str | None,
        typer.Option(metavar="ID|DIR", help="SAM 2 to name instead of the one in the file, or of the hub's."),
    ] = None,
) -> None:
    """Convert a released checkpoint into a model folder of safetensors."""
    from auralsam2.hub.convert import convert as converting

    print(converting(file, out_dir, sam2))


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the models that have a name."""
    from auralsam2.cli.models import show_models

    show_models(as_json=as_json)


SAMPLES_EXAMPLES = """
Examples:

\b
  auralsam2 segment "$(auralsam2 samples)"                  the demo clip
  cp "$(auralsam2 samples v1m-large-paper)" mine.yaml       a recipe to start from
  python "$(auralsam2 samples interactive)"                 an example script
"""


@app.command(epilog=SAMPLES_EXAMPLES)
def samples(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="File, as --list names it; folder and suffix may be left out.")
    ] = packaged.CLIP,
    names: Annotated[bool, typer.Option("--list", help="Print the names of all files instead.")] = False,
) -> None:
    """Print the path of a file that comes with the package: the demo clip, a recipe or an example."""
    print("\n".join(packaged.names()) if names else packaged.find(name))


EVALUATE_EXAMPLES = """
Examples:

\b
  auralsam2 evaluate --dataset v1m --root AVSBench --split test --model v1m --report v1m.json
  auralsam2 evaluate --dataset v1m --root AVSBench --split test --prompts audio+points+box
  auralsam2 evaluate --dataset ref-avs --root REFAVS --split test_n --model ref-avs
  auralsam2 evaluate --dataset stampavs --root stamp --split val --sound shuffled
"""


@app.command(epilog=EVALUATE_EXAMPLES)
def evaluate(
    dataset: Annotated[str, typer.Option(metavar="NAME", help="stampavs, v1s, v1m, v2, v2-semantic or ref-avs.")],
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the data set.")],
    split: Annotated[str, typer.Option(metavar="NAME", help="Split, by its published name.")],
    model: ModelOption = "mini",
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="audio, text, audio+text, points, box, mask, points+box or audio+points+box; visual ones are made of "
            "the truth. Default: audio, and text where model and data have it.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="auralsam2, avsbench, ref-avs or per-frame. Default: that of the published figures."
        ),
    ] = None,
    select: Annotated[
        str, typer.Option(metavar="iou|iou+object|first", help="Which of the three candidate masks counts.")
    ] = "iou",
    combine: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Sound with points and box: joint, all in one call of the decoder, or two masks merged: mean_prob, "
            "mean_logit, max_iou_score or union.",
        ),
    ] = "joint",
    sound: Annotated[
        str, typer.Option(metavar="own|shuffled|silent|swapped", help="What is heard, to test the hearing.")
    ] = "own",
    zero_shot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="Find what sounds by a tagger and a detector that the file names; of the model SAM 2 alone is used.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N samples.")] = None,
    save_masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the masks as DIR/ID/FRAME.png, at the frames' size.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write a report; a stopped run goes on from it.")
    ] = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Score a model on a data set: J, F and what lies beyond, beside what was published.

    A sample that cannot be read is excluded and listed; the exit code is 1 then.
    """
    from auralsam2.cli import evaluate as evaluating
    from auralsam2.evaluation.options import EvaluationOptions

    options = EvaluationOptions(
        dataset=dataset,
        split=split,
        prompts=prompts or "audio",
        protocol=protocol,
        select=select,
        combine=combine,
        sound=sound,
        limit=limit,
    )
    job = evaluating.Job(
        root=root,
        model=model,
        zero_shot=zero_shot,
        report=report,
        masks=save_masks,
        device=options_module.parse_device(device),
        dtype=options_module.parse_dtype(dtype),
        threads=threads,
        as_json=as_json,
    )
    raise typer.Exit(evaluating.run_evaluation(options, job, prompts_given=prompts is not None))


TRAIN_EXAMPLES = """
Examples:

\b
  auralsam2 train recipes/stampavs-mini-fuser.yaml --set data.root=stamp
  auralsam2 train recipes/v1m-large-paper.yaml --set trainer.devices=4 --set optimiser.rate=5e-5
  auralsam2 train recipes/v1m-large-paper.yaml --resume     go on after a stop

auralsam2 samples --list names the packaged recipes.
"""


@app.command(epilog=TRAIN_EXAMPLES)
def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml", help="A recipe: a file, or the name of a packaged one.")
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the last checkpoint, if there is one.")
    ] = False,
) -> None:
    """Train AuralFuser; SAM 2 and the text encoder stay as they are.

    Writes runs/NAME/: the models last/ and best/, the checkpoint last.ckpt, log/ and recipe.yaml.
    """
    from auralsam2.cli import train as training

    training.run_training(config, changes or (), resume=resume)


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
    if debug:  # is welcome anywhere, though it belongs to the program, not to a command
        arguments = ["--debug", *(argument for argument in arguments if argument != "--debug")]
    if not sys.stderr.isatty() or {"--quiet", "-q"} & set(arguments):
        # Read by huggingface_hub and transformers when they are imported.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    command: Any = typer.main.get_command(app)
    try:
        outcome = command.main(arguments, prog_name="auralsam2", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        outcome = EXIT_INTERRUPTED
    except Exception as error:
        if signals.exit_code() is None:
            if type(error).__name__ == "NoArgsIsHelpError":
                print(error, file=sys.stderr)
                return EXIT_UNUSABLE
            return _fail(error, debug)
        outcome = EXIT_INTERRUPTED  # the error follows from the signal, such as a worker process that it ended too
    if outcome == EXIT_INTERRUPTED:
        print("auralsam2: interrupted; finished files stay", file=sys.stderr)
    return outcome if isinstance(outcome, int) else 0


def _explain(error: Exception) -> tuple[str, int]:
    """Return the message for an exception, and the exit code."""
    # The parser's errors come from one package or another, by the version of typer.
    formatted = getattr(error, "format_message", None)
    if formatted is not None:
        context = getattr(error, "ctx", None)
        return f"{formatted()} See {context.command_path if context else 'auralsam2'} --help", EXIT_UNUSABLE
    known = as_aural(error)
    return str(known), known.exit_code


def _fail(error: Exception, debug: bool) -> int:
    """Print an exception as one line, after its traceback with --debug; returns the exit code."""
    if debug:
        traceback.print_exc()
    message, code = _explain(error)
    print(message_line("error", message), file=sys.stderr)
    return code
