"""Sentences by number, and their tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auralsam2.stampavs import splits
from auralsam2.stampavs.assets import collect_assets
from auralsam2.stampavs.expressions import Claim
from projects.mini.text_data import SentenceBatches, SentenceStream
from projects.mini.text_network import IGNORED, TextReader, TokenBatch
from projects.mini.text_tokeniser import SPECIAL, train_tokeniser


@pytest.fixture(scope="module")
def training(toys) -> SentenceStream:
    return SentenceStream("train", expressions=6, null_expressions=3, seed=0, stamps=toys)


@pytest.fixture
def batches(recipe, training) -> SentenceBatches:
    torch.manual_seed(0)
    tokeniser = train_tokeniser((sentence.text for number in range(6) for sentence in training[number]), 400)
    return SentenceBatches(tokeniser, TextReader(recipe, tokeniser.get_vocab_size(), training.names), 0.15)


def make(batches: SentenceBatches, training: SentenceStream, seed: int = 0, scenes: int = 6) -> TokenBatch:
    sentences = [sentence for number in range(scenes) for sentence in training[number]]
    return batches.make(sentences, 0.2, np.random.default_rng(seed))


def test_sentences_depend_on_number_seed_and_split(toys, training):
    same = SentenceStream("train", expressions=6, null_expressions=3, seed=0, stamps=toys)
    assert same[4] == training[4]
    assert training[5] != training[4]
    assert SentenceStream("train", expressions=6, null_expressions=3, seed=1, stamps=toys)[4] != training[4]
    assert SentenceStream("val", expressions=6, null_expressions=3, seed=0, stamps=toys)[4] != training[4]


def test_training_sentences_have_no_held_out_name(toys, training):
    collection = collect_assets(toys)
    held_out = set(splits.split_assets(collection, 0).categories)
    sentences = [sentence for number in range(12) for sentence in training[number]]
    assert held_out
    assert not any(word in held_out for sentence in sentences for word in sentence.text.split())
    assert {sentence.claim.name for sentence in sentences} - {None} <= set(training.names)
    unseen = SentenceStream("test-unseen", expressions=6, null_expressions=3, seed=0, stamps=toys)
    assert any(sentence.claim.name in held_out for number in range(4) for sentence in unseen[number])


def test_sentences_with_and_without_referent(training):
    sentences = [sentence for number in range(6) for sentence in training[number]]
    assert {sentence.fid > 0 for sentence in sentences} == {True, False}
    assert max(sum(sentence.fid > 0 for sentence in training[number]) for number in range(6)) <= 6


def test_targets_of_a_claim(batches, training):
    reader = batches.reader
    assert reader.targets(Claim()) == [0, 0, 0]
    name = training.names[2]
    assert reader.targets(Claim(name=name, place="right", hearing="silent")) == [3, 2, 2]
    assert reader.targets(Claim(name="zeppelin", hearing="loudest")) == [IGNORED, 0, 6]


def test_masked_tokens_and_targets(batches, training):
    batch = make(batches, training)
    chosen = batch.token_targets != IGNORED
    assert torch.equal(torch.where(chosen, batch.token_targets, batch.masked), batch.tokens)
    special = torch.tensor([SPECIAL.index(token) for token in ("<s>", "<pad>", "</s>")])
    assert not chosen[torch.isin(batch.tokens, special)].any()
    words = ~torch.isin(batch.tokens, special)
    assert 0.08 < chosen.sum() / words.sum() < 0.25
    assert 0.6 < (batch.masked[chosen] == SPECIAL.index("<mask>")).float().mean() < 0.95


def test_batch_depends_on_its_generator_alone(batches, training):
    batch, same, other = (make(batches, training, seed) for seed in (1, 1, 2))
    assert all(torch.equal(vars(batch)[name], vars(same)[name]) for name in vars(batch))
    assert batch.tokens.shape != other.tokens.shape or not torch.equal(batch.masked, other.masked)


def test_padding_does_not_change_features(batches):
    reader = batches.reader.eval()
    line = torch.tensor([[0, 7, 8, 9, 2]])
    padded = torch.nn.functional.pad(line, (0, 6), value=SPECIAL.index("<pad>"))
    states = reader.language.roberta(line).last_hidden_state
    torch.testing.assert_close(reader.features(line), states.mean(1))
    torch.testing.assert_close(reader.features(padded), reader.features(line))


def test_initial_losses_are_those_of_chance(batches, training):
    batch = make(batches, training)
    losses = batches.reader.losses(batch)
    assert abs(losses["place"].item() - np.log(5)) < 0.4
    assert abs(losses["hearing"].item() - np.log(7)) < 0.4
    assert abs(losses["masked"].item() - np.log(batches.tokeniser.get_vocab_size())) < 0.6
    bare = TokenBatch(
        **vars(batch) | {"masked": batch.tokens, "token_targets": torch.full_like(batch.token_targets, IGNORED)}
    )
    assert batches.reader.losses(bare)["masked"].item() == 0.0
