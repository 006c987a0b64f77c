"""Paths in Keras' own files are those that Keras itself writes, whatever a model is made of."""

import keras
import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.weights import labkit_layout
from labkit.weights.files import read_tensors


def head(name: str, shared=None) -> keras.Model:
    x = inputs = keras.Input((3,))
    for _ in range(2):
        x = keras.layers.Dense(3)(x)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(inputs, shared(x) if shared is not None else x, name=name)


@keras.saving.register_keras_serializable("labkit_tests")
class Odd(keras.Model):
    """Parts before and after "layers" in the alphabet, in a list, in each other; a shared layer; a
    weight of the model's own; a frozen part, and a layer with a seed."""

    def __init__(self):
        super().__init__()
        shared = keras.layers.Dense(3)
        self.zoom = head("zoom", shared)
        self.body = head("body", shared)
        self.body.trainable = False
        self.many = [head("many_0", head("within")), head("many_1", keras.layers.Dropout(0.5))]
        self.own = self.add_weight(shape=(3,), name="own")
        self.mean = keras.metrics.Mean()
        self.built = True


@pytest.fixture
def odd():
    model, rng = Odd(), np.random.default_rng(2)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    return model


@pytest.mark.parametrize("compiled", [False, True])
def test_every_weight_has_the_path_where_keras_saves_it(odd, compiled, tmp_path):
    if compiled:
        odd.compile(optimizer="adam")
        odd.optimizer.build(odd.trainable_variables)
    found = list(labkit_layout.pairs(odd))
    odd.save_weights(tmp_path / "odd.weights.h5")
    tensors = read_tensors(tmp_path / "odd.weights.h5")
    assert labkit_layout.recognises(tensors)
    assert [id(p.variable) for p in found] == [id(v) for v in odd.weights]
    assert len({p.name for p in found}) == len(found) == 5 * 8 + 2 + 1
    for pair in found:
        np.testing.assert_array_equal(tensors[pair.name], pair.variable, pair.name)


def test_asking_changes_nothing(odd, monkeypatch):
    before = [v.numpy() for v in odd.weights]
    list(labkit_layout.pairs(odd))
    monkeypatch.setattr(Odd, "save_weights", lambda self, path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(labkit_layout.pairs(odd))
    for layer in (odd, odd.zoom, *odd.zoom.layers, *odd.many[0].layers):
        assert "save_own_variables" not in vars(layer)
    for variable, value in zip(odd.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


class Wrapped(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(2)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


def test_a_layer_hidden_in_a_layer_is_not_passed_over():
    model = keras.Sequential([keras.Input((2,)), Wrapped()])
    with pytest.raises(LabkitError, match="kernel .* model.load_weights"):
        list(labkit_layout.pairs(model))


@pytest.mark.parametrize("name", ["conv1/conv1/kernel:0", "backbone.body.conv1.weight", "myvars/0"])
def test_other_programs_names_are_no_paths_of_keras(name):
    assert not labkit_layout.recognises({name: np.zeros(1)})
