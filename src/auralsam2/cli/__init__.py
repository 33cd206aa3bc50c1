"""The commands of `auralsam2`, one file a command. What needs torch is imported inside the commands."""
