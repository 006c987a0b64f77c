"""Which of the maps C2..C5 a layer of a backbone belongs to, and freezing those below one."""

import weakref

import keras


def levels(backbone: keras.Model) -> dict[str, str]:
    """Layer name -> the first of C2..C5 that it leads to: by the graph, whatever the names are."""
    if backbone not in _LEVELS:
        found: dict[str, str] = {}
        for number, output in enumerate(backbone.outputs, 2):
            for layer in keras.Model(backbone.inputs, output).layers:
                found.setdefault(layer.name, f"C{number}")
        _LEVELS[backbone] = found
    return _LEVELS[backbone]


_LEVELS = weakref.WeakKeyDictionary()  # of every backbone seen: a ResNet's takes a second


def freeze_up_to(backbone: keras.Model, level: int) -> None:
    """Freeze the layers that lead to the maps up to C`level`; below 2 there are none."""
    if level < 2:
        return
    frozen = {f"C{number}" for number in range(2, level + 1)}
    for name, of in levels(backbone).items():
        if of in frozen:
            backbone.get_layer(name).trainable = False
