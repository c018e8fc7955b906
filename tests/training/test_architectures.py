import pytest
import torch
from torch import nn

from fer_edge.errors import TrainingError
from fer_edge.training.architectures import architecture_names, build_classifier, register, unregister
from fer_edge.training.architectures.building import fold_to_one_channel
from fer_edge.training.architectures.resnet18 import ResNet18
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.losses import Batch, balanced_class_weights


@pytest.mark.parametrize("name", architecture_names())
def test_every_architecture_takes_one_channel_and_gives_seven_logits_and_a_gradient(name):
    torch.manual_seed(0)
    classifier = build_classifier(name)
    loss, sums = classifier.training_step(Batch(torch.randn(2, 1, 48, 48), torch.tensor([0, 6])))
    loss.backward()
    assert torch.isfinite(loss)
    assert int(sums.num_faces) == 2
    without = [parameter for parameter, value in classifier.named_parameters() if value.grad is None]
    assert without == []
    with torch.no_grad():
        assert classifier.eval()(torch.randn(3, 1, 48, 48)).shape == (3, 7)


def test_auxiliary_heads_of_googlenet_add_to_the_training_loss():
    torch.manual_seed(0)
    classifier = build_classifier("googlenet").train()
    for module in classifier.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    batch = Batch(torch.randn(4, 1, 48, 48), torch.tensor([0, 1, 2, 3]))
    with_heads, _ = classifier.training_step(batch)
    classifier.auxiliary_weight = 0.0
    without, _ = classifier.training_step(batch)
    assert with_heads > without * 1.3  # two heads at 0.3 each, all three losses near log(7)


def test_resnet10_at_half_width_is_small_and_keeps_three_by_three_places():
    network = build_classifier("resnet10_half").eval().network
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(1.23e6, rel=0.01)
    before_pool = network[: list(dict(network.named_children())).index("avgpool")]
    with torch.no_grad():
        assert before_pool(torch.zeros(1, 1, 48, 48)).shape == (1, 256, 3, 3)


def test_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(TrainingError, match=r"expected one of googlenet, .*vgg11_bn, found 'resnet50'"):
        build_classifier("resnet50")


def test_registering_a_function_is_all_a_new_architecture_needs():
    @register("linear", settings=())
    def linear(settings, weights, head_sizes):
        from fer_edge.training.classifier import FacialExpressionClassifier

        return FacialExpressionClassifier(nn.Sequential(nn.Flatten(), nn.LazyLinear(7)))

    try:
        assert build_classifier("linear")(torch.zeros(2, 1, 48, 48)).shape == (2, 7)
    finally:
        unregister("linear")


def test_folding_gives_exactly_what_three_equal_channels_give():
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 8, 5, stride=2, padding=1).double()
    grey = torch.randn(2, 1, 20, 20, dtype=torch.float64)
    folded = fold_to_one_channel(convolution.float()).double()
    # Sums of float32 kernels, compared in float64: what is left is the rounding of one float32 addition.
    torch.testing.assert_close(folded(grey), convolution.double()(grey.expand(-1, 3, -1, -1)), rtol=0, atol=1e-6)


def test_folding_whole_numbers_is_exact_to_the_bit():
    convolution = nn.Conv2d(3, 4, 3, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.randint(-8, 9, convolution.weight.shape).float())
    grey = torch.randint(0, 256, (1, 1, 12, 12)).float()
    assert torch.equal(fold_to_one_channel(convolution)(grey), convolution(grey.expand(-1, 3, -1, -1)))


def test_imagenet_weights_answer_for_a_grey_face_as_on_three_equal_channels():
    torch.manual_seed(0)
    original = models.resnet18(weights=None).eval()
    folded = ResNet18((7,), "imagenet", original.state_dict()).eval()
    grey = torch.randn(2, 1, 48, 48)
    features = nn.Sequential(*list(original.children())[:-1]), nn.Sequential(*list(folded.network.children())[:-1])
    with torch.no_grad():
        torch.testing.assert_close(features[1](grey), features[0](grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def test_the_small_stem_takes_the_centre_of_imagenets_first_convolution():
    original = models.resnet18(weights=None)
    centre = original.conv1.weight[:, :, 2:5, 2:5].sum(dim=1, keepdim=True)
    torch.testing.assert_close(ResNet18((7,), "small", original.state_dict()).network.conv1.weight, centre)


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 2), ("no_pool", 3), ("small", 6), ("three_channels", 2)])
def test_the_stem_decides_how_much_of_a_face_is_left_for_the_last_layer(stem, side):
    network = build_classifier("resnet18", {"stem": stem}).network
    shapes = []
    network.layer4.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[2:])))
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1, 48, 48))
    assert shapes == [(side, side)]


def test_weights_of_another_network_are_refused_by_name():
    with pytest.raises(
        TrainingError,
        match=r"expected a torchvision state dict of ResNet, found one that does not fit: \d+ tensors are missing",
    ):
        build_classifier("resnet18", weights={"conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda weight: weight * float("nan"), "finite numbers, found others"),
        (lambda weight: weight.int(), "float32, found int32"),
        (lambda weight: weight.to(torch.complex64), "float32, found complex64"),
        (lambda weight: weight.to_sparse(), "a dense tensor, found another kind"),
        (lambda weight: weight.to("meta"), "a dense tensor, found another kind"),
        (lambda weight: weight[:1], "the shape .*, found .*"),
        (lambda weight: weight.tolist(), "a tensor, found a value of type list"),
    ],
)
def test_weights_that_no_training_gave_are_refused_by_the_name_of_the_tensor(change, found):
    state = build_classifier("tiny").network.state_dict()
    with pytest.raises(TrainingError, match=rf"state dict of Sequential, .* 0\.weight: expected {found}; name a file"):
        build_classifier("tiny", weights={**state, "0.weight": change(state["0.weight"])})


def test_balanced_weights_make_every_class_count_alike():
    labels = torch.tensor([0] * 8 + [1] * 2)
    weights = balanced_class_weights(labels, 7)
    assert weights[labels].sum() == pytest.approx(10)
    assert weights[0] * 8 == pytest.approx(float(weights[1] * 2))
    assert weights[2:].tolist() == [0] * 5
