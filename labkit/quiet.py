"""Programs that print what was asked for and nothing else: TensorFlow without its import notes."""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet_stderr():
    """Keeps back what is written to file descriptor 2, and shows it if the block fails.

    TensorFlow's C++ side writes import notes there whatever TF_CPP_MIN_LOG_LEVEL says.
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
    """TensorFlow, imported and its devices counted without a line on the screen."""
    # Its C++ side calls an operator of oneDNN that this processor lacks an error, and goes on. What
    # is one comes as an exception, too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the first look at the devices writes notes too
    return tf


@contextlib.contextmanager
def only_json_on_stdout(wanted: bool):
    """With --json, everything the library prints goes to stderr instead."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield
