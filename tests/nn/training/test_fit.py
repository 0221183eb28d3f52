from dataclasses import replace

import numpy as np
import pytest
import torch

from offramp.errors import InputError
from offramp.nn.backbones.resnet import resnet
from offramp.nn.data import Dataset, Split
from offramp.nn.inference import accuracy, predict
from offramp.nn.network import MultiExitNetwork, build
from offramp.nn.training.fit import EpochEnd, Recipe, Step, fit

RECIPE = Recipe(epochs=3, batch_size=10)


def fitted(dataset: Dataset, recipe: Recipe = RECIPE, *, seed: int = 5, **options) -> MultiExitNetwork:
    network = build(resnet(8), dataset, seed=0)
    for _ in fit(network, dataset.train, recipe, seed=seed, **options):
        pass
    return network


def same(one: MultiExitNetwork, other: MultiExitNetwork) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_every_branch_learns(tiny):
    network = fitted(tiny, replace(RECIPE, epochs=12))
    assert min(accuracy(network, tiny.train)[1:]) > 0.8
    assert accuracy(network, tiny.validation)[-1] > 0.6


def test_the_same_seed_gives_the_same_weights(tiny):
    assert same(fitted(tiny), fitted(tiny))
    assert not same(fitted(tiny), fitted(tiny, seed=6))


def test_going_on_after_an_epoch_gives_the_weights_of_one_go(tiny):
    network = build(resnet(8), tiny, seed=0)
    for event in fit(network, tiny.train, RECIPE, seed=5):
        if isinstance(event, EpochEnd):
            kept = {name: weight.clone() for name, weight in network.state_dict().items()}
            stopped = EpochEnd(event.epoch, {name: value.clone() for name, value in event.momentum.items()})
            break
    later = build(resnet(8), tiny, seed=1)
    later.load_state_dict(kept)
    steps = [event for event in fit(later, tiny.train, RECIPE, seed=5, start=stopped) if isinstance(event, Step)]
    assert {step.epoch for step in steps} == {2, 3}
    assert same(later, fitted(tiny))


def test_frozen_weights_stay_and_the_others_learn(tiny):
    network = build(resnet(8), tiny, seed=0)
    frozen = network.blocks[1].conv1.weight.requires_grad_(False)
    before = frozen.clone()
    events = [event for event in fit(network, tiny.train, RECIPE, seed=5) if isinstance(event, EpochEnd)]
    assert torch.equal(frozen, before)
    names = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert {*events[-1].momentum} == names
    later = build(resnet(8), tiny, seed=0)
    later.blocks[1].conv1.weight.requires_grad_(False)
    assert [event.epoch for event in fit(later, tiny.train, RECIPE, seed=5, start=events[-2])][-1] == 3


def test_a_loss_that_is_no_number_ends_training_in_a_sentence(tiny):
    with pytest.raises(
        InputError, match=r"learning rate: 1e\+09 makes the loss (nan|inf) in epoch \d; give a lower one"
    ):
        fitted(tiny, replace(RECIPE, learning_rate=1e9))


def test_training_sees_the_training_split_alone(tiny):
    # A label that doesn't exist would stop the loss; other images would change the weights.
    poison = Split(255 - tiny.validation.images, np.full(len(tiny.validation), 99), tiny.validation.members)
    assert same(fitted(tiny), fitted(replace(tiny, validation=poison, test=poison)))


def test_events_count_the_images(tiny):
    network = build(resnet(8), tiny, seed=0)
    events = list(fit(network, tiny.train, RECIPE, seed=0))
    assert sum(event.images for event in events if isinstance(event, Step)) == 3 * len(tiny.train)
    assert [event.epoch for event in events if isinstance(event, EpochEnd)] == [1, 2, 3]


def test_the_first_loss_is_the_sum_over_the_branches(tiny):
    network = build(resnet(8), tiny, seed=0)
    with torch.no_grad():
        for branch in network.branches:
            branch[-1].weight.zero_()
            branch[-1].bias.zero_()
    # Branches that know nothing: ln 4 each.
    first = next(iter(fit(network, tiny.train, RECIPE, seed=0)))
    assert first.loss == pytest.approx(4 * np.log(4), rel=1e-5)


def test_the_rate_rises_to_its_peak_and_falls_to_zero():
    recipe = Recipe(epochs=1, learning_rate=0.2, warmup=0.25)
    rates = [recipe.rate(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert rates[25] == max(rates) == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert recipe.rate(0.625) == pytest.approx(0.1)


def test_bf16_learns_what_float32_learns(tiny):
    plain, short = predict(fitted(tiny), tiny.train), predict(fitted(tiny, bf16=True), tiny.train)
    assert all(weight.dtype is not torch.bfloat16 for weight in fitted(tiny, bf16=True).state_dict().values())
    assert not torch.equal(plain, short)
    assert np.corrcoef(plain.ravel(), short.ravel())[0, 1] > 0.9


def test_predictions_do_not_depend_on_the_batch(tiny, network):
    whole, pieces = (predict(network, tiny.validation, batch_size=size) for size in (100, 3))
    assert whole.shape == (4, len(tiny.validation), 4)
    torch.testing.assert_close(whole, pieces)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_a_recipe_refuses_nonsense(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Recipe(**{"epochs": 1, **wrong})
