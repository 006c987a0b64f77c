"""A command line that prints what was asked for and nothing else."""

import contextlib
import os
import sys
import tempfile

from labkit.errors import LabkitError


@contextlib.contextmanager
def quiet_stderr():
    """Hold back what is written to file descriptor 2, and show it only if the block fails.

    TensorFlow's C++ code writes import notes there whatever TF_CPP_MIN_LOG_LEVEL says.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException:
            noise.seek(0)
            os.write(kept, noise.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def import_tensorflow():
    """TensorFlow, imported and its devices counted without a line on the screen.

    One of the lines that are hidden may be important: that it cannot use the GPU. `train` and
    `labkit info` look for that themselves, see `labkit.training.device`.
    """
    refuse_other_backends()
    # TensorFlow logs even an oneDNN operator that this processor lacks as an error, and goes on.
    # Real errors are raised as exceptions too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the first look at the devices writes notes too
    return tf


def refuse_other_backends() -> None:
    """Raise LabkitError where Keras is told to compute with something else than TensorFlow."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise LabkitError(
            f"KERAS_BACKEND is {backend!r}, but labkit's networks are written for TensorFlow: set "
            "KERAS_BACKEND=tensorflow, or leave it out."
        )


@contextlib.contextmanager
def only_json_on_stdout(wanted: bool):
    """Within the block, what the library prints goes to stderr if `wanted` (--json)."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def replace_unprintable() -> None:
    """From now on print "?" for what stdout's encoding lacks, as cp437 and cp1250 on Windows do.

    Python would raise UnicodeEncodeError for the first "²" of a table.
    """
    if hasattr(sys.stdout, "reconfigure"):  # a stream of a test may be no file
        sys.stdout.reconfigure(errors="replace")
