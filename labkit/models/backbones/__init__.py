"""Backbones: from an image to the feature maps C2..C5, at strides 4, 8, 16 and 32."""

from labkit.models.backbones.resnet import load_imagenet, resnet50
from labkit.models.backbones.tiny import tiny

BACKBONES = {"resnet50": resnet50, "tiny": tiny}

__all__ = ["BACKBONES", "load_imagenet", "resnet50", "tiny"]
