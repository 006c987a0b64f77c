"""The commands of `labkit`: one module a command, each a thin layer over the library.

A command is a module with

    NAME                 the word on the command line
    HELP                 what it does, in half a sentence: its line in `labkit --help`
    EPILOG               examples, and what is worth knowing before the first use
    add_options(parser)  adds its options
    run(args)            does the work and returns the exit status

and its place in `labkit.cli.COMMANDS`. Options that several commands share are in `options`, types
of options in `numbers`. Modules import TensorFlow, Matplotlib and the data sets only when they run:
that takes seconds, and `labkit --help` should not.
"""
