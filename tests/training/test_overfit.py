"""The whole can learn: one clip is learnt by heart, through a frozen SAM 2 of random weights at 64 pixels."""

from __future__ import annotations

from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import train
from helpers.small_training import values, write_parts

STEPS = 110


def test_a_clip_is_learnt_by_heart(tmp_path):
    write_parts(tmp_path, [("train_00000", "train", "standard", "single", 2)])
    trainer = {"max_steps": STEPS, "accumulate": 1, "checkpoint_every": STEPS, "conditioning": "first"}
    given = values(tmp_path, validate_every=STEPS, **trainer)
    given["optimiser"] |= {"rate": 1.5e-2, "warm_up": 15, "schedule": "cosine"}
    given["model"]["clip"]["frames"] = 2
    given["model"]["fuser"]["dropout"] = 0.0
    given["data"]["validation"] = "train"
    given["augment"] = {"flip": 0.0, "grayscale": 0.0, "clip_jitter": [0, 0, 0], "frame_jitter": [0, 0, 0]}
    news: list[str] = []
    module = train(TrainingRecipe.from_dict(given), tmp_path / "run", on_message=news.append)
    assert float(module.trainer.callback_metrics["val/J"]) > 0.95, news
