"""check("iou", my_iou): tries a learner's function on hidden cases and says what is wrong.

Three questions in order: does it run; is it right on every case; and if not, does it answer as one
of the known mistakes does? The last is how a hint can be to the point without a look at the code.
"""

from collections import Counter
from dataclasses import dataclass
from html import escape

from labkit.course import progress
from labkit.course.compare import as_arrays, difference, same
from labkit.course.exercise import Exercise
from labkit.course.exercises import find
from labkit.course.safe_call import call


@dataclass(frozen=True)
class Verdict:
    """What `check` has to say: whether it is right, a sentence, and a hint where there is one."""

    name: str
    passed: bool
    message: str
    hint: str = ""

    def __str__(self) -> str:
        mark = "✓ right" if self.passed else "✗ not yet"
        return f"{mark}: {self.message}" + (f"\n  Hint: {self.hint}" if self.hint else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        color, mark = ("#0072B2", "✓ right") if self.passed else ("#D55E00", "✗ not yet")
        hint = f"<br><em>Hint:</em> {_code(self.hint)}" if self.hint else ""
        return (
            f'<div style="border-left:5px solid {color};padding:4px 12px;max-width:80ch">'
            f"<strong>{mark}</strong> · {_code(self.message)}{hint}</div>"
        )


def check(name: str, function, seconds: float = 10.0) -> Verdict:
    """Is `function` a right answer to the exercise? A Verdict, which a notebook shows.

    Args:
        name: the exercise's, as in the notebook; an unknown one raises LabkitError with those near.
        function: the learner's; it is given copies, so it cannot spoil anything by writing to them.
        seconds: how long one call may take.

    Passing is noted in the learner's own progress file (see `labkit.course.progress`).
    """
    exercise = find(name)
    if not callable(function):
        verdict = Verdict(
            name,
            False,
            f"check wants your function itself, `check({name!r}, "
            f"your_function)`, and got {_kind(function)}.",
        )
    else:
        verdict = _judge(exercise, function, seconds)
    if verdict.passed:
        progress.note(exercise)
    return verdict


def hint(name: str, step: int = 1) -> None:
    """Prints the first, second, ... hint of an exercise; each gives away a little more."""
    hints = find(name).hints
    step = min(max(int(step), 1), len(hints))
    more = f"  (hint({name!r}, {step + 1}) says more)" if step < len(hints) else ""
    print(f"Hint {step} of {len(hints)}: {hints[step - 1]}{more}")


def _judge(exercise: Exercise, function, seconds: float) -> Verdict:
    cases = exercise.all_cases()
    right, wrong, answers = Counter(), {}, []
    for case in cases:
        outcome = call(function, case.args, seconds)
        problem = outcome.error or difference(
            outcome.value, exercise.reference(*case.args), exercise.tolerance
        )
        answers.append(outcome)
        if problem:
            wrong.setdefault(case.kind, problem)
        else:
            right[case.kind] += 1
        if outcome.error and "not finished" in outcome.error:
            break  # one endless loop is enough to wait for
    if not wrong:
        return Verdict(exercise.name, True, f"all {len(cases)} hidden cases agree with labkit.")
    hint = _known_mistake(exercise, cases, answers) or _hint_of(exercise, right, wrong)
    return Verdict(exercise.name, False, _sentence(right, wrong), hint)


def _sentence(right: Counter, wrong: dict[str, str]) -> str:
    good = [kind for kind in right if kind not in wrong]
    kind, problem = next(iter(wrong.items()))
    others = f" (and for {len(wrong) - 1} more kinds of input)" if len(wrong) > 1 else ""
    start = f"right for {', '.join(good)}; " if good else ""
    return f"{start}for {kind}, {problem}{others}."


def _known_mistake(exercise: Exercise, cases, answers) -> str:
    """The hint of the first mistake that answers as the learner did on every case."""
    for mistake in exercise.mistakes:
        if len(answers) == len(cases) and all(
            _alike(call(mistake.wrong, case.args), answer, exercise.tolerance)
            for case, answer in zip(cases, answers, strict=True)
        ):
            return mistake.hint
    return ""


def _alike(a, b, tolerance: float) -> bool:
    if a.error or b.error:
        return bool(a.error) and bool(b.error)
    if a.value is None or b.value is None:
        return a.value is b.value
    return as_arrays(b.value) is not None and same(a.value, b.value, tolerance)


def _hint_of(exercise: Exercise, right: Counter, wrong: dict[str, str]) -> str:
    # Where nothing is right yet, a word about a special case would only lead astray.
    for kind in wrong if right else ():
        if kind in exercise.kinds:
            return exercise.kinds[kind]
    return f'`hint("{exercise.name}")` gives you a first push.'


def _kind(value) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__name__}"


def _code(text: str) -> str:
    """Text as HTML, with `code` between backticks; everything else is escaped."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
