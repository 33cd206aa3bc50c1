"""`auralsam2 export`: finished results in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auralsam2.cli import options
from auralsam2.cli.options import FillHolesOption, GrowOption, MinAreaOption, SmoothOption
from auralsam2.outputs.formats import OUTPUT_FILES

EXAMPLES = """
Examples:

\b
  auralsam2 export out/dog --to cutout-prores           for a video editor
  auralsam2 export out/dog --to coco                    for annotation and training
  auralsam2 export out/dog --to matte --object 2        a single object
"""
_TARGETS = [name for name in OUTPUT_FILES if name != "json"]


def export_command(
    folder: Annotated[Path, typer.Argument(metavar="RESULT_DIR", help="Folder with result.json, from segment.")],
    to: Annotated[str, typer.Option(metavar="LIST", help=f"Formats to write, of {','.join(_TARGETS)}.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the exports; default: RESULT_DIR.")
    ] = None,
    object_id: Annotated[
        list[int] | None,
        typer.Option("--object", metavar="ID", help="Export this object alone. May be repeated. Default: all."),
    ] = None,
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="The video, if it has been moved.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Cut out the background.")] = False,
    smooth: SmoothOption = 1,
    fill_holes: FillHolesOption = False,
    min_area: MinAreaOption = 0,
    grow: GrowOption = 0.0,
    feather: Annotated[
        float | None,
        typer.Option(metavar="PX", help="Soften the edge of cut-outs and mattes; 0: hard. Default: as in segment."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="PX", help="Greatest distance of polygons from the border of the mask.")
    ] = 0.5,
) -> None:
    """Write the masks of a finished result in other formats.

    Videos and image sequences have all frames of the source; a mask holds until the next one.
    Prints the path of each file.
    """
    names = options.parse_outputs(to, "--to", _TARGETS)
    from auralsam2.outputs.cutouts import AlphaOptions
    from auralsam2.outputs.export import ExportOptions, export_result

    steps = options.parse_postprocessing(smooth=smooth, fill_holes=fill_holes, min_area=min_area, grow=grow)
    export = ExportOptions(alpha=AlphaOptions(invert=invert, feather=feather), tolerance=tolerance)
    paths = export_result(
        folder, names, out=out, objects=object_id or (), video=video, options=export, postprocessing=steps
    )
    for path in paths:
        print(path)
