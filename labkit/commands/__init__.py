"""What the commands of `labkit` do: one module a command, each thin over the library.

They take what `labkit.cli` has parsed. Nothing here imports TensorFlow before a command runs: that
import takes seconds, and `labkit --help` should not.
"""
