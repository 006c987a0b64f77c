"""A design task of notebook 05: a schedule of the learning rate, judged by what it trains."""

from collections.abc import Callable

import numpy as np

from labkit.course.design import Design, Judgement
from labkit.course.safe_call import call

NOTEBOOK = "05_training"
STEPS = 200
MOMENTUM = 0.9
ENOUGH = 0.02  # of the loss at the start
SEEDS = range(5)

# A loss with what makes schedules necessary: in some directions it is thousands of times as steep
# as in others, at the start it is twenty times as steep as later, and its gradients are noisy.
STEEPNESS = np.geomspace(0.0003, 1.0, 20)
EARLY, EARLY_STEPS = 20.0, 15
NOISE = 0.5


def losses_of(schedule: Callable[[int], float], seed: int) -> np.ndarray:
    """The loss after each step of a training with SGD and momentum: float64 [STEPS + 1]."""
    rng = np.random.default_rng(seed)
    # Every direction has the same share of the loss at the start.
    weights = rng.normal(0, 3, len(STEEPNESS)) / np.sqrt(STEEPNESS)
    velocity = np.zeros(len(STEEPNESS))
    losses = [0.5 * (STEEPNESS * weights**2).sum()]
    for step in range(STEPS):
        steep = STEEPNESS * (1 + (EARLY - 1) * np.exp(-step / EARLY_STEPS))
        gradient = steep * weights + rng.normal(0, NOISE, len(weights)) * np.sqrt(STEEPNESS)
        velocity = MOMENTUM * velocity - schedule(step) * gradient
        weights = np.clip(weights + velocity, -1e9, 1e9)  # as far as it diverges
        losses.append(0.5 * (STEEPNESS * weights**2).sum())
    return np.array(losses)


def judge(answer) -> Judgement:
    """What is left of the loss at the end, and whether it grew on the way."""
    rates = _rates(answer)
    runs = np.array([losses_of(rates.__getitem__, seed) for seed in SEEDS])
    runs /= runs[:, :1]
    end, highest = float(np.median(runs[:, -20:])), float(np.median(runs.max(axis=1)))
    message = f"after {STEPS} steps {end:.1%} of the loss is left"
    if highest > 10:
        return Judgement(
            False,
            f"the loss diverges: it grows to {highest:.0e} times its start.",
            f"your rate is {rates[:10].max():.2g} within the first ten steps and {rates.max():.2g} "
            "at its highest. Is it the start that cannot bear it, or all of the training?",
        )
    if end <= ENOUGH:
        return Judgement(True, f"{message}; {ENOUGH:.0%} were asked for.")
    return Judgement(False, f"{message}, and {ENOUGH:.0%} are asked for.", _hint(rates, runs))


def _rates(answer) -> np.ndarray:
    if not callable(answer):
        raise ValueError("give a function of the step that returns the learning rate")
    outcome = call(lambda: [float(answer(step)) for step in range(STEPS)], ())
    if outcome.error:
        raise ValueError(f"your function fails: {outcome.error}")
    rates = np.array(outcome.value)
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise ValueError("your function returns a rate that is negative or not finite")
    return rates


def _hint(rates: np.ndarray, runs: np.ndarray) -> str:
    middle, last = np.median(runs[:, STEPS // 2]), np.median(runs[:, -20:])
    if last > 5 * ENOUGH:
        return "the flat directions are not learnt yet: they need a higher rate or more steps."
    if rates[-20:].mean() > 0.2 * rates.max():
        return "near the end the loss jumps about: the noise of the gradients, times the rate."
    if last < 0.7 * middle:
        return "it was still falling at the end: a higher rate would have brought it further."
    return "the rate fell before the flat directions were learnt: keep it high for longer."


SCHEDULE = Design(
    name="schedule",
    notebook=NOTEBOOK,
    title="Design: a schedule that trains",
    judge=judge,
    hints=(
        "Try constant rates first, each ten times the last. Which one diverges, and how far does "
        "the one below it get?",
        "At the start the loss is twenty times as steep: begin with a small rate and raise it.",
        "A warm-up of some 50 steps to a rate that would diverge at the start, then a cosine to 0.",
    ),
)

DESIGNS = (SCHEDULE,)
