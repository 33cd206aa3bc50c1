"""CLAP and Grounding DINO as roles, with tiny random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    PreTrainedTokenizerFast,
    SwinConfig,
)

from auralsam2.baselines.external.clap import ClapTagger
from auralsam2.baselines.external.grounding import GroundingProposer
from auralsam2.errors import UnavailableError, UsageError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", "the", "sound", "of", "dog", "cat", "bell", "silence", "wind"]
LABELS = ("dog", "cat", "bell")


@pytest.fixture(scope="module")
def tokeniser() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="module")
def clap() -> ClapModel:
    torch.manual_seed(0)
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8,
        hidden_size=64,
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 1, 1],
        projection_dim=16,
        window_size=4,
    )
    text = ClapTextConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        projection_dim=16,
        pad_token_id=0,
    )
    model = ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16)).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return model


@pytest.fixture(scope="module")
def dino() -> GroundingDinoForObjectDetection:
    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        num_queries=12,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_feature_levels=4,
    )
    return GroundingDinoForObjectDetection(config).eval()


def sounds() -> np.ndarray:
    """Three seconds: noise, silence, a tone."""
    random = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    rows = [random.uniform(-0.5, 0.5, 16_000), np.zeros(16_000), 0.5 * np.sin(2 * np.pi * 440 * time)]
    return np.stack(rows).astype(np.float32)


def test_the_tagger_compares_each_second_with_each_label(clap, tokeniser):
    extractor = ClapFeatureExtractor(truncation="rand_trunc")
    tagger = ClapTagger(clap, tokeniser, extractor, LABELS, ("silence",), least=0.0, most=2)
    heard = sounds()
    tags = tagger.tag(heard)
    # The same by the model's own forward pass, with each second three times as fast by plain repetition of its tone.
    rows = []
    for second in heard:
        wide = np.fft.irfft(np.fft.rfft(second.astype(np.float64)), n=48_000) * 3
        inputs = extractor(wide.astype(np.float32), sampling_rate=48_000, return_tensors="pt")
        words = tokeniser(
            [f"the sound of {label}" for label in (*LABELS, "silence")], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            output = clap(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
                input_features=inputs["input_features"],
            )
        rows.append(output.logits_per_audio[0].softmax(0))
    odds = torch.stack(rows)[:, :3]
    best = odds.max(0).values.argsort(descending=True)[:2]
    assert [tag.label for tag in tags] == [LABELS[number] for number in best]
    assert [tag.score for tag in tags] == pytest.approx(odds.max(0).values[best].tolist(), abs=1e-4)
    threshold = float(odds[:, best[0]].median())
    strict = ClapTagger(clap, tokeniser, extractor, LABELS, ("silence",), least=threshold + 1e-6).tag(heard)
    found = {tag.label: tag.active for tag in strict}
    assert found[LABELS[best[0]]] == tuple((odds[:, best[0]] > threshold + 1e-6).tolist())


def test_a_tagger_without_labels_and_one_that_is_not_here(clap, tokeniser, tmp_path):
    with pytest.raises(UsageError, match="needs labels"):
        ClapTagger(clap, tokeniser, ClapFeatureExtractor(), ())
    with pytest.raises(UnavailableError, match="no CLAP"):
        ClapTagger.from_pretrained(LABELS, str(tmp_path / "nothing"))


def test_the_proposer_gives_its_surest_boxes_inside_the_picture(dino, tokeniser):
    proposer = GroundingProposer(dino, tokeniser, most=3, shorter=64, longer=96)
    image = np.random.default_rng(0).integers(0, 255, (40, 70, 3), dtype=np.uint8)
    found = proposer.propose(image, "the Dog")
    assert len(found) == 3
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    for (x0, y0, x1, y1), score in found:
        assert 0 <= x0 < x1 <= 70
        assert 0 <= y0 < y1 <= 40
        assert 0 <= score <= 1
    assert found == proposer.propose(image, "the dog.")
    assert found != proposer.propose(image, "the cat")
    with torch.no_grad():
        words = tokeniser("the dog.", return_tensors="pt")
        output = dino(proposer._pixels(image), words["input_ids"], attention_mask=words["attention_mask"])
    assert found[0][1] == pytest.approx(float(output.logits.sigmoid().max()))


def test_a_proposer_that_is_not_here(tmp_path):
    with pytest.raises(UnavailableError, match="no Grounding DINO"):
        GroundingProposer.from_pretrained(str(tmp_path / "nothing"))
