"""A pickle read as data gives what pickle gives for plain values, and nothing else ever happens."""

import io
import os
import pickle
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.weights import inert_pickle
from labkit.weights.inert_pickle import Malformed, Name, read_pickle, shown


def read(data: bytes, functions=None, persistent=None):
    return read_pickle(io.BytesIO(data), "file.pth", functions or {}, persistent)


# ---------------------------------------------------------------- what it reads

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(values, st.sampled_from([2, 3, 4, 5]))
def test_plain_values_are_what_pickle_gives(value, protocol):
    data = pickle.dumps(value, protocol)
    assert read(data) == pickle.loads(data)


def test_shared_values_stay_shared():
    inner = [1]
    first, second = read(pickle.dumps([inner, inner]))
    assert first is second


def test_a_list_that_holds_itself_ends():
    loop = []
    loop.append(loop)
    found = read(pickle.dumps(loop))
    assert found[0] is found


def test_a_stream_is_left_behind_the_pickle():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps([2]) + b"rest")
    assert read_pickle(stream, "f", {}) == 1
    assert read_pickle(stream, "f", {}) == [2]
    assert stream.read() == b"rest"


def test_a_known_name_is_called_with_its_arguments_and_no_more():
    data = b"\x80\x02cmath\nfloor\nK\x05K\x06\x86R."
    assert read(data, {"math.floor": lambda arguments: ("called", arguments)}) == ("called", (5, 6))
    assert read(b"\x80\x02cmath\nfloor\n.", {"math.floor": None}) == Name("math.floor")


def test_a_persistent_id_becomes_what_the_caller_says():
    assert read(b"\x80\x02K\x05Q.", persistent=lambda pid: pid * 2) == 10


# ---------------------------------------------------------------- what it refuses


class Touch:
    """Unpickled by pickle, this makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_call_is_refused_by_name_and_never_made(tmp_path, protocol):
    data = pickle.dumps({"weights": [1.0], "more": [(Touch(tmp_path / "made"),)]}, protocol)
    with pytest.raises((LabkitError, Malformed)) as caught:
        read(data)
    assert not (tmp_path / "made").exists()
    if protocol >= 2:
        assert "file.pth" in str(caught.value) and "posix.mkdir" in str(caught.value)
    pickle.loads(data)  # the payload is a live one
    assert (tmp_path / "made").exists()


PAYLOADS = {
    "GLOBAL and REDUCE": (b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "os.system"),
    "STACK_GLOBAL": (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "builtins.eval"),
    "getattr": (b"\x80\x02c__builtin__\ngetattr\n.", "__builtin__.getattr"),
    "dotted": (b"\x80\x04\x8c\x02os\x8c\x0bpath.exists\x93.", "os.path.exists"),
    "INST": (b"(X\x04\x00\x00\x00trueios\nsystem\n.", "INST os system"),
    "OBJ": (b"(cos\nsystem\nX\x04\x00\x00\x00trueo.", "os.system"),
    "OBJ alone": (b"(K\x01K\x02o.", "OBJ"),
    "NEWOBJ_EX": (b"\x80\x04NN}\x92.", "NEWOBJ_EX"),
    "EXT1": (b"\x80\x02\x82\x01.", "EXT1"),
    "EXT2": (b"\x80\x02\x83\x01\x00.", "EXT2"),
    "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    "PERSID": (b"Pos\n.", "PERSID os"),
    "NEXT_BUFFER": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "BYTEARRAY8": (b"\x80\x05\x96" + bytes(8) + b".", "BYTEARRAY8"),
    "a set": (b"\x80\x04\x8f.", "EMPTY_SET"),
    "terminal codes": (b"\x80\x02c\x1b[31m\nx\n.", "?[31m.x"),
    "no ASCII": (b"\x80\x04\x8c\x02os\x8c\x03\xe2\x80\xae\x93.", "os.\\u202e"),
}


@pytest.mark.parametrize("data, asked", PAYLOADS.values(), ids=PAYLOADS)
def test_what_is_not_in_the_list_is_refused_by_name(data, asked):
    with pytest.raises(LabkitError) as caught:
        read(data)
    assert str(caught.value).startswith("file.pth asks for ") and asked in str(caught.value)
    assert str(caught.value).isascii() and "\x1b" not in str(caught.value)


def test_build_touches_no_object():
    made = []
    functions = {"torch.f": lambda arguments: made.append(arguments) or object()}
    with pytest.raises(Malformed):
        read(b"\x80\x02ctorch\nf\n)R}X\x09\x00\x00\x00__class__K\x01sb.", functions)
    assert made == [()]
    with pytest.raises(Malformed):  # nor a name
        read(b"\x80\x02ctorch\nf\n}X\x01\x00\x00\x00aK\x01sb.", functions)


def test_only_names_are_called():
    with pytest.raises(Malformed):
        read(b"\x80\x02X\x01\x00\x00\x00a)R.")
    with pytest.raises(LabkitError, match="torch.float32"):  # known, but only to be passed on
        read(b"\x80\x02ctorch\nfloat32\n)R.", {"torch.float32": None})


BROKEN = {
    "empty": b"",
    "no opcode": b"\x80\x02\xff",
    "no end": b"\x80\x02K\x01",
    "empty stack": b"\x80\x02.",
    "nothing to call": b"\x80\x02R.",
    "nothing to build": b"\x80\x02}b.",
    "memo never filled": b"\x80\x02h\x07.",
    "memo of nothing": b"\x80\x02q\x01.",
    "mark missing": b"\x80\x02t.",
    "tuple of too many": b"\x80\x02K\x01\x87.",
    "append to a dict": b"\x80\x02}K\x01a.",
    "item of a list": b"\x80\x02]K\x01K\x02s.",
    "key without value": b"\x80\x02}(K\x01u.",
    "key twice": b"\x80\x02}(K\x01K\x02K\x01K\x03u.",
    "key that is a list": b"\x80\x02}]K\x01s.",
    "key that is a tuple": b"\x80\x02})K\x01s.",
    "module that is no text": b"\x80\x04K\x01K\x02\x93.",
    "persistent id": b"\x80\x02K\x01Q.",
    "text that is no UTF-8": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "text longer than the file": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc.",
    "negative length": b"\x80\x02T\xff\xff\xff\xffabc.",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_pickle_is_malformed(data):
    with pytest.raises(Malformed):
        read(data)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"(", b"]("]))
def test_any_bytes_are_read_or_refused(data, start):
    try:
        read(start + data, {"a.b": len}, persistent=lambda pid: None)
    except (LabkitError, Malformed):
        pass


# ---------------------------------------------------------------- bombs


def test_depth_does_no_harm():
    deep = read(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    assert isinstance(deep, list)
    deep = read(b"\x80\x02)" + b"\x85" * 200_000 + b".")
    assert isinstance(deep, tuple)
    with pytest.raises(Malformed):  # hashing it would overflow the stack
        read(b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.")


def test_a_large_memo_index_takes_no_memory():
    tracemalloc.start()
    assert read(b"\x80\x02K\x01r\xff\xff\xff\xff0".replace(b"0", b".")) == 1
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_the_number_of_instructions_is_limited(monkeypatch):
    monkeypatch.setattr(inert_pickle, "MAX_OPCODES", 10)
    assert read(b"\x80\x02" + b"]" * 8 + b".") == []
    with pytest.raises(Malformed, match="instructions"):
        read(b"\x80\x02" + b"]" * 9 + b".")


@pytest.mark.parametrize(
    "key, shown_as",
    [(b"X\x01\x00\x00\x00a", "the key a"), (b"\x8a\xff" + b"\x7f" * 255, r"\.\.\.")],
)
def test_a_key_twice_is_named_in_a_short_message(key, shown_as):
    with pytest.raises(Malformed, match=f"{shown_as} twice") as caught:
        read(b"\x80\x02}(" + (key + b"K\x01") * 2 + b"u.")
    assert len(str(caught.value)) < 120


@given(st.text(max_size=200))
def test_names_are_shown_on_one_short_line_of_ascii(text):
    safe = shown(text)
    assert len(safe) <= 80 and safe.isascii() and (safe.isprintable() or not safe)
