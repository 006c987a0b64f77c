"""labkit's mask assembly, resizing and network input against those of YOLACT's original code."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.models.resize import resize_image
from labkit.ops import prototypes
from labkit.ops.mini_masks import mini_mask
from labkit.ops.pasting import paste_grids
from labkit.parity.check import Check
from labkit.parity.golden import Golden
from labkit.parity.yolact_boxes import upright


def masks(g: Golden) -> Iterator[Check]:
    """Assembly, crop and the way to the size of the image; targets at the prototypes' size."""
    proto = g["proto"]
    grid = proto.shape[:2]
    logits = prototypes.assemble(proto[None], g["coef"][None])[0]
    probability = tf.sigmoid(logits).numpy()
    check = Check("masks: assembled", atol=1e-5)
    yield check.add(probability.transpose(1, 2, 0), g["prob_uncropped"])
    boxes = upright(g.boxes("box"))
    inside = prototypes.inside(prototypes.on_grid(boxes, (1, 1), grid), grid).numpy()
    for name in sorted(n.removeprefix("mask_bits_") for n in g if n.startswith("mask_bits_")):
        rows, columns = (int(n) for n in name.split("x"))
        found = whole_masks(probability * inside, boxes, (rows, columns))
        check = Check(f"masks: {name} pixels").add(found, g.bits(f"mask_bits_{name}", found.shape))
        yield check.add(found.sum((1, 2)), g[f"mask_area_{name}"])
        everywhere = np.tile(np.float32([0, 0, 1, 1]), (len(boxes), 1))
        found = whole_masks(probability, everywhere, (rows, columns))
        want = g.bits(f"mask_nocrop_bits_{name}", found.shape)
        yield Check(f"masks: {name} pixels, not cropped").add(found, want)
    whole = g.bits("gt_mask_bits", g["gt_mask_shape"])
    for name in sorted(n for n in g if n.startswith("gt_small_bits_")):
        size = tuple(int(n) for n in name.rpartition("_")[2].split("x"))
        found = prototypes.targets_of_masks(whole[None], size)[0]
        yield Check(f"masks: targets {size}").add(found, g.bits(name, found.shape))


def whole_masks(grids: np.ndarray, boxes: np.ndarray, shape) -> np.ndarray:
    """Grids over an image as masks of its pixels, bool [N, H, W]; boxes as shares of the image."""
    pixels = boxes * np.tile(np.float32(shape), 2)
    return paste_grids(grids, [0, 0, *shape], pixels, *shape, threshold=0.5)


def resizing(g: Golden) -> Iterator[Check]:
    """Bilinear interpolation up and down, and what a stride of 2 reads."""
    from labkit.models.layers import downsample

    check = Check("resizing: bilinear", atol=1e-5)
    for name in (n.removeprefix("in_") for n in g if n.startswith("in_")):
        want = g.maps(f"out_{name}")
        check.add(tf.image.resize(g.maps(f"in_{name}"), want.shape[1:3]), want)
    yield check
    check = Check("resizing: stride 2", atol=1e-5)
    for name in (n.removeprefix("convin_") for n in g if n.startswith("convin_")):
        x = tf.keras.Input((None, None, 3))
        model = tf.keras.Model(x, downsample(x, 4, 3, bias=True, name="c"))
        model.get_layer("c").set_weights(
            [g[f"convw_{name}"].transpose(2, 3, 1, 0), g[f"convb_{name}"]]
        )
        check.add(model(g.maps(f"convin_{name}")), g.maps(f"conv_s2_{name}"))
    yield check


def transform(g: Golden) -> Iterator[Check]:
    """From pictures to the network's input, for both backbones."""
    from labkit.models.yolact_config import YolactConfig

    configs = {kind: YolactConfig.preset(f"yolact_{p}") for kind, p in KINDS.items()}
    for kind, config in configs.items():
        check = Check(f"input: {kind}", atol=1e-5)
        for name in sorted(n for n in g if n.endswith(f"_fast_{kind}")):
            want = g[name].transpose(1, 2, 0)
            picture = g[f"{name[0]}_image_rgb"]
            seen = resize_image(picture, *want.shape[:2], config.resize_filter)
            check.add((seen - config.image_mean) / config.image_std, want)
        yield check
    whole = g.bits("gt_masks_in_bits", g["gt_masks_in_shape"])
    want = g.bits("gt_masks_out_bits", g["gt_masks_out_shape"])
    check = Check("input: objects' masks, share of their cells", atol=1e-3)
    sizes = [mini_mask(m, [0, 0, *m.shape], want.shape[1:]) for m in whole]
    rows = g["gt_rows_in"]
    sides = (rows[:, 2:4] - rows[:, :2]).min(1) * want.shape[-1]
    kept = np.array(sizes)[sides > g["gt_discard_px"]]
    check.add(len(kept), len(want))
    yield check.add(np.mean(kept != want), 0.0)


KINDS = {"resnet": "r50", "darknet": "darknet53"}
