"""Log-mel spectrograms, the input of VGGish.

The front end of the released models: 25 ms periodic Hann windows every 10 ms, magnitudes of a 512-point FFT, 64 HTK mel
bands from 125 to 7500 Hz, ln(mel + 0.01), examples of 96 frames (0.96 s).
"""

from __future__ import annotations

import functools

import torch

from auralsam2.types import AUDIO_RATE

WINDOW = 400
HOP = 160
FFT = 512
BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
OFFSET = 0.01
EXAMPLE_FRAMES = 96
EXAMPLE_HOP_SECONDS = EXAMPLE_FRAMES * HOP / AUDIO_RATE
EXAMPLE_SAMPLES = (EXAMPLE_FRAMES - 1) * HOP + WINDOW
"""Samples of one example: 15 600, 0.975 s."""
MIN_EXAMPLES = 5
"""Minimum number of examples of a whole track; the last one is repeated."""


@functools.cache
def mel_matrix() -> torch.Tensor:
    """Return the triangular filters, linear in mel (1127 ln(1 + f / 700)), as (257, 64) float64; the DC row is zero."""

    def mel(hertz: torch.Tensor) -> torch.Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    bins = mel(torch.linspace(0.0, AUDIO_RATE / 2, FFT // 2 + 1, dtype=torch.float64))[:, None]
    limits = mel(torch.tensor([LOWEST_HZ, HIGHEST_HZ], dtype=torch.float64))
    edges = torch.linspace(limits[0].item(), limits[1].item(), BANDS + 2, dtype=torch.float64)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = torch.minimum(rising, falling).clamp_min(0.0)
    weights[0] = 0.0
    return weights


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Compute ln(mel + 0.01) of audio (..., n) at 16 kHz in [-1, 1], n >= 400.

    (..., 1 + (n - 400) // 160, 64) float32.
    """
    frames = samples.double().unfold(-1, WINDOW, HOP) * torch.hann_window(
        WINDOW, dtype=torch.float64, device=samples.device
    )
    magnitude = torch.fft.rfft(frames, n=FFT).abs()
    return torch.log(magnitude @ mel_matrix().to(samples.device) + OFFSET).float()


def silent_examples(count: int) -> torch.Tensor:
    """Return examples of digital silence, (count, 2, 96, 64)."""
    return torch.full((count, 2, EXAMPLE_FRAMES, BANDS), OFFSET).log()


def log_mel_example(samples: torch.Tensor) -> torch.Tensor:
    """Compute the log-mel spectrogram (2, 96, 64) of one example, (15600, 2); raise ValueError for another shape."""
    if tuple(samples.shape) != (EXAMPLE_SAMPLES, 2):
        raise ValueError(f"an example takes ({EXAMPLE_SAMPLES}, 2) samples, not {tuple(samples.shape)}")
    return log_mel(samples.T)


def log_mel_examples(samples: torch.Tensor) -> torch.Tensor:
    """Compute all examples of a short track, one every 0.96 s; an incomplete last one is dropped, as released.

    Args:
        samples: (n, 2) at 16 kHz, in [-1, 1], n >= 15600.

    Returns:
        (N, 2, 96, 64) float32; N is at least 5: the last example is repeated for shorter tracks.

    Raises:
        ValueError: the track is shorter than one example.
    """
    if samples.ndim != 2 or samples.shape[1] != 2 or len(samples) < EXAMPLE_SAMPLES:
        raise ValueError(f"need at least ({EXAMPLE_SAMPLES}, 2) samples, got {tuple(samples.shape)}")
    spectrum = log_mel(samples.T)
    complete = spectrum.shape[1] // EXAMPLE_FRAMES
    examples = spectrum[:, : complete * EXAMPLE_FRAMES].unflatten(1, (complete, EXAMPLE_FRAMES)).transpose(0, 1)
    missing = max(0, MIN_EXAMPLES - complete)
    return torch.cat([examples, examples[-1:].expand(missing, -1, -1, -1)]).contiguous()
