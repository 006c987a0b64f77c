"""torch's files, read without torch: what torch itself wrote, what is broken, what is an attack."""

import collections
import io
import os
import pickle
import struct
import sys
import tracemalloc
import types
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labkit.errors import LabkitError, MissingFileError
from labkit.weights.torch_file import read_torch

FORMS = ("zip", "legacy")


@pytest.fixture
def write(tmp_path, torch_writers):
    """write(object, form, ...) is the path of a file that holds it."""

    def write_file(value, form="zip", **options):
        path = tmp_path / f"{form}.pth"
        path.write_bytes(torch_writers[form](value, **options))
        return path

    return write_file


def read_bytes(data: bytes, folder) -> dict:
    path = folder / "given.pth"
    path.write_bytes(data)
    return read_torch(path)


# ---------------------------------------------------------------- what torch wrote

# tests/golden/torch_zip.pth and torch_legacy.pth were written by torch 2.13:
#     torch.save({"model": state_dict, "optimizer": SGD's, "lr_scheduler": MultiStepLR's,
#                 "args": argparse.Namespace(lr=.1, resume=None), "epoch": 3}, file,
#                _use_new_zipfile_serialization=...)
# with the tensors below, the tied ones views of one storage.
SIX, BASE = np.arange(6).reshape(2, 3), np.arange(24, dtype="f4").reshape(2, 3, 4)
NUMBERS = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 "
    "complex64 complex128"
).split()
WRITTEN = {n: SIX.astype("float32" if n == "bfloat16" else n) for n in NUMBERS} | {
    "bool": SIX % 2 == 0,
    "transposed": BASE.transpose(2, 0, 1),
    "step": BASE[:, ::2, 1:],
    "tied": BASE,
    "tied_row": BASE[1],
    "scalar": np.array(7),
    "empty": np.zeros((0, 3), "f4"),
    "expanded": np.full((2, 5), 1.5, "f4"),
    "parameter": np.ones(2, "f4"),
    "third": np.full(2, 0.333984375, "f4"),  # what bfloat16 makes of 1/3
}


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_written_by_torch_is_read_exactly(golden_folders, form):
    tensors = read_torch(golden_folders[0] / f"torch_{form}.pth")
    assert list(tensors) == list(WRITTEN)
    for name, expected in WRITTEN.items():
        assert tensors[name].dtype == expected.dtype and tensors[name].shape == expected.shape, name
        assert np.array_equal(tensors[name], expected), name
    assert np.shares_memory(tensors["tied"], tensors["tied_row"])
    assert not any(t.flags.writeable for t in tensors.values() if t.size)


# ---------------------------------------------------------------- what is written here

dtypes = st.sampled_from("f8 f4 f2 i8 i4 i2 i1 u1 b1 c8 c16".split()).map(np.dtype)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
state_dicts = st.dictionaries(st.text(min_size=1, max_size=9), arrays, min_size=1, max_size=5)
writes_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("form", FORMS)
@given(tensors=state_dicts, protocol=st.sampled_from([2, 3, 4, 5]))
@writes_files
def test_round_trip(tmp_path, torch_writers, form, tensors, protocol):
    assume(not any("\ud800" <= c <= "\udfff" for name in tensors for c in name))
    found = read_bytes(torch_writers[form](tensors, protocol), tmp_path)
    assert list(found) == list(tensors)
    for name, expected in tensors.items():
        assert found[name].dtype == expected.dtype and found[name].shape == expected.shape
        assert found[name].tobytes() == expected.tobytes()


@given(
    count=st.integers(0, 40),
    offset=st.integers(0, 41),
    sides=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), max_size=4),
)
@writes_files
def test_a_view_is_read_as_numpy_would_or_refused(
    tmp_path, torch_writers, torch_view, count, offset, sides
):
    size, strides = tuple(s for s, _ in sides), tuple(t for _, t in sides)
    numbers = np.arange(count, dtype="i2")
    data = torch_writers["zip"]({"a": torch_view(numbers, offset, size, strides)})
    touched = [offset + sum(np.multiply(i, strides)) for i in np.ndindex(size)]
    if offset > count or any(place >= count for place in touched):
        with pytest.raises(LabkitError, match="leaves its storage"):
            read_bytes(data, tmp_path)
    else:
        found = read_bytes(data, tmp_path)["a"]
        assert found.shape == size and found.ravel().tolist() == touched


def test_the_order_of_bytes_is_the_files(write):
    tensors = {"a": np.array([1.5, -2], "f4"), "b": np.array([258], "i2")}
    found = read_torch(write(tensors, byte_order="big"))
    assert found["a"].tolist() == [1.5, -2] and found["b"].tolist() == [258]
    assert found["a"].dtype.isnative
    with pytest.raises(LabkitError, match="order of bytes"):
        read_torch(write(tensors, byte_order="middle"))


def test_an_ordered_dict_of_python_2(write, raw_pickle):
    pairs = [["a", np.ones(2, "f4")], ["b", np.zeros(1, "f4")]]
    value = raw_pickle(collections.OrderedDict, (pairs,))
    assert list(read_torch(write(value))) == ["a", "b"]


# ---------------------------------------------------------------- which of a file's dicts

ONE, TWO = {"w": np.ones(1, "f4")}, {"w": np.full(1, 2, "f4")}


@pytest.mark.parametrize(
    "saved",
    [
        {"model": ONE},
        {"state_dict": ONE, "epoch": 3, "best": 0.5, "name": "x", "done": None},
        {"model": ONE, "model_ema": TWO},
        {"ema": TWO, "state_dict": ONE, "model": ONE},
        {"weights of mine": ONE, "optimizer": {"state": {0: {"momentum_buffer": TWO["w"]}}}},
        {"state_dict": ONE, "loss": TWO["w"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", FORMS)
def test_the_state_dict_in_a_checkpoint_is_found(write, saved, form):
    assert read_torch(write(saved, form))["w"].tolist() == [1]


@pytest.mark.parametrize(
    "saved, words",
    [
        ({}, "no state_dict"),
        ([ONE], "no state_dict"),
        (3, "no state_dict"),
        ({"model": {}}, "no state_dict"),
        ({"epoch": 3, "optimizer": {"state": {}}}, "no state_dict"),
        ({"a": ONE, "b": TWO}, "(a, b)"),
        (ONE | {"extra": "text"}, "extra is a str"),
        ({"model": ONE | {"extra": [1]}}, "model.extra is a list"),
        ({0: ONE["w"]}, "no state_dict"),
    ],
    ids=str,
)
def test_what_holds_none_or_several_is_refused(write, saved, words):
    with pytest.raises(LabkitError) as caught:
        read_torch(write(saved))
    assert words in str(caught.value) and "zip.pth" in str(caught.value)


# ---------------------------------------------------------------- attacks


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("place", ["root", "value", "key of a list", "after the model"])
def test_code_in_a_file_is_named_and_does_not_run(
    tmp_path, write, raw_pickle, form, protocol, place
):
    marker = tmp_path / "touched"
    payload = raw_pickle(os.system, (f"touch '{marker}'",))
    saved = {
        "root": payload,
        "value": ONE | {"v": payload},
        "key of a list": {"model": ONE, "args": [[{"deep": (payload,)}]]},
        "after the model": {"model": ONE, "optimizer": payload},
    }[place]
    path = write(saved, form, protocol=protocol)
    with pytest.raises(LabkitError) as caught:
        read_torch(path)
    assert str(path) in str(caught.value) and "posix.system" in str(caught.value)
    assert not marker.exists()
    pickle.loads(pickle.dumps(payload, protocol))
    assert marker.exists()  # so the payload was a live one


@pytest.mark.parametrize("form", FORMS)
def test_setstate_is_not_called(tmp_path, write, monkeypatch, form):
    """BUILD gives an object its state by calling this method of it."""
    marker = tmp_path / "touched"
    restored = type("Restored", (), {"__setstate__": lambda self, path: open(path, "w").close()})
    restored.__module__ = "attacker"
    monkeypatch.setitem(sys.modules, "attacker", types.ModuleType("attacker"))
    sys.modules["attacker"].Restored = restored
    where = str(marker).encode()
    pickled = b"\x80\x02cattacker\nRestored\n)\x81X" + struct.pack("<I", len(where)) + where + b"b."
    with pytest.raises(LabkitError, match="attacker.Restored"):
        read_torch(write({}, form, pickled=pickled))
    assert not marker.exists()
    pickle.loads(pickled)
    assert marker.exists()


@pytest.mark.parametrize("name", ["__builtin__\neval", "torch\nload", "torch._utils\n__import__"])
@pytest.mark.parametrize("form", FORMS)
def test_any_other_name_is_refused(write, form, name):
    pickled = b"\x80\x02c" + name.encode() + b"\nX\x01\x00\x00\x001\x85R."
    with pytest.raises(LabkitError, match=name.replace("\n", ".")):
        read_torch(write({}, form, pickled=pickled))


@pytest.mark.parametrize("part", range(3))
def test_code_in_the_head_of_a_stream_does_not_run(tmp_path, raw_pickle, part):
    marker = tmp_path / "touched"
    parts = [pickle.dumps(p, 2) for p in (0x1950A86A20F9469CFC6C, 1001, {})]
    parts[part] = pickle.dumps(raw_pickle(os.mkdir, (str(marker),)), 2)
    with pytest.raises(LabkitError, match="posix.mkdir"):
        read_bytes(b"".join(parts), tmp_path)
    assert not marker.exists()


# ---------------------------------------------------------------- bombs and lies


@pytest.mark.parametrize(
    "offset, size, strides",
    [
        (3, (2,), (1,)),
        (0, (5,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (2,), (4,)),
        (5, (0,), (1,)),
        (2**61, (1,), (1,)),
        (0, (2**61,), (2**61,)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (1, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (1,) * 40, (1,) * 40),
        (0.0, (1,), (1,)),
        (True, (1,), (1,)),
        (0, [1], (1,)),
        (0, None, (1,)),
        (0, ("1",), (1,)),
        (2**70, (1,), (1,)),
    ],
    ids=str,
)
def test_a_tensor_outside_its_storage_is_refused(write, torch_view, offset, size, strides):
    view = torch_view(np.arange(4, dtype="f4"), offset, size, strides)
    with pytest.raises(LabkitError, match="zip.pth is damaged"):
        read_torch(write({"a": view}))


def test_a_side_of_one_may_have_any_stride(write, torch_view):
    view = torch_view(np.arange(4, dtype="f4"), 3, (1, 1), (2**61, 0))
    assert read_torch(write({"a": view}))["a"].tolist() == [[3]]


@pytest.mark.parametrize("size", [(10**5, 10**5), (0, 2**61), (2**31, 2**31)], ids=str)
def test_a_tensor_that_would_fill_the_memory_is_refused(write, torch_view, size):
    view = torch_view(np.ones(1, "f4"), 0, size, (0, 0))
    with pytest.raises(LabkitError, match="unpack to more than"):
        read_torch(write({"a": view}))


def test_many_views_of_one_storage_count_together(write, torch_view):
    numbers = np.zeros(2**18, "f4")
    views = {str(i): torch_view(numbers, 0, (2**18,), (1,)) for i in range(100)}
    with pytest.raises(LabkitError, match="unpack to more than"):
        read_torch(write(views))


def changed(data: bytes, edit) -> bytes:
    """The zip archive with its members, a dict of bytes, edited."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    compression = edit(members) or zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "edit, words",
    [
        (lambda m: m.pop("archive/data/0") and None, "storage 0 is missing"),
        (lambda m: m.update({"archive/data/0": b"\0" * 3}), "of 3 bytes, not of 4"),
        (lambda m: m.update({"archive/data/0": b"\0" * 8}), "of 8 bytes, not of 4"),
        (lambda m: m.pop("archive/data.pkl") and None, "data.pkl"),
        (lambda m: m.update({"other/data.pkl": b""}), "data.pkl"),
        (lambda m: zipfile.ZIP_DEFLATED, "compressed"),
        (lambda m: zipfile.ZIP_LZMA, "compressed"),
    ],
)
def test_an_archive_of_another_make_is_refused(tmp_path, torch_writers, edit, words):
    with pytest.raises(LabkitError, match=words):
        read_bytes(changed(torch_writers["zip"](ONE), edit), tmp_path)


def test_members_beside_the_known_ones_do_no_harm(tmp_path, torch_writers):
    def edit(members):
        members["archive/.format_version"] = b"1"
        members["archive/.data/serialization_id"] = b"0" * 40
        members["../../escaped"] = b"x"
        members["/etc/escaped"] = b"x"

    found = read_bytes(changed(torch_writers["zip"](ONE), edit), tmp_path)
    assert found["w"].tolist() == [1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["given.pth"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused(tmp_path, torch_writers):
    buffer = io.BytesIO(torch_writers["zip"](ONE))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("archive/data/0", b"abcd")
    with pytest.raises(LabkitError, match="twice"):
        read_bytes(buffer.getvalue(), tmp_path)


def test_members_larger_than_the_archive_are_refused(tmp_path, torch_writers):
    """Entries of the directory can show the same bytes over and over: a bomb of stored members."""
    data = bytearray(torch_writers["zip"](ONE))
    entry = data.rindex(b"PK\x01\x02", 0, data.index(b"archive/data/0", data.index(b"PK\x01\x02")))
    data[entry + 20 : entry + 28] = struct.pack("<II", 10**9, 10**9)
    with pytest.raises(LabkitError, match="larger than it"):
        read_bytes(bytes(data), tmp_path)


def test_a_stream_whose_counts_lie_is_refused(tmp_path, torch_writers):
    data = torch_writers["legacy"](ONE)
    assert data[-12:] == b"\x01" + b"\0" * 7 + b"\x00\x00\x80?"
    for count in (0, 2, -1, 2**62):
        lie = data[:-12] + count.to_bytes(8, "little", signed=True) + data[-4:]
        with pytest.raises(LabkitError, match="another length"):
            read_bytes(lie, tmp_path)
    with pytest.raises(LabkitError, match="2 bytes too early"):
        read_bytes(data[:-2], tmp_path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        read_torch(tmp_path / "none.pth")
    with pytest.raises(LabkitError, match="is a folder"):
        read_torch(tmp_path)
    for data in (b"", b"x", b"PK\x03\x04", b"PK\x03\x04" + bytes(100), pickle.dumps(1), b"<html>"):
        with pytest.raises(LabkitError, match="given.pth is damaged"):
            read_bytes(data, tmp_path)


# ---------------------------------------------------------------- fuzzing: a dict or one sentence

VALID = {"model": {"a.weight": SIX.astype("f4"), "b": np.ones(3, "i8")}, "epoch": 3, "x": [1, (2,)]}
flips = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)


def read_or_refuse(data: bytes, folder) -> None:
    tracemalloc.start()
    try:
        tensors = read_bytes(data, folder)
        assert all(isinstance(n, str) and isinstance(t, np.ndarray) for n, t in tensors.items())
        assert sum(t.astype("c16").size for t in tensors.values()) < 1e8
    except LabkitError as error:
        assert "given.pth" in str(error) and len(str(error)) < 600
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 300e6


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 4])
@given(changes=flips)
@example(changes=[(0, 0)])
@settings(writes_files, max_examples=300)
def test_flipped_bytes(tmp_path, torch_writers, form, protocol, changes):
    data = bytearray(torch_writers[form](VALID, protocol))
    for place, value in changes:
        data[place % len(data)] = value
    read_or_refuse(bytes(data), tmp_path)


@pytest.mark.parametrize("form", FORMS)
@given(st.data())
@settings(writes_files, max_examples=200)
def test_flipped_bytes_within_the_pickle(tmp_path, torch_writers, form, data):
    """The archive's checksums would hide these from the pickle's reader, so they are made anew."""
    whole = torch_writers[form](VALID, 2)
    if form == "zip":
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            pickled = bytearray(archive.read("archive/data.pkl"))
        for place, value in data.draw(flips):
            pickled[place % len(pickled)] = value
        whole = torch_writers[form](VALID, 2, pickled=bytes(pickled))
    else:
        head = whole.index(b"}q\x00(X\x05\x00\x00\x00model")
        changed = bytearray(whole)
        for place, value in data.draw(flips):
            changed[head + place % (len(whole) - head)] = value
        whole = bytes(changed)
    read_or_refuse(whole, tmp_path)


@pytest.mark.parametrize("form", FORMS)
@given(share=st.floats(0, 1, exclude_max=True), tail=st.binary(max_size=20))
@settings(writes_files, max_examples=200)
def test_truncated_files(tmp_path, torch_writers, form, share, tail):
    data = torch_writers[form](VALID)
    read_or_refuse(data[: int(share * len(data))] + tail, tmp_path)
