from __future__ import annotations

import hashlib

from slipway.remote.weights.verbs import VERBS


def test_every_file_that_python_could_run_is_told_with_its_digest(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("modeling.py", "sub/more.py", "native.so", "config.json", "model.safetensors"):
        (tmp_path / name).write_text(name)
    (tmp_path / "linked.py").symlink_to(tmp_path / "modeling.py")
    files = VERBS["code"]({"path": str(tmp_path)})["files"]
    assert set(files) == {"modeling.py", "sub/more.py", "native.so", "linked.py"}
    assert files["modeling.py"] == files["linked.py"] == hashlib.sha256(b"modeling.py").hexdigest()
