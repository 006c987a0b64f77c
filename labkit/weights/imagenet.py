"""ImageNet weights into the backbone of a detector, wherever they come from."""

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES, KERAS
from labkit.models.registry import presets
from labkit.weights.files import read_tensors
from labkit.weights.registry import find, obtain
from labkit.weights.transfer import load_tensors

# Of the two published ResNets, keras.applications' halves a map in a bottleneck's first convolution
# and torchvision's in its second: the weights of one are wrong in the other.
OF_TORCHVISION = {"resnet50": "imagenet-r50", "resnet101": "imagenet-r101"}


def source_of(config) -> str:
    """Where the ImageNet weights of a backbone come from, written as in `Backbone.imagenet`."""
    if config.backbone in OF_TORCHVISION and not config.stride_in_1x1:
        return OF_TORCHVISION[config.backbone]
    return BACKBONES[config.backbone].imagenet


def load_imagenet(model) -> None:
    """Load the ImageNet weights that labkit knows of the model's backbone.

    Args:
        model: the detector to change.

    Raises:
        LabkitError: there are none, or they cannot be downloaded or found.
    """
    name = model.config.backbone
    source = source_of(model.config)
    if not source:
        have = [preset for preset, c in presets().items() if BACKBONES[c.backbone].imagenet]
        raise LabkitError(
            f"the backbone {name} has no ImageNet weights; these presets have: {', '.join(have)}."
        )
    if source == KERAS:
        BACKBONES[name].load_imagenet(model.backbone)
    else:
        load_tensors(model, read_tensors(obtain(find(source))), source)
