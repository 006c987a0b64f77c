"""Is a backbone what its original is? Both compute C2..C5 with the same made-up weights."""

import keras
import made_up_weights
import numpy as np

from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.weights.pair import Format
from labkit.weights.transfer import load_tensors

# A part of the largest value of a map. Float32 has 24 bits (6e-8), and up to a hundred layers of
# sums of up to 4608 terms, which programs add up in another order, stand between image and C5; the
# largest difference measured was 3e-6. The least of the mistakes tried (epsilon, slope, stride,
# padding, mean or deviation of the pixels: 127 for 127.5, or 2e-5 for 1e-5) gave 7e-4.
TOLERANCE = 2e-5

SMALL_HEADS = dict(
    fpn_channels=16, rpn_convs=1, box_convs=(), box_dense=(16,), mask_convs=(16,), mask_channels=16
)


def check_maps(backbone, source, names, preprocess, config: Config) -> None:
    """Compare a backbone with a model of `keras.applications` whose weights it has.

    Args:
        backbone: ours.
        source: the model of `keras.applications`.
        names: its layers that give C2..C5.
        preprocess: its function from RGB images to its input.
        config: says how our images are normalised.
    """
    theirs = keras.Model(source.input, [source.get_layer(name).output for name in names])
    want = theirs(preprocess(made_up_weights.image()[None].astype(np.float32)))
    for name, got, map_ in zip(names, maps(backbone, config), want, strict=True):
        check(got, np.asarray(map_[0]), name)


def check_golden(model, golden, name: str) -> None:
    """Compare a detector's backbone with what its original computed, under that name."""
    for level, got in enumerate(maps(model.backbone, model.config), start=2):
        key = f"{name}_C{level}"
        mean, std = golden[f"{key}_mean_std"]
        largest = mean + 3 * std
        values = got.ravel()[golden[f"{key}_places"]]
        check(values, golden[f"{key}_values"], key)
        np.testing.assert_allclose(got.mean(), mean, rtol=0, atol=TOLERANCE * largest)
        np.testing.assert_allclose(got.std(), std, rtol=0, atol=TOLERANCE * largest)


def check(got: np.ndarray, want: np.ndarray, name: str) -> None:
    """Raise AssertionError if values differ, or if there is nothing to compare."""
    largest = float(np.abs(want).max())
    assert largest > 0.1 and want.std() > 0.1 * largest, name
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * largest, err_msg=name)


def maps(backbone, config: Config) -> list[np.ndarray]:
    """C2..C5 of the made-up image, each [H, W, C]."""
    x = (made_up_weights.image() - np.float32(config.image_mean)) / np.float32(config.image_std)
    return [np.asarray(map_[0]) for map_ in backbone(x[None])]


def loaded(config: Config, format_: Format, ends_a_branch: str) -> MaskRCNN:
    """A Mask R-CNN whose backbone was loaded from tensors as its original names them.

    Args:
        config: the model's; its heads are made small.
        format_: the original's.
        ends_a_branch: what the names of norms contain that end a residual branch.
    """
    model = MaskRCNN(config.replace(**SMALL_HEADS), ["thing"])
    tensors = {}
    for pair in format_.pairs(model):
        ends = ends_a_branch in pair.name
        tensors[pair.name] = made_up_weights.tensor(pair.name, pair.outside().shape, ends)
    assert format_.recognises(tensors)
    report = load_tensors(model, tensors, "made up")
    assert len(report.loaded) == len(model.backbone.weights) and not report.skipped
    return model
