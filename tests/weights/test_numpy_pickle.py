"""Detectron2's .pkl: arrays come out as they went in, nothing is run, what lies is refused."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labkit.errors import LabkitError
from labkit.weights.files import read_tensors
from labkit.weights.numpy_pickle import read_numpy_pickle


@pytest.fixture
def write(tmp_path):
    def write_file(data: bytes):
        path = tmp_path / "model_final_f10217.pkl"
        path.write_bytes(data)
        return path

    return write_file


ARRAYS = {
    "a.weight": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype="f8").reshape(2, 3)),
    "big": np.arange(3, dtype=">i4"),
    "half": np.float16([1.5, -2]),
    "flags": np.array([True, False]),
    "number": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_come_out_as_they_went_in(write, protocol):
    saved = {"model": ARRAYS, "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
    data = pickle.dumps(saved, protocol)
    if protocol == 5 and b"_frombuffer" in data:  # as no file of the zoo is written
        pytest.skip("this NumPy writes arrays another way in protocol 5")
    found = read_tensors(write(data))
    assert list(found) == list(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype.newbyteorder("=")


def test_arrays_without_a_dict_around_them_and_numbers_beside_them(write):
    saved = {"model": ARRAYS, "iteration": np.int64(89999), "loss": np.float32(0.5)}
    assert len(read_numpy_pickle(write(pickle.dumps(saved, 2)))) == len(ARRAYS)
    assert len(read_numpy_pickle(write(pickle.dumps(ARRAYS, 2)))) == len(ARRAYS)


def test_bytes_as_python_2_wrote_them(write):
    """Texts and bytes are the same there: {"w": array([1, 2], float32)} in its opcodes."""
    raw = np.float32([1, 2]).tobytes()
    data = b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    data += b"(K\x01(K\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNN"
    data += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + raw + b"tbs."
    np.testing.assert_array_equal(read_numpy_pickle(write(data))["w"], np.float32([1, 2]))


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["alone", "in the model", "beside it"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(write, tmp_path, place):
    trap = Touch(tmp_path / "trap")
    saved = {"alone": trap, "in the model": {"model": {"a": trap}}}
    saved = saved.get(place, {"model": dict(ARRAYS), "hook": trap})
    with pytest.raises(LabkitError, match=r"asks for (posix|nt)\.mkdir, which no file of weights"):
        read_tensors(write(pickle.dumps(saved, 2)))
    assert not (tmp_path / "trap").exists()


def dumped(**arrays) -> bytes:
    return pickle.dumps({"model": arrays}, 2)


def test_arrays_of_objects_and_of_fields_are_refused(write):
    with pytest.raises(LabkitError, match="an array of Python objects"):
        read_tensors(write(dumped(a=np.array([{}, 1], object))))
    with pytest.raises(LabkitError, match="no number|with fields"):
        read_tensors(write(dumped(a=np.zeros(2, [("x", "f4")]))))
    with pytest.raises(LabkitError, match="no number"):
        read_tensors(write(dumped(a=np.array(["text"]))))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_a_sentence(write, share):
    data = pickle.dumps({"model": ARRAYS}, 2)
    with pytest.raises(LabkitError, match="damaged, incomplete or no pickle") as caught:
        read_tensors(write(data[: int(share * len(data))]) if share > 0.01 else write(data[:4]))
    assert "\n" not in str(caught.value)


def test_sizes_that_lie_set_no_memory_aside(write):
    data = dumped(a=np.zeros(5, np.float32))
    lie = data.replace(b"K\x05\x85", b"J\xff\xff\xff\x7f\x85")  # 5 becomes two thousand million
    assert lie != data
    tracemalloc.start()
    with pytest.raises(LabkitError, match="8,589,934,588 bytes of which there are 20"):
        read_tensors(write(lie))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**6
    for shape in (b"K\x00\x85", b"J\xff\xff\xff\xff\x85"):  # none, and -1
        with pytest.raises(LabkitError, match="bytes of which|impossible shape"):
            read_tensors(write(data.replace(b"K\x05\x85", shape)))


def test_a_length_of_bytes_that_lies_is_refused(write):
    data = pickle.dumps({"model": {"a": np.zeros(5, np.float32)}}, 4)
    for opcode in (b"C\x14", b"B\x14\0\0\0"):
        if opcode in data:
            data = data.replace(opcode, b"B\xff\xff\xff\x7f")
    with pytest.raises(LabkitError, match="damaged, incomplete"):
        read_tensors(write(data))


def test_other_pickles_are_named(write):
    old = {"blobs": {"conv1_w": np.zeros(3)}}
    with pytest.raises(LabkitError, match="first Detectron or of Caffe2"):
        read_tensors(write(pickle.dumps(old, 2)))
    with pytest.raises(LabkitError, match="holds no weights"):
        read_tensors(write(pickle.dumps([1, 2], 2)))
    with pytest.raises(LabkitError, match="'?note'? is no array of numbers"):
        read_tensors(write(pickle.dumps({"model": {"note": "text"}}, 2)))


@given(hnp.arrays(st.sampled_from(["f4", "i8", "u1"]), hnp.array_shapes(max_dims=3, max_side=3)))
def test_any_array_of_numbers(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("p") / "a.pkl"
    path.write_bytes(pickle.dumps({"a": array}, 2))
    np.testing.assert_array_equal(read_numpy_pickle(path)["a"], array)


@given(st.integers(2, 4), st.data())
def test_damage_is_a_sentence_or_numbers(tmp_path_factory, protocol, draw):
    data = bytearray(pickle.dumps({"model": {"a": np.arange(9, dtype="f4")}}, protocol))
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(2, len(data) - 1))
        data[place] = draw.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("p") / "a.pkl"
    path.write_bytes(bytes(data))
    try:
        found = read_numpy_pickle(path)
    except LabkitError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(v, np.ndarray) for v in found.values())
