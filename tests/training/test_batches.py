from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_edge.data.faces import FaceSet
from fer_edge.errors import SettingError
from fer_edge.training.batches import TrainingBatches, num_parts, validation_batches
from fer_edge.training.distributed import Processes

CPU = {"mean": 0.0, "std": 1.0, "device": torch.device("cpu")}


def numbered_faces(count):
    """Faces whose every pixel is their own number, so that they are recognised in a batch."""
    faces = np.tile(np.arange(count, dtype=np.uint8)[:, None, None], (1, 16, 16))
    return FaceSet(faces, np.arange(count) % 7, tuple(map(str, range(count))))


def numbers(batch):
    return (batch.faces[:, 0, 0, 0] * 255).round().int().tolist()


def batches_of(count, config, processes=None):
    return TrainingBatches(numbered_faces(count), config, processes=processes or Processes(), **CPU)


def test_an_epoch_shows_each_face_at_most_once_in_a_new_order(still_config):
    batches = batches_of(100, replace(still_config, batch_size=32))
    epochs = [[n for position in range(3) for n in numbers(batches.batch(epoch, position))] for epoch in (0, 1)]
    assert batches.num_steps == 3
    assert all(len(set(shown)) == 96 for shown in epochs)
    assert epochs[0] != epochs[1]


def test_a_batch_depends_on_its_place_alone_and_labels_stay_with_their_faces(tiny_config):
    config = replace(tiny_config, batch_size=32, mixup=0.4)
    forwards, alone = batches_of(100, config), batches_of(100, config)
    for position in range(3):
        forwards.batch(0, position)
    first, second = forwards.batch(1, 2), alone.batch(1, 2)
    assert torch.equal(first.faces, second.faces)
    assert torch.equal(first.labels, second.labels)
    assert first.mix == second.mix


def test_labels_stay_with_their_faces(still_config):
    batch = batches_of(100, still_config).batch(0, 0)
    assert [n % 7 for n in numbers(batch)] == batch.labels.tolist()


def test_two_processes_share_the_very_batch_of_one(tiny_config):
    config = replace(tiny_config, batch_size=32)
    whole = batches_of(100, config).batch(3, 1)
    parts = [batches_of(100, config, Processes(rank, 2)).batch(3, 1) for rank in (0, 1)]
    assert torch.equal(torch.cat([part.faces for part in parts]), whole.faces)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def test_mixup_blends_faces_and_keeps_both_labels(still_config):
    config = replace(still_config, mixup=1.0, batch_size=8)
    plain, mixed = batches_of(8, replace(config, mixup=0.0)).batch(0, 0), batches_of(8, config).batch(0, 0)
    assert 0 < mixed.mix < 1
    expected = mixed.mix * plain.faces + (1 - mixed.mix) * plain.faces.flip(0)
    torch.testing.assert_close(mixed.faces, expected, rtol=0, atol=1e-5)
    assert torch.equal(mixed.mixed_labels, plain.labels.flip(0))


def test_a_set_smaller_than_the_batch_is_one_batch(still_config):
    batches = batches_of(10, replace(still_config, batch_size=64))
    assert batches.num_steps == 1
    assert sorted(numbers(batches.batch(0, 0))) == list(range(10))


def test_validation_shows_every_face_once_over_all_processes():
    parts = [
        validation_batches(numbered_faces(25), processes=Processes(rank, 2), batch_size=4, **CPU) for rank in (0, 1)
    ]
    assert sorted(n for part in parts for batch in part for n in numbers(batch)) == list(range(25))


def test_early_epochs_show_smaller_faces(still_config):
    wide = FaceSet(np.zeros((64, 32, 32), np.uint8), np.zeros(64, np.int64), ("",) * 64)
    config = replace(still_config, image_size=32, progression="16:1")
    batches = TrainingBatches(wide, config, processes=Processes(), **CPU)
    assert [batches.batch(epoch, 0).faces.shape[-1] for epoch in (0, 1)] == [16, 32]


def test_what_the_teachers_say_stays_with_its_face_and_is_mixed_like_it(still_config):
    soft_targets = torch.rand(100, 7, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    for mixup in (0.0, 1.0):
        config = replace(still_config, mixup=mixup, batch_size=8)
        batches = TrainingBatches(numbered_faces(100), config, processes=Processes(), soft_targets=soft_targets, **CPU)
        batch = batches.batch(0, 0)
        alone = TrainingBatches(numbered_faces(100), replace(config, mixup=0.0), processes=Processes(), **CPU)
        expected = soft_targets[numbers(alone.batch(0, 0))]
        torch.testing.assert_close(batch.soft_targets, expected.lerp(expected.flip(0), 1 - batch.mix))


def test_one_process_in_two_parts_takes_what_two_processes_take(tiny_config):
    config = replace(tiny_config, batch_size=32, mixup=0.4)
    parts = list(batches_of(100, replace(config, micro_batch=16)).batches(3, 1))
    for rank, part in enumerate(parts):
        alone = batches_of(100, config, Processes(rank, 2)).batch(3, 1)
        assert torch.equal(part.faces, alone.faces)
        assert torch.equal(part.labels, alone.labels)
        assert part.mix == alone.mix
    assert len(parts) == 2


def test_parts_are_equal_as_few_as_hold_the_faces_and_of_two_or_more():
    assert [num_parts(64, 1, size) for size in (0, 64, 63, 32, 31, 5)] == [1, 1, 2, 2, 4, 16]
    assert [num_parts(96, 2, size) for size in (48, 20, 3)] == [1, 3, 16]
    for batch, processes, size in ((34, 2, 16), (6, 2, 2)):  # shares of 17 and 3
        with pytest.raises(SettingError, match=f"--micro-batch: .* a batch of {batch} in equal parts"):
            num_parts(batch, processes, size)
