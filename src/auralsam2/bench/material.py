"""Inputs of the benchmarks: a generated video, models with random weights, and the description of the machine."""

from __future__ import annotations

import dataclasses
import platform
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from transformers import Sam2VideoModel

from auralsam2.config import SAM2_FOLDER, AudioEncoderConfig, FuserConfig, ModelConfig, PromptingConfig
from auralsam2.modeling.fast_attention import use_fast_attention
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.sam2 import Size, sam2_config
from auralsam2.version import __version__

WIDTH, HEIGHT = 1280, 720
SOUND_RATE = 44_100
_SQUARE = 160
_SOUND_FRAME = 1024


def write_bench_clip(path: Path, seconds: float, fps: int) -> Path:
    """Write a video of 1280 × 720 pixels with stereo audio, H.264 and AAC: a square moves over a still background.

    Images and audio are written alternately, so that memory does not grow with the length.
    """
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio: Any = output.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        background = _background()
        written = 0
        for number in range(round(seconds * fps)):
            frame = VideoFrame.from_ndarray(_with_square(background, number / fps), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(video.encode(frame))
            while written < (number + 1) * SOUND_RATE / fps:
                output.mux(audio.encode(_sound(written)))
                written += _SOUND_FRAME
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    return path


def _background() -> np.ndarray:
    """Return a 4:2:0 image with its planes stacked, (1080, 1280) uint8: grey gradients with noise, one tint."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    grain = np.random.default_rng(0).integers(0, 24, (HEIGHT, WIDTH))
    picture = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
    picture[:HEIGHT] = 40 + 60 * rows / HEIGHT + 60 * columns / WIDTH + grain
    picture[HEIGHT : HEIGHT * 5 // 4] = 110
    picture[HEIGHT * 5 // 4 :] = 140
    return picture


def _with_square(background: np.ndarray, time: float) -> np.ndarray:
    """Return the image at a time in seconds: the square moves along an ellipse once in eight seconds."""
    angle = 2 * np.pi * time / 8
    min_y = int((HEIGHT - _SQUARE) * (1 + np.sin(angle)) / 2)
    min_x = int((WIDTH - _SQUARE) * (1 + np.cos(angle)) / 2)
    picture = background.copy()
    picture[min_y : min_y + _SQUARE, min_x : min_x + _SQUARE] = 220
    return picture


def _sound(begin: int) -> AudioFrame:
    """Return 1024 samples from sample `begin` on: one tone on the left, another on the right."""
    t = np.arange(begin, begin + _SOUND_FRAME) / SOUND_RATE
    tones = 0.3 * np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 1200 * t)])
    frame = AudioFrame.from_ndarray(tones.astype(np.float32), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, begin, Fraction(1, SOUND_RATE)
    return frame


def build_full_network(backbone: Size = "large", seed: int = 0) -> AuralNetwork:
    """Build AuralSAM2 for audio on a SAM 2.0 of 1024 pixels, with random weights.

    On hiera-large, it has the architecture of the released checkpoints. On hiera-base-plus, it has that of the paper.
    """
    torch.manual_seed(seed)
    sam2 = build_sam2(backbone)
    config = ModelConfig.released(sam2=SAM2_FOLDER)
    if backbone != "large":
        fuser, prompting = FuserConfig.preset("paper"), PromptingConfig.preset("paper")
        config = dataclasses.replace(config, fuser=fuser, prompting=prompting)
    return AuralNetwork(config, sam2).eval()


def build_sam2(backbone: Size, image_size: int = 1024) -> Sam2VideoModel:
    """Build a SAM 2.0 with random weights."""
    return use_fast_attention(_spread(Sam2VideoModel(sam2_config(backbone, image_size=image_size)).eval()))


def build_small_network(image_size: int = 128, seed: int = 0) -> AuralNetwork:
    """Build a network with all parts of the released one, few layers and random weights: milliseconds per CPU frame."""
    torch.manual_seed(seed)
    config = sam2_config(
        "tiny", image_size=image_size, hidden_size=16, blocks_per_stage=[1, 1, 2, 1], global_attention_blocks=[3]
    )
    small = ModelConfig(
        sam2=SAM2_FOLDER,
        audio_encoder=AudioEncoderConfig(channels=(8, 8, 8, 8), hidden=16),
        fuser=FuserConfig.preset("released", visual_depths=(1, 1, 1), token_depth=1),
    )
    return AuralNetwork(small, _spread(Sam2VideoModel(config))).eval()


def write_small_model(folder: Path, image_size: int = 128) -> Path:
    """Write the network of `build_small_network` as a model folder that includes its SAM 2."""
    from auralsam2.model import AuralSAM2

    network = build_small_network(image_size)
    network.sam2.save_pretrained(folder / SAM2_FOLDER)
    return AuralSAM2(network, "small").save_pretrained(folder)


def _spread(sam2: Sam2VideoModel) -> Sam2VideoModel:
    """Set random weights that preserve the scale of activations.

    With the default initialisation, activations vanish from layer to layer down to subnormal numbers, which processors
    compute slowly.
    """
    for parameter in sam2.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter.data, std=parameter[0].numel() ** -0.5)
    return sam2


def describe_machine(device: str) -> dict[str, Any]:
    """Return processor, number of threads, device and versions, for the report."""
    return {
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
        "auralsam2": __version__,
    }


def _cpu() -> str:
    """Return the name of the processor, if the system provides it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
