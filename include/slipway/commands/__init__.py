"""Our vocabulary: the command lines of the programs that Slipway runs, one module a program."""
