"""Keras' HDF5 files: by path, in the model's order, and never beyond the file."""

import io

import h5py
import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.weights.hdf5_file import read_hdf5

KERNEL, BIAS = np.arange(6, dtype="f4").reshape(2, 3), np.zeros(3, "f4")


@pytest.fixture
def write(tmp_path):
    """write(function) is the path of an HDF5 file that the function filled."""

    def write_file(fill):
        path = tmp_path / "weights.h5"
        with h5py.File(path, "w") as file:
            fill(file)
        return path

    return write_file


def read(path):
    return read_hdf5(path, str(path), path.stat().st_size)


def matterport(file):
    """Mask R-CNN of Matterport's: layers by name, names in attributes, layers without weights."""
    file.attrs["layer_names"] = np.array([b"zero_padding", b"conv1", b"rpn_model"])
    file.create_group("zero_padding").attrs["weight_names"] = np.array([], "S1")
    conv = file.create_group("conv1")
    conv.attrs["weight_names"] = np.array([b"conv1/kernel:0", b"conv1/bias:0"])
    conv["conv1/kernel:0"], conv["conv1/bias:0"] = KERNEL, BIAS
    rpn = file.create_group("rpn_model")
    rpn.attrs["weight_names"] = np.array([b"rpn_conv_shared/kernel:0"])
    rpn["rpn_conv_shared/kernel:0"] = KERNEL + 1


def test_keras_2_arrays_have_full_paths_in_the_models_order(write):
    tensors = read(write(matterport))
    assert list(tensors) == [
        "conv1/conv1/kernel:0",
        "conv1/conv1/bias:0",
        "rpn_model/rpn_conv_shared/kernel:0",
    ]
    assert np.array_equal(tensors["conv1/conv1/kernel:0"], KERNEL)


def test_a_whole_model_of_keras_2_has_its_weights_in_a_group(write):
    def fill(file):
        matterport(file.create_group("model_weights"))
        file["optimizer_weights/Adam/m:0"] = BIAS

    assert list(read(write(fill))) == [
        "model_weights/conv1/conv1/kernel:0",
        "model_weights/conv1/conv1/bias:0",
        "model_weights/rpn_model/rpn_conv_shared/kernel:0",
        "optimizer_weights/Adam/m:0",
    ]


def test_a_list_of_names_in_pieces_is_put_together(write):
    def fill(file):
        file.attrs["layer_names0"], file.attrs["layer_names1"] = np.array([b"b"]), np.array([b"a"])
        for name in "ab":
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([b"w"])
            group["w"] = BIAS

    assert list(read(write(fill))) == ["b/w", "a/w"]


def test_names_of_variable_length_are_left_alone(write, monkeypatch):
    def fill(file):
        text = h5py.string_dtype()
        group = file.create_group("c")
        file.attrs.create("layer_names", ["c"], dtype=text)
        group.attrs.create("weight_names", ["w", "not there"], dtype=text)
        group["w"], group["a"] = KERNEL, BIAS
        file["x"] = np.zeros(1, "V2")
        file["x"].attrs["dtype"] = "bfloat16"

    path = write(fill)
    monkeypatch.setattr(h5py.AttributeManager, "__getitem__", None)  # reading one would fail
    assert list(read(path)) == ["c/a", "c/w", "x"]


def test_keras_3_arrays_are_read_by_path(write):
    def fill(file):
        file["layers/conv2d/vars/0"], file["layers/conv2d/vars/1"] = KERNEL, BIAS
        file["optimizer/vars/0"] = np.int64(3)
        file["flags"] = np.array([True, False])

    tensors = read(write(fill))
    assert list(tensors) == [
        "flags",
        "layers/conv2d/vars/0",
        "layers/conv2d/vars/1",
        "optimizer/vars/0",
    ]
    assert tensors["optimizer/vars/0"].shape == () and tensors["optimizer/vars/0"] == 3
    assert tensors["flags"].tolist() == [True, False]


def test_bfloat16_as_keras_3_stores_it(write):
    def fill(file):
        file["x"] = np.array([[0x3F80, 0xC000]], "<u2").view("V2")
        file["x"].attrs["dtype"] = "bfloat16"

    found = read(write(fill))["x"]
    assert found.dtype == np.float32 and found.tolist() == [[1, -2]]


def test_an_open_file_is_read_too(write):
    data = write(matterport).read_bytes()
    assert len(read_hdf5(io.BytesIO(data), "label", len(data))) == 3


def other_file(folder):
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = KERNEL
    (folder / "secret.bin").write_bytes(bytes(24))
    return folder


def external_link(file, folder):
    file["x"] = KERNEL
    file["y"] = h5py.ExternalLink(str(folder / "secret.h5"), "x")


def external_storage(file, folder):
    file.create_dataset("y", (6,), "f4", external=[(str(folder / "secret.bin"), 0, 24)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (2, 3))
    file.create_virtual_dataset("y", layout)


@pytest.mark.parametrize("fill", [external_link, external_storage, virtual])
def test_what_points_out_of_the_file_is_refused(write, tmp_path, fill):
    path = write(lambda file: fill(file, other_file(tmp_path)))
    with pytest.raises(LabkitError, match="another file.* do not trust it") as caught:
        read(path)
    assert "y" in str(caught.value) and "weights.h5" in str(caught.value)


def test_links_within_the_file_are_not_followed(write):
    def fill(file):
        file["x"], file["soft"], file["dangling"] = (
            KERNEL,
            h5py.SoftLink("/x"),
            h5py.SoftLink("/no"),
        )
        file["group/loop"] = file["/"]

    assert list(read(write(fill))) == ["x"]


@pytest.mark.parametrize(
    "fill, words",
    [
        (lambda f: None, "holds no arrays"),
        (lambda f: f.create_group("a"), "holds no arrays"),
        (lambda f: f.__setitem__("text", "hello"), "text is no array of numbers"),
        (lambda f: f.__setitem__("a", h5py.Empty("f4")), "a is no array of numbers"),
        (lambda f: f.__setitem__("v", np.zeros(2, "V2")), "v is no array of numbers"),
        (lambda f: f.create_dataset("a", (10**6, 10**6), "f4", chunks=(10, 10)), "unpack to more"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(write, fill, words):
    with pytest.raises(LabkitError, match=words):
        read(write(fill))


def test_a_named_array_that_is_not_there_is_missed(write):
    def fill(file):
        matterport(file)
        del file["conv1/conv1/bias:0"]

    with pytest.raises(LabkitError, match="lacks conv1/conv1/bias:0"):
        read(write(fill))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_file_cut_off_is_refused(write, share):
    path = write(matterport)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(LabkitError, match="weights.h5 is damaged or incomplete"):
        read(path)
