"""Sentences by number, and the tensors they become."""

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
    tokeniser = train_tokeniser((said.text for number in range(6) for said in training[number]), 400)
    return SentenceBatches(tokeniser, TextReader(recipe, tokeniser.get_vocab_size(), training.names), 0.15)


def make(batches: SentenceBatches, training: SentenceStream, seed: int = 0, scenes: int = 6) -> TokenBatch:
    said = [one for number in range(scenes) for one in training[number]]
    return batches.make(said, 0.2, np.random.default_rng(seed))


def test_a_number_always_says_the_same(toys, training):
    again = SentenceStream("train", expressions=6, null_expressions=3, seed=0, stamps=toys)
    assert again[4] == training[4]
    assert training[5] != training[4]
    assert SentenceStream("train", expressions=6, null_expressions=3, seed=1, stamps=toys)[4] != training[4]
    assert SentenceStream("val", expressions=6, null_expressions=3, seed=0, stamps=toys)[4] != training[4]


def test_no_name_of_a_held_out_thing_is_said_in_training(toys, training):
    collection = collect_assets(toys)
    held = set(splits.split_assets(collection, 0).categories)
    said = [one for number in range(12) for one in training[number]]
    assert held
    assert not any(word in held for one in said for word in one.text.split())
    assert {one.claim.name for one in said} - {None} <= set(training.names)
    unseen = SentenceStream("test-unseen", expressions=6, null_expressions=3, seed=0, stamps=toys)
    assert any(one.claim.name in held for number in range(4) for one in unseen[number])


def test_some_refer_to_something_and_some_to_nothing(training):
    said = [one for number in range(6) for one in training[number]]
    assert {one.fid > 0 for one in said} == {True, False}
    assert max(sum(one.fid > 0 for one in training[number]) for number in range(6)) <= 6


def test_answers_to_a_claim(batches, training):
    reader = batches.reader
    assert reader.targets(Claim()) == [0, 0, 0]
    name = training.names[2]
    assert reader.targets(Claim(name=name, place="right", hearing="silent")) == [3, 2, 2]
    assert reader.targets(Claim(name="zeppelin", hearing="loudest")) == [IGNORED, 0, 6]


def test_what_is_hidden_can_be_put_back(batches, training):
    batch = make(batches, training)
    chosen = batch.token_targets != IGNORED
    assert torch.equal(torch.where(chosen, batch.token_targets, batch.masked), batch.tokens)
    special = torch.tensor([SPECIAL.index(token) for token in ("<s>", "<pad>", "</s>")])
    assert not chosen[torch.isin(batch.tokens, special)].any()
    words = ~torch.isin(batch.tokens, special)
    assert 0.08 < chosen.sum() / words.sum() < 0.25
    assert 0.6 < (batch.masked[chosen] == SPECIAL.index("<mask>")).float().mean() < 0.95


def test_a_batch_comes_from_its_generator_alone(batches, training):
    one, same, other = (make(batches, training, seed) for seed in (1, 1, 2))
    assert all(torch.equal(vars(one)[name], vars(same)[name]) for name in vars(one))
    assert one.tokens.shape != other.tokens.shape or not torch.equal(one.masked, other.masked)


def test_pads_do_not_count(batches):
    reader = batches.reader.eval()
    line = torch.tensor([[0, 7, 8, 9, 2]])
    padded = torch.nn.functional.pad(line, (0, 6), value=SPECIAL.index("<pad>"))
    states = reader.language.roberta(line).last_hidden_state
    torch.testing.assert_close(reader.features(line), states.mean(1))
    torch.testing.assert_close(reader.features(padded), reader.features(line))


def test_losses_are_those_of_chance_before_training_and_finite_without_a_hidden_token(batches, training):
    batch = make(batches, training)
    losses = batches.reader.losses(batch)
    assert abs(losses["place"].item() - np.log(5)) < 0.4
    assert abs(losses["hearing"].item() - np.log(7)) < 0.4
    assert abs(losses["masked"].item() - np.log(batches.tokeniser.get_vocab_size())) < 0.6
    bare = TokenBatch(
        **vars(batch) | {"masked": batch.tokens, "token_targets": torch.full_like(batch.token_targets, IGNORED)}
    )
    assert batches.reader.losses(bare)["masked"].item() == 0.0
