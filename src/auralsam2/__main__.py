"""`python -m auralsam2`: the same as the command `auralsam2`."""

from __future__ import annotations

from auralsam2.cli.main import main

if __name__ == "__main__":
    main()
