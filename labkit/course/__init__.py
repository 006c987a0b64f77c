"""What only the notebooks need: exercises that check themselves, hints, progress, a trained model.

    checking        check and hint: a learner's function against hidden cases
    compare         whether two answers are equal, and if not, the first difference
    safe_call       calls a function that may crash, print or never return
    exercise        Task, Exercise, Case, Mistake
    design          Design, Judgement: tasks of which the outcome is judged
    exercises/      the exercises, one file a subject
    own_functions   use: a learner's function takes the place of labkit's
    adapters        ... as a TensorFlow function of labkit's signature
    swaps           ... in every module that calls it
    progress        which exercises a learner has solved
    model           trained_model: a network for the notebooks that need one
    sabotage        sabotaged: three trainings that go wrong, for notebook 05
    notebooks       runs notebooks from a clean kernel, or copies them without solutions
    solutions       what a notebook asks, and the solutions in it
    grading         an nbgrader assignment from the notebooks
    web/            the notebooks as web pages, with a search and the reference, and as slides
    prose_numbers   checks that the numbers in a notebook's text occur in its code or outputs

Each name is imported from its module when first used: running a notebook
(`labkit.course.notebooks`) needs no TensorFlow in the process that only waits for its kernel.
"""

import importlib

_WHERE = {
    "checking": ("Verdict", "check", "hint"),
    "model": ("trained_model",),
    "progress": ("show_progress",),
    "sabotage": ("sabotaged",),
    "own_functions": ("use", "used"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'labkit.course' has no attribute '{name}'")
    return getattr(importlib.import_module(f"labkit.course.{_MODULE_OF[name]}"), name)
