import math

import pytest
import torch

from fer_edge.labels import FER2013
from fer_edge.training.config import TrainConfig
from fer_edge.training.heads import heads_of
from fer_edge.training.losses import (
    Batch,
    Distillation,
    HardLabels,
    HeadLoss,
    TrainingLoss,
    Votes,
    balanced_class_weights,
    training_loss,
)

FACES = torch.zeros(2, 1, 8, 8)
LOGITS = torch.tensor([[math.log(2.0), 0.0], [0.0, 0.0]])
"""Softmax: 2/3 and 1/3; 1/2 and 1/2."""
LN2, LN3 = math.log(2), math.log(3)


def test_hard_labels_by_hand():
    batch = Batch(FACES, torch.tensor([0, 1]))
    assert float(HardLabels().loss(LOGITS, batch)) == pytest.approx((LN3 - LN2 + LN2) / 2)
    weighted = HardLabels(class_weights=torch.tensor([3.0, 1.0]))
    assert float(weighted.loss(LOGITS, batch)) == pytest.approx((3 * (LN3 - LN2) + LN2) / 4)
    smooth = (0.9 * (LN3 - LN2) + 0.1 * ((LN3 - LN2) + LN3) / 2 + LN2) / 2
    assert float(HardLabels(0.1).loss(LOGITS, batch)) == pytest.approx(smooth)
    mixed = Batch(FACES, torch.tensor([0, 0]), torch.tensor([1, 1]), 0.75)
    expected = 0.75 * (LN3 - LN2 + LN2) / 2 + 0.25 * (LN3 + LN2) / 2
    assert float(HardLabels().loss(LOGITS, mixed)) == pytest.approx(expected)


def test_a_face_without_a_label_weighs_nothing():
    batch = Batch(FACES, torch.tensor([0, -1]))
    for given in (HardLabels(0.1), HardLabels(0.1, torch.tensor([3.0, 1.0]))):
        alone = given.loss(LOGITS[:1], Batch(FACES[:1], batch.labels[:1]))
        lacking = HardLabels(given.smoothing, given.class_weights, some_lack=True)
        torch.testing.assert_close(lacking.loss(LOGITS, batch), alone)
        assert float(lacking.loss(LOGITS, Batch(FACES, torch.tensor([-1, -1])))) == 0
        correct, count = lacking.hits(LOGITS, batch)
        assert (int(correct), int(count)) == (1, 1)


def test_votes_by_hand_and_a_face_without_votes_weighs_nothing():
    both = Batch(FACES, torch.zeros(2), votes=torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    first = 0.25 * (LN3 - LN2) + 0.75 * LN3
    assert float(Votes().loss(LOGITS, both)) == pytest.approx((first + LN2) / 2)
    one = Batch(FACES, torch.zeros(2), votes=torch.tensor([[0.25, 0.75], [0.0, 0.0]]))
    assert float(Votes().loss(LOGITS, one)) == pytest.approx(first)
    correct, count = Votes().hits(LOGITS, one)
    assert (int(correct), int(count)) == (0, 1)
    none = Batch(FACES, torch.zeros(2), votes=torch.zeros(2, 2))
    assert float(Votes().loss(LOGITS, none)) == 0
    half = Batch(FACES, torch.zeros(2), votes=torch.tensor([[0.25, 0.75], [0.25, 0.25]]))  # blended with one without
    assert float(Votes().loss(LOGITS, half)) == pytest.approx((first + 0.5 * LN2) / 1.5)


def test_distillation_by_hand():
    soft_targets = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    root = math.sqrt(2)  # at temperature 2 the first face's odds are the root of 2
    p = root / (1 + root)
    distance = 0.5 * (math.log(0.5) - math.log(p)) + 0.5 * (math.log(0.5) - math.log(1 - p))
    assert float(Distillation(0.7, 2.0).loss(LOGITS, soft_targets)) == pytest.approx(4 * distance / 2, rel=1e-5)


def test_heads_are_summed_each_over_its_own_columns():
    outputs = torch.cat([LOGITS, 2 * LOGITS], dim=1)
    soft_targets = torch.tensor([[0.5, 0.5, 0.9, 0.1]]).expand(2, 4)
    batch = Batch(
        FACES,
        torch.tensor([0, 1]),
        soft_targets=soft_targets,
        votes=torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
    )
    teachers = Distillation(0.25, 2.0)
    loss = TrainingLoss(
        (
            HeadLoss(HardLabels(), slice(0, 2), distillation=teachers),
            HeadLoss(Votes(), slice(2, 4), 0.5, teachers),
        )
    )
    labels = 0.75 * HardLabels().loss(LOGITS, batch) + 0.25 * teachers.loss(LOGITS, soft_targets[:, :2])
    votes = 0.75 * Votes().loss(2 * LOGITS, batch) + 0.25 * teachers.loss(2 * LOGITS, soft_targets[:, 2:])
    torch.testing.assert_close(loss(outputs, batch), labels + 0.5 * votes)
    assert [int(number) for number in loss.hits(outputs, batch)] == [1, 2]


def test_the_settings_choose_the_components():
    labels = torch.tensor([0, 0, 1, -1])
    config = TrainConfig(
        heads="votes,labels", second_head_weight=0.3, teacher="t", distillation=0.6, class_weights=True
    )
    votes, hard = training_loss(config, heads_of(config.heads, FER2013), labels).heads
    assert votes.target == Votes()
    assert (votes.columns, hard.columns, hard.weight) == (slice(0, 8), slice(8, 15), 0.3)
    assert votes.distillation == Distillation(0.6, 2.0)
    assert hard.target.some_lack
    torch.testing.assert_close(hard.target.class_weights, balanced_class_weights(labels[:3], 7))
    (alone,) = training_loss(TrainConfig(), heads_of("labels", FER2013), labels[:3]).heads
    assert (alone.columns, alone.distillation, alone.target) == (None, None, HardLabels(0.1))
