"""The kind of a file is seen from its content; what is none is told apart in one sentence."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.errors import LabkitError, MissingFileError
from labkit.weights.files import read_tensors

TENSORS = {"b.weight": np.arange(6, dtype="f4").reshape(2, 3), "a": np.array([7], "i8")}


def same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array), name


# ---------------------------------------------------------------- every kind, under a wrong name


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_torch(tmp_path, torch_writers, form):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(torch_writers[form](TENSORS))
    same(read_tensors(path), TENSORS)
    same(read_tensors(str(path)), TENSORS)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_stream_of_torch_is_known_in_every_protocol(tmp_path, torch_writers, protocol):
    path = tmp_path / "weights"
    path.write_bytes(torch_writers["legacy"](TENSORS, protocol))
    same(read_tensors(path), TENSORS)


def test_safetensors(tmp_path):
    kinds = "f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1 b1".split()
    tensors = {kind: np.array([[0, 1], [1, 1]]).astype(kind) for kind in kinds}
    tensors |= {"scalar": np.array(3.5, "f4"), "empty": np.zeros((0, 2), "f4")}
    path = tmp_path / "weights.pth"
    safetensors.numpy.save_file(tensors, path, metadata={"format": "np"})
    same(read_tensors(path), tensors)


def write_safetensors(path, header: dict, data: bytes = b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_bfloat16_in_safetensors(tmp_path):
    header = {"w": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}
    path = write_safetensors(tmp_path / "w", header, b"\x80\x3f\x00\xc0")
    same(read_tensors(path), {"w": np.array([[1, -2]], "f4")})


def test_a_type_of_safetensors_that_numpy_has_not(tmp_path):
    header = {"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    with pytest.raises(LabkitError, match="w holds values of type F8_E4M3"):
        read_tensors(write_safetensors(tmp_path / "w", header, b"ab"))


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"w": {}},
    ],
    ids=str,
)
def test_safetensors_that_lie_are_refused(tmp_path, header):
    with pytest.raises(LabkitError, match="weights.x .* is damaged or incomplete"):
        read_tensors(write_safetensors(tmp_path / "weights.x", header, bytes(4)))


def test_safetensors_without_tensors(tmp_path):
    with pytest.raises(LabkitError, match="holds no tensors"):
        read_tensors(write_safetensors(tmp_path / "w", {}))


@pytest.fixture(scope="module")
def keras_model():
    import keras

    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    model.layers[0].set_weights([TENSORS["b.weight"], np.ones(3, "f4")])
    return model


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_what_keras_writes(tmp_path, keras_model, suffix):
    path = tmp_path / f"model{suffix}"
    keras_model.save(path) if suffix == ".keras" else keras_model.save_weights(path)
    disguised = path.rename(tmp_path / "weights.pth")
    tensors = read_tensors(disguised)
    shapes = [w.shape for w in keras_model.get_weights()]
    assert sorted(v.shape for v in tensors.values()) == sorted(shapes)
    assert np.array_equal(tensors["layers/dense/vars/0"], TENSORS["b.weight"])


def test_h5_of_keras_2_written_by_keras(tmp_path, keras_model):
    path = tmp_path / "model.h5"
    keras_model.save(path)
    tensors = read_tensors(path)
    (kernel,) = (v for name, v in tensors.items() if name.endswith("dense/kernel"))
    assert np.array_equal(kernel, TENSORS["b.weight"])
    assert len(tensors) >= len(keras_model.weights)


# ---------------------------------------------------------------- what it is instead


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>", "looks like a web page"),
        (b"<HTML><head>", "looks like a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "looks like a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 178090079\n",
            "git-lfs pointer of 72 bytes, which stands for a file of 178090079 bytes",
        ),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs pointer"),
        (bytes(4096), "begins with zeros"),
        (b"PK\x03\x04" + bytes(96), "incomplete zip archive of 100 bytes"),
        (b"\x89HDF\r\n\x1a\n" + bytes(92), "damaged or incomplete"),
        ((10**6).to_bytes(8, "little") + b"{" + bytes(91), "it has 100 bytes, its header alone"),
        (pickle.dumps({"model": 1}), "holds no weights, a dict of arrays by name"),
        (b"\x00\x01\x02", "(3 bytes) is no file of weights"),
        (b"{}", "no file of weights"),
    ],
    ids=range(13),
)
def test_what_is_none_is_named(tmp_path, data, words):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(LabkitError) as caught:
        read_tensors(path)
    assert words in str(caught.value) and str(caught.value).count(str(path)) == 1


def test_a_pickle_is_not_run(tmp_path):
    import os

    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    path = tmp_path / "weights.pkl"
    for protocol in range(6):
        path.write_bytes(pickle.dumps(Touch(), protocol))
        with pytest.raises(LabkitError):
            read_tensors(path)
    assert not (tmp_path / "made").exists()


def test_archives_of_another_kind(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.ones(3))
    with pytest.raises(LabkitError, match="zip archive, but holds neither"):
        read_tensors(path)


def test_a_zip_bomb_in_a_keras_file(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(5 * 10**7))
    with pytest.raises(LabkitError, match="unpack to more than"):
        read_tensors(path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        read_tensors(tmp_path / "none.pth")
    with pytest.raises(LabkitError, match="is a folder"):
        read_tensors(tmp_path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "keras"])
@given(share=st.floats(0, 1, exclude_max=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_file_cut_off_is_refused(tmp_path, torch_writers, kind, share):
    path = tmp_path / "whole"
    if kind == "safetensors":
        safetensors.numpy.save_file(TENSORS, path)
    elif kind == "keras":
        import h5py

        with zipfile.ZipFile(path, "w") as archive, archive.open("model.weights.h5", "w") as member:
            with h5py.File(tmp_path / "inner.h5", "w") as file:
                file["x"] = TENSORS["a"]
            member.write((tmp_path / "inner.h5").read_bytes())
    else:
        path.write_bytes(torch_writers[kind](TENSORS))
    data = path.read_bytes()
    assert read_tensors(path)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(LabkitError):
        read_tensors(path)
