"""Our tracker without feature prompts against the video session of transformers, whose modules it re-arranges.

The stock session stores memories in bfloat16, so small differences may grow from frame to frame. Each frame of ours is
compared with the stock session's past in its memory bank, and memories with those of the same inputs. Mask prompts are
also propagated freely, with memories rounded to bfloat16.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from transformers import Sam2VideoInferenceSession, Sam2VideoModel

from auralsam2.config import PromptingConfig
from auralsam2.inference.memory_bank import MemoryEntry
from auralsam2.inference.tracker import ObjectTracker
from auralsam2.modeling.image_encoder import encode_pyramid, frame_features, sine_position
from auralsam2.modeling.mask_decoder import MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.modeling.sam2 import load_sam2
from helpers.small_networks import small_sam2

SIZE, FRAMES = 64, 20
"""More frames than the 16 whose pointers are attended to."""
MASK = torch.zeros(SIZE, SIZE, dtype=torch.bool)
MASK[10:41, 17:44] = MASK[50:52, 3:60] = True
BOX = torch.tensor([5.0, 8.0, 40.0, 60.0])
PROMPTS = {
    "a point": VisualPrompts(torch.tensor([[20.0, 30.0]]), torch.tensor([1])),
    "two points": VisualPrompts(torch.tensor([[20.0, 30.0], [50.0, 9.0]]), torch.tensor([1, 0])),
    "a box": VisualPrompts(torch.zeros(0, 2), torch.zeros(0), box=BOX),
    "a mask": VisualPrompts(torch.zeros(0, 2), torch.zeros(0), mask=MASK),
    "an empty mask": VisualPrompts(torch.zeros(0, 2), torch.zeros(0), mask=torch.zeros_like(MASK)),
    "a box and a point": VisualPrompts(torch.tensor([[20.0, 30.0]]), torch.tensor([1]), box=BOX),
}


def pictures() -> torch.Tensor:
    """(FRAMES, 3, SIZE, SIZE): a scene that changes slowly."""
    generator = torch.Generator().manual_seed(4)
    scene = torch.randn(3, SIZE, SIZE, generator=generator)
    return torch.stack(
        [scene.roll(2 * t, 2) + 0.3 * torch.randn(3, SIZE, SIZE, generator=generator) for t in range(FRAMES)]
    )


def stock_session(video: torch.Tensor, clicks: dict[int, VisualPrompts]) -> Sam2VideoInferenceSession:
    """A session with the prompts as its own processor would store them: a box is two points labelled 2 and 3."""
    height, width = video.shape[2:]
    session = Sam2VideoInferenceSession(video=video, video_height=height, video_width=width, dtype=torch.float32)
    number = session.obj_id_to_idx(1)
    for t, prompt in clicks.items():
        points, labels = prompt.points, prompt.labels
        if prompt.mask is not None:
            session.add_mask_inputs(number, t, prompt.mask[None, None].float())
            continue
        if prompt.box is not None:
            points = torch.cat([prompt.box.reshape(2, 2), points])
            labels = torch.cat([torch.tensor([2, 3]), labels])
        session.add_point_inputs(
            number, t, {"point_coords": points[None, None], "point_labels": labels[None, None].int()}
        )
    return session


def our_tracker(sam2: Sam2VideoModel, frames: int | None, grid: int = 4) -> ObjectTracker:
    position = sine_position(sam2.hidden_dim, (grid, grid), sam2.no_memory_embedding)
    return ObjectTracker(sam2, MaskDecoder(sam2, PromptingConfig()), MemoryNetwork(sam2), position, frames)


def as_remembered(stored: dict[str, torch.Tensor]) -> MemoryEntry:
    """What the stock session stored of a frame, in our form."""
    memory = stored["maskmem_features"].float()
    return MemoryEntry(memory.permute(1, 2, 0).unflatten(2, (4, 4)), stored["object_pointer"][0])


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize("what", PROMPTS)
@pytest.mark.parametrize("clicked", [(0,), (0, 6)], ids=["first frame", "frames 0 and 6"])
@torch.inference_mode()
def test_every_frame_equals_the_stock_one_with_the_same_past(version: str, what: str, clicked: tuple[int, ...]) -> None:
    sam2, video = small_sam2(SIZE, version), pictures()
    clicks = dict.fromkeys(clicked, PROMPTS[what])
    session = stock_session(video, clicks)
    frames = frame_features(sam2, encode_pyramid(sam2, video))
    tracker = our_tracker(sam2, FRAMES)
    found = 0
    for t, frame in enumerate(frames):
        if t in clicks:
            session.obj_with_new_inputs.append(1)
        result = sam2(inference_session=session, frame_idx=t)
        ours = tracker.step(t, frame, None, clicks.get(t), conditioning=t in clicks)
        score = float(result.object_score_logits.flatten()[0])
        stored = session.output_dict_per_obj[0]["cond_frame_outputs" if t in clicks else "non_cond_frame_outputs"][t]
        assert ours.object_score == pytest.approx(score, abs=1e-4)
        torch.testing.assert_close(ours.entry.pointer, stored["object_pointer"][0], atol=1e-4, rtol=0)
        found += score > 0
        torch.testing.assert_close(ours.decoded.logits[:, ours.best], result.pred_masks[:, 0], atol=1e-4, rtol=0)
        torch.testing.assert_close(ours.logits, stored["high_res_masks"][0, 0], atol=1e-4, rtol=0)
        memory = as_remembered(stored).memory
        torch.testing.assert_close(ours.entry.memory.to(torch.bfloat16).float(), memory, atol=0.02, rtol=0.01)
        tracker.bank.add(t, as_remembered(stored), conditioning=t in clicks)
    assert found >= 2 or what == "an empty mask", "no frame with an object: only empty masks were compared"


def small(version: str) -> Sam2VideoModel:
    return small_sam2(SIZE, version)


def bundled(_version: str) -> Sam2VideoModel:
    """The SAM 2 of model mini."""
    return load_sam2(Path(str(files("auralsam2"))) / "bundled" / "mini" / "sam2", SIZE)


@pytest.mark.parametrize(("source", "version"), [(small, "2.0"), (small, "2.1"), (bundled, "mini")])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@torch.inference_mode()
def test_a_mask_is_propagated_as_by_the_stock_session(source: object, version: str, reverse: bool) -> None:
    """The whole session: the mask on its frame, and all frames that follow from it."""
    sam2, video = source(version), pictures()[:8]  # type: ignore[operator]
    start = 7 if reverse else 0
    session = stock_session(video, {start: PROMPTS["a mask"]})
    session.obj_with_new_inputs.append(1)
    sam2(inference_session=session, frame_idx=start)
    stock = list(sam2.propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse))
    assert [result.frame_idx for result in stock] == (list(range(7, -1, -1)) if reverse else list(range(8)))
    frames = frame_features(sam2, encode_pyramid(sam2, video))
    tracker = our_tracker(sam2, len(video))
    areas = []
    for result in stock:
        t = result.frame_idx
        first, number = t == start, -t if reverse else t
        ours = tracker.step(number, frames[t], None, PROMPTS["a mask"] if first else None, conditioning=first)
        rounded = MemoryEntry(ours.entry.memory.to(torch.bfloat16).float(), ours.entry.pointer)
        tracker.bank.add(number, rounded, conditioning=first)
        assert ours.object_score == pytest.approx(float(result.object_score_logits), abs=1e-3)
        low_res = ours.decoded.logits[0, ours.best]
        torch.testing.assert_close(low_res, result.pred_masks[0, 0], atol=2e-3, rtol=1e-3)
        areas.append(int((low_res > 0).sum()))
        if first:
            assert torch.equal(ours.logits > 0, MASK)
            assert (ours.iou, ours.object_score) == (1.0, 10.0)
    assert sum(area > 0 for area in areas) >= 2, "only empty masks were compared"


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize("score", [1.5, -1.5])
@pytest.mark.parametrize("prompted", [True, False])
@torch.inference_mode()
def test_a_memory_is_the_stock_one(version: str, score: float, prompted: bool) -> None:
    sam2 = small_sam2(SIZE, version)
    (frame,) = frame_features(sam2, encode_pyramid(sam2, pictures()[:1]))
    logits = 5 * torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    scores = torch.tensor([[score]])
    stock, position = sam2._encode_new_memory(
        current_vision_feats=frame.embedding.flatten(2).permute(2, 0, 1),
        pred_masks_high_res=logits,
        object_score_logits=scores,
        is_mask_from_pts=prompted,
    )
    ours = MemoryNetwork(sam2).encode(frame.embedding, logits, scores, binary=prompted)
    assert torch.equal(ours.to(torch.bfloat16).flatten(2).permute(2, 0, 1), stock)
    where = sam2.memory_encoder.position_encoding(ours.shape, ours.device, ours.dtype)
    assert torch.equal(where.flatten(2).permute(2, 0, 1), position)


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize(
    ("t", "length"), [(1, FRAMES), (3, 4), (5, FRAMES), (18, FRAMES), (9, None)], ids=lambda value: str(value)
)
@torch.inference_mode()
def test_memory_attention_equals_the_stock_one(version: str, t: int, length: int | None) -> None:
    """Frame 4 is a second conditioning frame: the past of frame 5, the future of frames 1 and 3."""
    sam2, video = small_sam2(SIZE, version), pictures()
    frames = frame_features(sam2, encode_pyramid(sam2, video))
    session = stock_session(video, {})
    tracker = our_tracker(sam2, length)
    generator = torch.Generator().manual_seed(2)
    for past in (0, 4, *(frame for frame in range(1, t) if frame != 4)):
        stored = {
            "maskmem_features": torch.randn(16, 1, 64, generator=generator),
            "maskmem_pos_enc": sam2.memory_encoder.position_encoding(torch.Size((1, 64, 4, 4)), "cpu", torch.float32)
            .flatten(2)
            .permute(2, 0, 1),
            "object_pointer": torch.randn(1, 1, 256, generator=generator),
        }
        session.store_output(0, past, output_value=stored, is_conditioning_frame=past in (0, 4))
        tracker.bank.add(past, as_remembered(stored), conditioning=past in (0, 4))
    vision, position = sam2._prepare_vision_features(session, t, 1)
    stock = sam2._prepare_memory_conditioned_features(
        inference_session=session,
        frame_idx=t,
        obj_idx=0,
        is_initial_conditioning_frame=False,
        current_vision_features=vision[-1],
        current_vision_positional_embeddings=position[-1],
        num_total_frames=length,  # type: ignore[arg-type]
        streaming=length is None,
    )
    ours = tracker._attend(t, frames[t], conditioning=False)
    torch.testing.assert_close(ours, stock, atol=1e-4, rtol=0)
    begun = sam2._prepare_memory_conditioned_features(
        session, t, 0, True, vision[-1], position[-1], num_total_frames=FRAMES
    )
    torch.testing.assert_close(tracker._attend(t, frames[t], conditioning=True), begun, atol=1e-5, rtol=0)
    assert (ours - begun).abs().max() > 0.1, "the past makes no difference: nothing was compared"
