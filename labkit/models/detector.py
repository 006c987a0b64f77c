"""What every detector is: a `keras.Model` that learns from batches and finds objects in images.

A detector, Mask R-CNN for instance, says what its parts are, what it learns from a batch and what
it finds in one. Everything around that (training, distribution, checkpoints, validation, diagnosis,
the command line) works on a `Detector` and knows no other kind. Its training step is in
`labkit.models.learner`. To add a detector, write its settings (a `DetectorConfig`), `learn` and the
methods that raise NotImplementedError below, and a line in `labkit.models.registry`.
"""

import contextlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.models.backbones.levels import freeze_up_to
from labkit.models.detections import Detections
from labkit.models.inference import FOUND, detect_images
from labkit.models.learner import Learner
from labkit.models.registry import DETECTORS
from labkit.models.tensors import height_width
from labkit.ops.anchors import pyramid_anchors


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a training run.

    Attributes:
        name: what it is.
        evidence: the numbers that say so.
        remedy: what to do.
    """

    name: str
    evidence: str
    remedy: str


@dataclass(frozen=True)
class ClassOutputs:
    """How the outputs of a layer belong to the classes.

    They are a flattened [..., classes, values]: of every class its values side by side. What else
    there are outputs for, such as anchors, stands before the classes.

    Attributes:
        values: how many outputs a class has: 4 for its box.
        background: whether the background has outputs too, before those of the classes.
    """

    values: int = 1
    background: bool = False


class Detector(Learner):
    """A model that finds objects of `class_names` (background not among them) in images.

    Args:
        config: its settings; the class of the config decides which detector it is.
        class_names: the classes, in the order of their ids from 1 on.
        category_ids: what the data call these classes, for `Detections.to_coco`; by default 1 to N.

    Attributes:
        LOSSES_OF_PART: for each part that learns from some losses only, their names.
        STAGES: words for groups of parts that a training stage may name, beside those of
            `labkit.training.stages`: each a regular expression over the paths of weights.
        checks: functions that look for what goes wrong with this kind of detector; each takes the
            record of a run (see `labkit.training.diagnosis`) and yields a `Finding` or nothing.
    """

    LOSSES_OF_PART: dict[str, tuple[str, ...]] = {}
    STAGES: dict[str, str] = {}
    checks = ()

    # --- what a detector has to say -------------------------------------------------------

    def make_parts(self) -> None:
        """Make the networks that it is made of, and keep them as attributes."""
        raise NotImplementedError

    def parts(self) -> dict[str, keras.Model]:
        """Its networks by name, the backbone (called "backbone") first."""
        raise NotImplementedError

    def detect_in_batch(
        self,
        images: tf.Tensor,
        image_sizes: tf.Tensor,
        score_threshold=None,
        nms_iou=None,
        detections=None,
    ) -> dict[str, tf.Tensor]:
        """The objects in a padded batch, in pixels of that batch's images.

        Args:
            images: float32 [B, H, W, 3] in 0..255; padding lies beyond image_sizes [B, 2].
            image_sizes: float32 [B, 2], rows and columns of each image.
            score_threshold: by default the config's, like the next two.
            nms_iou: boxes of a class with a higher IoU suppress one another.
            detections: how many to return at most.

        Returns:
            A dict with boxes [B, D, 4], scores [B, D], classes int32 [B, D], masks [B, D, m, m]
            (probabilities, over the box), of which the first `count` int32 [B] are real. More
            entries, of the steps on the way, are welcome.
        """
        raise NotImplementedError

    @classmethod
    def guessing(cls, classes: int) -> dict[str, float]:
        """What each loss is before anything is learnt, with so many classes."""
        raise NotImplementedError

    def class_outputs(self) -> dict[str, dict[str, ClassOutputs]]:
        """By part, its layers with outputs for each class, by their names.

        Where weights of other classes are loaded, these outputs are taken over class by class, and
        start anew for a class that the weights do not have.
        """
        return {}

    # --- making one -----------------------------------------------------------------------

    def __init__(self, config, class_names, category_ids=None, **kwargs):
        super().__init__(**kwargs)
        if keras.backend.backend() != "tensorflow":
            raise LabkitError(
                f"Keras computes with {keras.backend.backend()}, but labkit's networks are written "
                "for TensorFlow: set KERAS_BACKEND=tensorflow."
            )
        for setting, needed in (("floatx", "float32"), ("image_data_format", "channels_last")):
            found = getattr(keras.config, setting)()
            if found != needed:
                raise LabkitError(
                    f"Keras is set to {setting} '{found}', and labkit's networks need '{needed}': "
                    f"call keras.config.set_{setting}('{needed}') first."
                )
        self.config = config
        self.class_names = _checked_names(class_names)
        self.category_ids = category_ids
        if len(config.class_weights) not in (0, 1 + len(self.class_names)):
            raise LabkitError(
                f"{type(config).__name__}: 'class_weights' has {len(config.class_weights)} values; "
                f"give one for background and one for each of the {len(self.class_names)} classes."
            )
        with _seeded(config.seed):
            self.make_parts()
        freeze_up_to(self.parts()["backbone"], config.freeze_at)
        self.prepare_to_learn()
        self.built = True

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The id of each class in the data that it was trained on; 1 to N where None was set."""
        return self._category_ids

    @category_ids.setter
    def category_ids(self, ids: Sequence[int] | None) -> None:
        ids = range(1, len(self.class_names) + 1) if ids is None else ids
        if len(ids) != len(self.class_names):
            raise LabkitError(
                f"{type(self).__name__}: {len(ids)} category_ids for {len(self.class_names)} "
                "classes; give one for each, in the order of class_names."
            )
        self._category_ids = tuple(int(i) for i in ids)

    def get_config(self):
        return {
            "config": self.config.to_dict(),
            "class_names": list(self.class_names),
            "category_ids": list(self.category_ids),
        }

    @classmethod
    def from_config(cls, values):
        entry = next(e for e in DETECTORS.values() if issubclass(cls, e.model_class))
        config = entry.config_class.from_dict(values["config"])
        # files of an older labkit do not hold the ids
        return cls(config, values["class_names"], values.get("category_ids"))

    @classmethod
    def from_pretrained(cls, source, class_names=None, config=None, verbose=True) -> "Detector":
        """A model with published or saved weights: a name, a run's folder or a file.

        MaskRCNN.from_pretrained("coco-r50-fpn")                         COCO's classes
        MaskRCNN.from_pretrained("coco-r50-fpn", class_names=["dog", "tooth"])  to fine-tune

        Classes of the same name as the weights' keep their rows ("dog"); the others start anew.
        `labkit info --pretrained` lists the names. See `labkit.weights.pretrained` for the rest.

        Raises:
            LabkitError: there are no such weights, or they are of another kind of detector.
        """
        from labkit.weights.pretrained import from_pretrained

        model = from_pretrained(source, class_names, config, verbose)
        if not isinstance(model, cls):
            raise LabkitError(
                f"{cls.__name__}.from_pretrained: {source} is a {type(model).__name__}; call "
                f"{type(model).__name__}.from_pretrained."
            )
        return model

    # --- detection ------------------------------------------------------------------------

    def normalise(self, images: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
        """Images as the backbone wants them: float32, mean colour 0, deviation 1.

        Args:
            images: [B, H, W, 3] in 0..255.
            image_sizes: [B, 2]; what lies beyond is padding.
        """
        x = (tf.cast(images, tf.float32) - self.config.image_mean) / self.config.image_std
        if self.config.resize == "square":  # black before normalisation, as in Matterport's
            return x
        rows = tf.sequence_mask(tf.cast(image_sizes[:, 0], tf.int32), tf.shape(x)[1])
        columns = tf.sequence_mask(tf.cast(image_sizes[:, 1], tf.int32), tf.shape(x)[2])
        # Padding is zero *after* normalisation, as in torchvision: it looks like the mean colour.
        return tf.where((rows[:, :, None] & columns[:, None, :])[..., None], x, 0.0)

    def anchors(self, images: tf.Tensor, maps: list[tf.Tensor]) -> list[tf.Tensor]:
        """The anchors of each level, [A, 4] in pixels of the padded image."""
        c = self.config
        return pyramid_anchors(
            height_width(images),
            [height_width(m) for m in maps],
            c.anchor_sizes,
            c.anchor_ratios,
            c.anchor_rounding,
            c.anchor_offset,
            c.square_anchors,
            c.anchor_strides if c.anchor_strides != "level" else c.strides,
        )

    def detect(
        self,
        images,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int | None = None,
        batch_size: int = 8,
    ) -> Detections | list[Detections]:
        """Find the objects in an image, or in each of a list of images of any sizes.

        Args:
            images: paths, PIL images or arrays (grey, RGB or RGBA; 8 or 16 bit), or one of them.
            score_threshold: leave out what is below; by default the config's, like the next two.
            nms_iou: boxes of a class with a higher IoU suppress one another.
            max_detections: how many objects of an image are kept.
            batch_size: images of the same size share a batch of at most so many.

        Returns:
            Detections in the coordinates of the original image, best score first; a list for a
            list.

        Raises:
            LabkitError: an image cannot be read, and the message names it; or an option is out of
                its range.
        """
        return detect_images(self, images, score_threshold, nms_iou, max_detections, batch_size)

    def export(self, filepath, format="tf_saved_model", **options):
        """Write the network for programs without labkit; see `keras.Model.export`.

        Without an input_signature it takes images of any number and size: [B, H, W, 3] in 0..255,
        sides a multiple of 32. What it returns is `call`'s.
        """
        if format == "tf_saved_model":
            anything = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
            options.setdefault("input_signature", [anything])
        return super().export(filepath, format=format, **options)

    def call(self, images, training=False):
        """Padded detections of images [B, H, W, 3] (0..255, sides a multiple of 32): a dict."""
        sides = [side for side in images.shape[1:3] if side is not None]
        if self.config.canvas_multiple > 1 and any(side % 32 for side in sides):
            raise LabkitError(
                f"{type(self).__name__}: images of {' x '.join(map(str, sides))} pixels; called as "
                "a function it takes sides that are multiples of 32. detect() takes any image."
            )
        size = tf.cast(tf.shape(images)[1:3], tf.float32)
        result = self.detect_in_batch(images, tf.tile(size[None], [tf.shape(images)[0], 1]))
        return {k: result[k] for k in FOUND}


def _checked_names(class_names) -> tuple[str, ...]:
    if isinstance(class_names, str):
        raise LabkitError(f"class_names must be a list of names, got the string '{class_names}'.")
    if not isinstance(class_names, Iterable):
        raise LabkitError(f"class_names must be a list of names, got {class_names!r}.")
    names = tuple(str(n) for n in class_names)
    if not names:
        raise LabkitError("class_names is empty: a model needs one class besides background.")
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise LabkitError(f"class_names holds {twice[0]!r} twice: give every class its own name.")
    return names


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Within the block, initialisers draw by `seed`, and nobody else's random numbers change.

    Keras draws the seeds of its initialisers from Python's generator.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
