"""The program ``probe``: the machine, its ports and GPUs, an HTTP answer; it changes nothing."""
