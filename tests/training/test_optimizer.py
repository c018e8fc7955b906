from dataclasses import replace

import pytest
import torch

from fer_edge.training.architectures import build_classifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.optimizer import MOMENTUM_RANGE, AveragedWeights, build_optimizer, decay_groups, one_cycle


def test_norms_and_biases_do_not_decay():
    classifier = build_classifier("resnet18")
    decaying, still = decay_groups(classifier, 0.1)
    names = {id(parameter): name for name, parameter in classifier.named_parameters()}
    kept = {names[id(parameter)] for parameter in still["params"]}
    assert {"network.bn1.weight", "network.bn1.bias", "network.fc.bias"} <= kept
    assert not any(name.endswith("conv1.weight") or name == "network.fc.weight" for name in kept)
    assert len(decaying["params"]) + len(still["params"]) == len(names)
    assert (decaying["weight_decay"], still["weight_decay"]) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_the_optimizer_is_the_one_asked_for(name, kind):
    optimizer = build_optimizer(torch.nn.Linear(2, 2), TrainConfig(optimizer=name))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0].get("nesterov", name != "sgd")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_learning_rate_peaks_where_the_warmup_ends_and_momentum_runs_against_it(optimizer):
    config = TrainConfig(optimizer=optimizer, max_lr=0.1, warmup=0.25)
    rates, momenta = one_cycle(config, 100)
    assert len(rates) == 100
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 24
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[-1] < 1e-5
    assert rates[:25] == sorted(rates[:25])
    assert rates[24:] == sorted(rates[24:], reverse=True)
    assert momenta[24] == pytest.approx(MOMENTUM_RANGE[0])
    assert momenta[0] == pytest.approx(MOMENTUM_RANGE[1]) == pytest.approx(momenta[-1], abs=1e-3)


def test_averaging_follows_quickly_at_first_and_slowly_later():
    model = torch.nn.Linear(1, 1, bias=False)
    average = AveragedWeights(model, 0.99)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average.update_parameters(model)  # the first one copies
    with torch.no_grad():
        model.weight.fill_(1.0)
    average.update_parameters(model)
    assert float(average.module.weight.detach()) == pytest.approx(1 - 2 / 11)
    for _ in range(2000):
        average.update_parameters(model)
    with torch.no_grad():
        before = float(average.module.weight)
        model.weight.fill_(2.0)
    average.update_parameters(model)
    assert float(average.module.weight.detach()) - before == pytest.approx(0.01, rel=1e-3)


def test_averaging_covers_batch_norm_statistics_and_copies_its_counter():
    model = build_classifier("tiny").train()
    average = AveragedWeights(model, 0.9)
    for _ in range(3):
        model(torch.randn(4, 1, 48, 48))
        average.update_parameters(model)
    live, averaged = model.network[1], average.module.network[1]
    assert int(averaged.num_batches_tracked) == int(live.num_batches_tracked) == 3
    assert not torch.equal(averaged.running_mean, live.running_mean)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 5])
def test_a_run_of_a_few_steps_still_has_a_schedule(num_steps):
    rates, _ = one_cycle(replace(TrainConfig(), warmup=0.25), num_steps)
    assert len(rates) == num_steps
    assert all(0 < rate <= TrainConfig().max_lr for rate in rates)
