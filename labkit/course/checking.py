"""check("iou", my_iou): tests a learner's function on hidden cases and says what is wrong.

It tests in this order: does the function run; is it right on every case; and if not, are its
answers those of a known mistake? That is how a hint can be specific without reading the code. A
design task has many right answers: there the outcome is measured.
"""

from collections import Counter
from dataclasses import dataclass
from html import escape

from labkit.course import progress
from labkit.course.compare import as_arrays, difference, same
from labkit.course.design import Design
from labkit.course.exercise import Exercise
from labkit.course.exercises import find
from labkit.course.safe_call import call
from labkit.course.swaps import labkits_own


@dataclass(frozen=True)
class Verdict:
    """The result of `check`: whether the answer is right, a sentence, and perhaps a hint."""

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


def check(name: str, answer, seconds: float = 10.0) -> Verdict:
    """Tests whether an answer solves an exercise.

    A solved exercise is noted in the learner's own progress file (see `labkit.course.progress`).

    Args:
        name: of the exercise, as in the notebook.
        answer: the learner's function; it gets copies, so it may write to its arguments. For a
            design task, what the notebook asks for.
        seconds: how long one call of a function may take.

    Returns:
        A Verdict, which a notebook shows.

    Raises:
        LabkitError: there is no such exercise; the message has similar names.
    """
    exercise = find(name)
    with labkits_own():
        if isinstance(exercise, Design):
            verdict = _judge_design(exercise, answer)
        elif callable(answer):
            verdict = _judge(exercise, answer, seconds)
        else:
            wanted = f"check wants your function itself, `check({name!r}, your_function)`"
            verdict = Verdict(name, False, f"{wanted}, and got {_kind(answer)}.")
    if verdict.passed:
        progress.note(exercise)
    return verdict


def hint(name: str, step: int = 1) -> None:
    """Prints the first, second, ... hint of an exercise; each tells a little more."""
    hints = find(name).hints
    step = min(max(int(step), 1), len(hints))
    more = f"  (hint({name!r}, {step + 1}) says more)" if step < len(hints) else ""
    print(f"Hint {step} of {len(hints)}: {hints[step - 1]}{more}")


def _judge_design(design: Design, answer) -> Verdict:
    try:
        judgement = design.judge(answer)
    except ValueError as error:
        return Verdict(design.name, False, f"{error}; got {_kind(answer)}.")
    return Verdict(design.name, judgement.passed, judgement.message, judgement.hint)


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
            break  # do not wait for the same endless loop again
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
    """The hint of the first mistake with the same answers as the learner's in every case."""
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
    # While nothing is right yet, a hint about a special case would only mislead.
    for kind in wrong if right else ():
        if kind in exercise.kinds:
            return exercise.kinds[kind]
    return f'`hint("{exercise.name}")` gives you a first push.'


def _kind(value) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__name__}"


def _code(text: str) -> str:
    """The text as HTML: escaped, with <code> for what is between backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
