import pytest

from fer_edge.errors import TrainingError
from fer_edge.training.config import AugmentConfig, TrainConfig


def test_settings_survive_their_dictionary():
    config = TrainConfig(architecture="vgg", epochs=3, augment=AugmentConfig(flip=0.0))
    assert TrainConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("epochs", 0, "1 to 100000"),
        ("batch_size", -1, "1 to 1048576"),
        ("max_lr", 0.0, "above 0"),
        ("max_lr", float("nan"), "above 0"),
        ("optimizer", "lion", "one of sgd, adam, adamw"),
        ("stem", "big", "one of imagenet, no_pool, small, three_channels"),
        ("precision", "fp8", "one of auto, fp32, bf16"),
        ("label_smoothing", 1.0, "below 1"),
        ("ema_decay", -0.1, "0 up to below 1"),
        ("warmup", 1.0, "between 0 and 1"),
        ("image_size", 8, "16 to 4096 pixels"),
        ("image_size", 10**9, "16 to 4096 pixels"),
        ("patience", -1, "0 to 2147483648"),
        ("seed", 2**32, "0 to 4294967295"),
        ("threads", 10**9, "0 to 4096"),
        ("clip_norm", -1.0, "0 or more"),
        ("progression", "32", "SIDE:EPOCHS pairs"),
        ("progression", "32:x", "SIDE:EPOCHS pairs"),
        ("progression", "8:1", "a side from 16 to 48 pixels"),
        ("progression", "64:1", "a side from 16 to 48 pixels"),
        ("progression", "32:8,40:4", "fewer than 12 epochs in all"),
        ("distillation", 0.0, "above 0, up to 1"),
        ("temperature", 0.0, "above 0, up to 100"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_expected(setting, value, expected):
    with pytest.raises(TrainingError, match=expected) as caught:
        TrainConfig(**{setting: value})
    assert f"'{setting}'" in str(caught.value)


def test_augmentation_probabilities_are_checked():
    with pytest.raises(TrainingError, match="'flip': expected a probability from 0 to 1, found 2"):
        AugmentConfig(flip=2)


def test_unknown_settings_of_another_version_are_refused():
    with pytest.raises(TrainingError, match=r"found colour, tempo"):
        TrainConfig.from_dict({**TrainConfig().to_dict(), "tempo": 1, "colour": 2})


def test_strength_zero_turns_augmentation_off_and_two_doubles_it():
    config = AugmentConfig(rotation=10, erasing=0.4, flip=0.5, crop=3)
    none, double = config.scaled(0), config.scaled(2)
    assert (none.rotation, none.erasing, none.flip, none.crop, none.brightness) == (0, 0, 0, 0, 0)
    assert (double.rotation, double.erasing, double.flip, double.crop) == (20, 0.8, 0.5, 6)


def test_progression_says_the_side_of_each_epoch():
    config = TrainConfig(epochs=6, progression="24:2,32:3")
    assert [config.side_of(epoch) for epoch in range(6)] == [24, 24, 32, 32, 32, 48]
    assert TrainConfig(epochs=2).side_of(0) == 48
