"""A pickle read as data: nothing it names is imported, called or built.

A pickle is a program for a small stack machine, and `pickle.load` runs it: GLOBAL imports any
object by name, REDUCE calls it, BUILD sets attributes on the result or calls its `__setstate__`. A
file of weights needs very little of that: numbers, strings, containers, and a few calls whose
meaning is known in advance.

Python's own `Unpickler` with a strict `find_class` would be shorter, but is less safe than it
looks: it still calls whatever callable is on the stack, BUILD still sets attributes, by name, on
any object that the file can reach (our stand-ins, their classes), and one LONG_BINPUT with a large
number makes its memo grow to gigabytes. So this module has its own stack machine:

* `pickletools.genops` splits the bytes into opcodes and arguments and runs nothing;
* only the opcodes in `_STEPS` are allowed: INST, OBJ, the EXT family, NEWOBJ_EX and all others that
  a file of weights does not need are refused;
* GLOBAL puts a name on the stack, never an object. Only names that the caller has a function for
  are accepted, and REDUCE calls that function of the caller's;
* the key of a dict is a plain scalar: hashing tuples nested a million deep would overflow C's
  stack;
* the number of opcodes is limited, because some of them turn one byte into a hundred in memory.

Nothing here recurses over the contents of the file, so deep nesting does no harm either.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from labkit.errors import LabkitError

#: A checkpoint of a large detector with its optimizer has about 50 000 opcodes.
MAX_OPCODES = 2_000_000


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name that a pickle asks for and the caller knows: the name alone, no object."""

    dotted: str


class Stateful:
    """What a function of the caller's may return to be told the state that BUILD brings."""

    def set_state(self, state: Any) -> None:
        """Take the state, any value that this reader makes; raise `Malformed` for a wrong one."""
        raise NotImplementedError


class Malformed(ValueError):
    """Something is wrong with the data; the caller adds the file's name and what to do."""


def read_pickle(
    stream: BinaryIO,
    label: str,
    functions: Mapping[str, Callable | None],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Read one pickle from the stream's position, and leave the stream after its last byte.

    Args:
        stream: has `read` and `readline`, and never allocates more than it holds: a `BytesIO` or
            an `mmap`, but not an open file, which would try to allocate for `read(2**60)`.
        label: what to call the file in an error.
        functions: by dotted name, the function to call instead. It gets the tuple of the call's
            arguments, of any length and of any values that this reader makes. None marks a name
            that may be passed on but not called.
        persistent: turns a persistent id into the value that takes its place.

    Returns:
        None, bool, int, float, str, bytes, tuple, list, dict, `Name`, or what the two functions
        return.

    Raises:
        LabkitError: the pickle asks for something that is not in `functions`; the message has its
            name.
        Malformed: it is truncated, or not a valid pickle of such values.
    """
    machine = _Machine(label, functions, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == MAX_OPCODES:
                raise Malformed(f"more than {MAX_OPCODES:,} instructions")
            if opcode.name == "STOP":
                return machine.pop()
            step = _STEPS.get(opcode.name)
            if step is None:
                more = f" {argument[:80]}" if isinstance(argument, str) else ""
                raise LabkitError(_refusal(label, opcode.name + more))
            step(machine, argument)
    except (LabkitError, Malformed):
        raise
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        # bytes that are no pickle (from genops); an empty stack; a memo entry never filled
        raise Malformed(f"{type(error).__name__} in its pickle") from error
    raise Malformed("a pickle without an end")


def _refusal(label: str, asked: str) -> str:
    return (
        f"{label} asks for {shown(asked)}, which no file of weights needs, so it was not read any "
        "further: do not open it with anything else unless you trust its author; of a model of "
        "your own save the tensors alone, torch.save(model.state_dict(), file)."
    )


def shown(text: Any) -> str:
    """A name from a file, fit for an error message: ASCII, one line, at most 80 characters."""
    safe = text[:81] if isinstance(text, str) else repr(text)
    safe = safe.encode("ascii", "backslashreplace").decode()
    safe = "".join(c if c.isprintable() else "?" for c in safe)
    return safe if len(safe) <= 80 else safe[:77] + "..."


@dataclass
class _Machine:
    """The stack, the stacks set aside by MARK, and the memo."""

    label: str
    functions: Mapping[str, Callable | None]
    persistent: Callable[[Any], Any] | None
    stack: list = field(default_factory=list)
    marked: list[list] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self, kind: type | tuple[type, ...] = object) -> Any:
        value = self.stack.pop()
        if not isinstance(value, kind):
            raise Malformed(f"a {type(value).__name__} in a wrong place")
        return value

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise Malformed(f"a {type(self.stack[-1]).__name__} in a wrong place")
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def since_mark(self) -> list:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def name(self, dotted: str) -> None:
        if dotted not in self.functions:
            raise LabkitError(_refusal(self.label, dotted))
        self.push(Name(dotted))

    def global_(self, argument: str) -> None:
        self.name(argument.replace(" ", ".", 1))

    def stack_global(self, _) -> None:
        last, module = self.pop(str), self.pop(str)
        self.name(f"{module}.{last}")

    def call(self, _) -> None:
        arguments, called = self.pop(tuple), self.pop(Name)
        function = self.functions[called.dotted]
        if function is None:
            raise LabkitError(_refusal(self.label, called.dotted))
        self.push(function(arguments))

    def build(self, _) -> None:
        if isinstance(self.stack[-2], Stateful):
            state = self.stack.pop()
            self.stack[-1].set_state(state)
            return
        # Attributes of a container besides its items, which hold no tensors and are dropped: a
        # state_dict's `_metadata` (versions of torch's modules), an argparse.Namespace's fields.
        self.pop()
        self.top(dict)

    def persist(self, _) -> None:
        if self.persistent is None:
            raise Malformed("a persistent id where none can be")
        self.push(self.persistent(self.pop()))

    def tuple_of(self, count: int) -> None:
        if count > len(self.stack):
            raise Malformed("a tuple of values that are not there")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        self.push(tuple(items))

    def append(self, items: list) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list) -> None:
        fill(self.top(dict), items)

    def memoize(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]


def fill(target: dict, items: list) -> dict:
    """Put [key, value, key, value, ...] into a dict.

    Raises:
        Malformed: a key has no value, is not a plain scalar, or occurs twice.
    """
    if len(items) % 2:
        raise Malformed("a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int | float | None):
            raise Malformed(f"a {type(key).__name__} as the key of a dict")
        if key in target:
            raise Malformed(f"the key {shown(key)} twice")
        target[key] = value
    return target


def mapping(arguments: tuple) -> dict:
    """A plain dict for OrderedDict(), OrderedDict(pairs) as Python 2 wrote it, or Counter(dict)."""
    match arguments:
        case ():
            return {}
        case (dict(items),):
            return dict(items)
        case (list(pairs),) if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
            return fill({}, [part for pair in pairs for part in pair])
    raise Malformed("a container made in an unknown way")


def _last_two(machine: _Machine) -> list:
    value, key = machine.pop(), machine.pop()
    return [key, value]


_LITERALS = (
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
)

# What each opcode does, as a function of the machine and the opcode's argument.
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    **dict.fromkeys(_LITERALS, _Machine.push),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": _Machine.mark,
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "APPEND": lambda m, _: m.append([m.pop()]),
    "APPENDS": lambda m, _: m.append(m.since_mark()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "SETITEM": lambda m, _: m.set_items(_last_two(m)),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persist,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "MEMOIZE": lambda m, _: m.memoize(None),
    "BINGET": lambda m, index: m.push(m.memo[index]),
    "LONG_BINGET": lambda m, index: m.push(m.memo[index]),
}
