"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="NAME|DIR", help="Model name, folder or hub id.")]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute.")]
DtypeOption = Annotated[
    str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Precision; auto is fp32 on a CPU, bf16 elsewhere.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads.")]
