"""Public interface of a model: load it, segment videos, save the results."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from auralsam2.arguments import as_path, as_text
from auralsam2.config import ModelConfig
from auralsam2.errors import UsageError
from auralsam2.hub import download
from auralsam2.hub.access import hub_access, parse_access
from auralsam2.hub.upload import push_folder
from auralsam2.inference.live_source import LiveSource
from auralsam2.inference.object_state import Combine, Merge
from auralsam2.inference.streaming import VideoStream
from auralsam2.inference.video_session import VideoSession
from auralsam2.inference.video_source import DEFAULT_FPS, Audio, VideoSource
from auralsam2.live import LiveSegmentation
from auralsam2.media.audio_choice import AudioChoice
from auralsam2.model_context import check_modality, inference_context, open_session, streaming_network
from auralsam2.model_folder import accelerate, load_namer, load_network, save_network
from auralsam2.modeling.network import AudioVisualNetwork
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.outputs.export import ExportOptions
from auralsam2.outputs.formats import parse_formats
from auralsam2.outputs.postprocessing import PostProcessing, postprocess
from auralsam2.outputs.result_folder import BackgroundWriter, OverlayRate, ResultFolder
from auralsam2.types import Prompts, Segmentation
from auralsam2.utils.devices import Backend, check_backend, check_image_size, pick_device, pick_dtype
from auralsam2.utils.timing import StageTimer

DEFAULT_SAVE = frozenset({"overlay", "masks", "json"})


class AuralSAM2:
    """Loaded model.

    Args:
        network: on its device: AuralSAM2's, or that of a baseline, which can only be evaluated.
        name: name of the model in results.
        dtype: precision of the computation: fp32, bf16 or fp16; the weights stay float32.
        folder: model folder that the network was loaded from, or None.
    """

    def __init__(self, network: AudioVisualNetwork, name: str, dtype: str = "fp32", folder: Path | None = None) -> None:
        self.network = network.eval()
        self.name = name
        self.dtype = dtype
        self.folder = folder

    @property
    def config(self) -> ModelConfig:
        """Configuration of the network."""
        return self.network.config

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str | int | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        *,
        backend: Backend = "torch",
        image_size: int | None = None,
        revision: str | None = None,
        **access: Any,
    ) -> AuralSAM2:
        """Load a model by name, folder or hub id.

        Args:
            model: `auralsam2 models` lists the names.
            device: auto, cpu, cuda, cuda:N, mps or a `torch.device`; auto selects an accelerator if there is one.
            dtype: auto, fp32, bf16, fp16 or a `torch.dtype`; auto is bf16 where the device computes in it, and fp32 on
                CPUs for models of less than 512 px.
            backend: library that encodes the frames; openvino computes on the CPU and needs the extra `openvino`.
            image_size: side of the square input in pixels, a multiple of 32; None for the model's own.
            revision: branch, tag or commit of a hub id.
            access: `token`, `cache_dir` and `local_files_only`, as in huggingface_hub; see `hub.access.HubAccess`.

        Raises:
            UnavailableError: the model, or a part of it, is missing and cannot be downloaded.
            ConfigError: its files contradict each other.
            UsageError: device, dtype or backend is not available, or `image_size` is out of range.
        """
        name = str(as_path("model", model)) if not isinstance(model, str) else as_text("model", model)
        torch_device = pick_device(device)
        pick_dtype(dtype, torch_device)
        check_backend(backend, torch_device)
        with hub_access(parse_access(access)):
            folder = download.resolve(name, revision)
            network = load_network(folder, check_image_size(image_size))
        precision = pick_dtype(dtype, torch_device, network.image_size)
        if backend == "openvino":
            accelerate(network, precision, name)
        return cls(network.to(torch_device), name, precision, folder)

    def namer(self, names: bool | Path | str) -> ObjectNamer | None:
        """Load the namer of the model, or the one in a folder; see `model_folder.load_namer`."""
        names = as_path("names", names) if isinstance(names, Path | str) else names
        return load_namer(self.folder, self.name, self.network.sam2.hidden_dim, names)

    def save_pretrained(self, folder: Path | str) -> Path:
        """Write a model folder, created if missing, and return its path.

        The folder includes SAM 2 and the text encoder, as `sam2/` and `text/`, if they were loaded from inside the
        model's folder, and the namer of that folder, as `namer/`. Parts with a hub id or an absolute path are
        referenced.

        Raises:
            OutputError: the folder cannot be written; earlier files in it are unchanged.
        """
        folder = as_path("folder", folder).expanduser()
        save_network(self.network, folder, self.folder)
        return folder

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the model to the Hugging Face hub; returns the address of the commit.

        Args:
            repo_id: `owner/name`.
            options: `private`, `token`, `revision`, `commit_message` and `create_pr`; see `hub.upload.push_folder`.
        """
        with tempfile.TemporaryDirectory() as folder:
            return push_folder(self.save_pretrained(folder), repo_id, **options)

    def segment(
        self,
        path: Any,
        *,
        text: str | None = None,
        prompts: Prompts | None = None,
        audio: Audio = "track",
        audio_track: AudioChoice = None,
        fps: float | Literal["all"] | None = DEFAULT_FPS,
        start: float | str = 0.0,
        end: float | str | None = None,
        separate: bool = False,
        names: bool | Path | str = False,
        **pictures: Any,
    ) -> VideoSegmentation:
        """Segment objects of a video: the sounding objects, or those of other prompts, lazily.

        Audio, text, points, boxes and masks prompt object 0; `objects` of the prompts adds others. With points, boxes
        or masks, every frame attends to the prompted frames, those before the first of them too. Without, each clip
        window is segmented independently.

        Args:
            path: the video; a folder of pictures; arrays or tensors, (H, W, 3) or (3, H, W) uint8 RGB; an address; `-`
                for standard input; or a binary file object.
            text: an expression, for models that take text; replaces the one in `prompts`.
            prompts: points, boxes, masks and text, of one or several objects.
            audio: `track` for the audio track of the video, `none`, or another file.
            audio_track: number of the audio track from 0, or its language; None for the default one.
            fps: processed frames per second; None or `all` for every frame.
            start: start of the processed part, in seconds or as text such as `1:30`.
            end: end of the processed part, likewise; None for the end of the video.
            separate: yield each sounding source that can be told apart as an object, numbered from 1.
            names: name the categories of objects by the namer of the model, or by the one in a folder.
            pictures: for a folder of pictures or arrays: `rate`, pictures per second, or `times`, seconds of each;
                `sound`, (N,) or (N, 2) float in [-1, 1], with its `sound_rate` in Hz.

        Returns:
            an iterable of `Segmentation` that computes them one by one.

        Raises:
            InputError: the video cannot be read.
            UsageError: an argument does not fit the video or the model.
        """
        prompts = Prompts() if prompts is None else prompts
        if text is not None and isinstance(prompts, Prompts):
            prompts = dataclasses.replace(prompts, text=text)
        source = VideoSource.open(
            path, prompts, audio=audio, audio_track=audio_track, fps=fps, start=start, end=end, **pictures
        )
        check_modality(self.config, prompts, self.name)
        return VideoSegmentation(self, source, prompts, separate=separate, namer=self.namer(names))

    def live(
        self,
        source: Any,
        *,
        text: str | None = None,
        audio: str = "track",
        audio_track: AudioChoice = None,
        fps: float | Literal["all"] | None = DEFAULT_FPS,
        latency: float | None = None,
        **capture: Any,
    ) -> LiveSegmentation:
        """Segment the sounding objects of a source while it runs.

        Args:
            source: `-` for standard input, an address such as `rtsp://…`, a device, a named pipe, a binary file object,
                or a file, which is read at the speed at which it plays.
            text: an expression, for models that take text.
            audio: `track` for the sound of the source, or `none`.
            audio_track: number of the audio track from 0, or its language; None for the default one.
            fps: processed frames per second; None or `all` for every frame.
            latency: seconds between windows, which then overlap: 1 to the length of the model's clip window, None for
                this length. Masks follow after these seconds and the time of computation.
            capture: `input_format`, FFmpeg's name of the format or device; `input_options` for it; `duration` in
                seconds; `realtime=False` to make the source wait for the model instead of dropping frames.

        Returns:
            an iterable of `Segmentation`, and a context manager.

        Raises:
            InputError: the source cannot be read, or has neither sound nor text.
            UsageError: an argument does not fit the source or the model.
        """
        prompts = Prompts(text=text)
        check_modality(self.config, prompts, self.name)
        slots = streaming_network(self).config.clip.frames
        started = LiveSource.start_capture(
            source, prompts, slots=slots, audio=audio, audio_track=audio_track, fps=fps, latency=latency, **capture
        )
        return LiveSegmentation(self, started, prompts)

    def open(
        self,
        path: Any,
        *,
        audio: Audio = "track",
        audio_track: AudioChoice = None,
        fps: float | Literal["all"] | None = DEFAULT_FPS,
        start: float | str = 0.0,
        end: float | str | None = None,
        combine: Combine = "joint",
        merge: Merge = "mean_prob",
        **pictures: Any,
    ) -> VideoSession:
        """Open an interactive session on a video.

        Args:
            path: the video, or another source; see `segment`.
            audio: `track` for the audio track of the video, `none`, or another file.
            audio_track: number of the audio track from 0, or its language; None for the default one.
            fps: processed frames per second; None or `all` for every frame.
            start: start of the processed part, in seconds or as text such as `1:30`.
            end: end of the processed part, likewise; None for the end of the video.
            pictures: see `segment`.
            combine: for objects with visual prompts beside audio or text. `joint`: one decoder call gets all prompts.
                `ensemble`: two calls, whose masks are merged.
            merge: merge rule of an ensemble: `mean_prob`, `mean_logit`, `max_iou_score` or `union`.

        Returns:
            the session, a context manager.

        Raises:
            InputError: the video cannot be read.
            UsageError: an argument does not fit the video, or the model is a baseline.
        """
        source = VideoSource.open(
            path,
            Prompts(),
            audio=audio,
            audio_track=audio_track,
            fps=fps,
            start=start,
            end=end,
            prompts_later=True,
            **pictures,
        )
        return open_session(self, source, combine=combine, merge=merge)


class VideoSegmentation:
    """The segmented frames of one video; iterate once. `AuralSAM2.segment` returns it.

    Args:
        model: AuralSAM2, not a baseline.
        source: the video.
        prompts: text, points, boxes and masks beside the audio of the source.
        separate: yield each sounding source as an object of its own.
        namer: adds the categories of objects.

    Raises:
        UsageError: the prompts do not fit the source or `separate`, or the model is a baseline.
    """

    def __init__(
        self,
        model: AuralSAM2,
        source: VideoSource,
        prompts: Prompts,
        *,
        separate: bool = False,
        namer: ObjectNamer | None = None,
    ) -> None:
        self.model, self.source, self.prompts = model, source, prompts
        self._options = {"separate": separate, "names": namer is not None}
        self.clock = StageTimer()
        self._started = False
        compute = partial(inference_context, model)
        network = streaming_network(model)
        self._stream = VideoStream(network, source, prompts, compute, self.clock, separate=separate, namer=namer)

    @property
    def warnings(self) -> list[str]:
        """Notes for the user, complete after the last frame."""
        return self._stream.warnings

    def __iter__(self) -> Iterator[Segmentation]:
        """Yield the processed frames in the order of time.

        Raises:
            UsageError: the frames were iterated before.
        """
        if self._started:
            raise UsageError(f"{self.source.info.path}: the frames can be read once: call segment again")
        self._started = True
        return iter(self._stream)

    def save(
        self,
        out: Path | str,
        *,
        name: str | None = None,
        save: Collection[str] | str = DEFAULT_SAVE,
        overlay: bool | None = None,
        overlay_rate: OverlayRate = "processed",
        postprocessing: PostProcessing | None = None,
        options: dict[str, Any] | None = None,
        on_frame: Callable[[Segmentation], None] | None = None,
    ) -> Path:
        """Segment all frames and write the results into `out/NAME/`.

        The files appear complete or not at all.

        Args:
            out: created if missing.
            name: name of the result folder; None for the name of the video without its suffix.
            save: formats, of `outputs.formats.FORMATS`, as a collection or separated by commas.
            overlay: write the overlay or not, regardless of `save`; None follows `save`.
            overlay_rate: `processed` for an overlay of the processed frames, `source` for one of all frames of the
                video, where each mask holds until the next one.
            postprocessing: steps of post-processing; None for none.
            options: for `result.json`; with a `request`, see `outputs.request`, a later run can skip this video.
            on_frame: called after each frame.

        Returns:
            the folder with the files.

        Raises:
            OutputError: a file cannot be written.
            InputError: the video is damaged beyond use.
        """
        out = as_path("out", out)
        save = parse_formats("save", save)
        if overlay is not None:
            save = save - {"overlay"} | ({"overlay"} if overlay else set())
        source = self.source
        steps = postprocessing or PostProcessing()
        part = {
            "fps": "all" if source.fps is None else source.fps,
            "start": source.start,
            "end": source.end,
            "audio_track": source.audio_track,
            "postprocessing": dataclasses.asdict(steps),
            **self._options,
        }
        header = {
            "model": self.model.name,
            "prompts": {**self.prompts.as_dict(), "audio": source.sound_name},
            "options": part | (options or {}) | {"save": sorted(save)},
            "device": self.model.network.device.type,
            "dtype": self.model.dtype,
        }
        sound = source.sound or (source.info.path if source.info.audio_rate is not None else None)
        folder = ResultFolder(
            out / (Path(source.info.name or source.info.path).stem if name is None else as_text("name", name)),
            source.info,
            save,
            header,
            audio_from=sound,
            audio_track=source.audio_track,
            start=source.start,
            end=source.end,
            fps=source.fps,
            overlay_rate=overlay_rate,
            export=ExportOptions().feathered(steps.feather),
        )
        with folder:
            with BackgroundWriter(folder, self.clock) as writer:
                writer.write_all(postprocess(self, steps), on_frame)
            folder.close(timing=self.clock.seconds, warnings=self.warnings)
        return folder.folder


def load(
    model: str | Path, device: str | int | torch.device = "auto", dtype: str | torch.dtype = "auto", **options: Any
) -> AuralSAM2:
    """Load a model by name, folder or hub id; see `AuralSAM2.from_pretrained`."""
    return AuralSAM2.from_pretrained(model, device, dtype, **options)
