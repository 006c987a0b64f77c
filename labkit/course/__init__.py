"""What only the notebooks need: exercises that check themselves, hints, progress, a trained model.

Each is found in the module it is listed under, and imported when first used: running a notebook
(`labkit.course.notebooks`) needs no TensorFlow in the process that only waits for its kernel.
"""

import importlib

_WHERE = {
    "checking": ("Verdict", "check", "hint"),
    "model": ("trained_model",),
    "progress": ("show_progress",),
    "sabotage": ("sabotaged",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'labkit.course' has no attribute '{name}'")
    return getattr(importlib.import_module(f"labkit.course.{_MODULE_OF[name]}"), name)
