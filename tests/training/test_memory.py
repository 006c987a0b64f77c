"""What is left in memory when a training has ended."""

import gc

import keras
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.one_replica import one_replica
from labkit.training import TrainSettings, train


def graphs() -> set[int]:
    """The graphs of training steps that are alive."""
    gc.collect()
    alive = (o for o in gc.get_objects() if type(o).__name__ == "FuncGraph")
    return {id(graph) for graph in alive if graph.name == "one_step_on_data"}


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_training_leaves_no_graph_behind(micro_config, tmp_path, precision):
    data, before = shapes(4, 64, seed=0), graphs()
    settings = TrainSettings(
        steps=1, batch_size=2, canvas=(64, 64), warmup_steps=0, precision=precision
    )
    train(MaskRCNN(micro_config, data.class_names), data, tmp_path, settings, verbose=False)
    assert graphs() <= before


def test_an_optimizer_is_itself_again_afterwards():
    variable = keras.Variable(tf.ones(2))
    for optimizer in (
        keras.optimizers.SGD(1.0),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)),
    ):
        names = set(vars(optimizer))
        with one_replica(optimizer):
            optimizer.apply([optimizer.scale_loss(tf.ones(2))], [variable])
        assert not [name for name in set(vars(optimizer)) - names if "reduce" in name]
    assert variable.numpy().tolist() == [-1, -1]
