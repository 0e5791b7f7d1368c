"""Small files, written whole; and removal that stays where it may."""

from __future__ import annotations

import base64
import os
import zlib

import pytest

from slipway.remote.files import VERBS
from slipway.remote.refusal import Refused
from slipway.remote.request import Request


def ask(verb: str, **request: object) -> dict:
    return VERBS[verb](Request({name: str(v) if hasattr(v, "parts") else v for name, v in request.items()}))


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_compare_tells_whether_a_file_is_so_and_not_what_it_holds(tmp_path):
    path = tmp_path / "key"
    wanted = {"path": path, "text": "a key", "mode": 0o600}
    assert ask("compare", **wanted) == {"exists": False, "same": False}
    ask("write", **wanted)
    assert ask("compare", **wanted) == {"exists": True, "same": True}
    assert ask("compare", **{**wanted, "text": "another"}) == {"exists": True, "same": False}
    path.chmod(0o644)
    assert ask("compare", **wanted) == {"exists": True, "same": False}


class TestWrite:
    def test_makes_parents_and_changes_only_what_differs(self, tmp_path):
        path = tmp_path / "a" / "b" / "file"
        assert ask("write", path=path, text="ü\n") == {"changed": True}
        assert path.read_text() == "ü\n"
        assert (mode(path), mode(path.parent), mode(tmp_path / "a")) == (0o644, 0o755, 0o755)
        inode = path.stat().st_ino
        assert ask("write", path=path, text="ü\n", mode="0644") == {"changed": False}
        assert path.stat().st_ino == inode
        assert ask("write", path=path, text="new") == {"changed": True}
        assert ask("write", path=path, text="new", mode="755") == {"changed": True}
        assert (path.read_text(), mode(path)) == ("new", 0o755)
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]

    @pytest.mark.parametrize("private", ["0600", 0o600])
    def test_a_private_file_lies_in_private_folders(self, tmp_path, private):
        path = tmp_path / "deployments" / "demo" / "ray.token"
        previous = os.umask(0)
        try:
            ask("write", path=path, text="secret", mode=private)
        finally:
            os.umask(previous)
        assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)

    def test_a_link_is_replaced_not_followed(self, tmp_path):
        (tmp_path / "target").write_text("keep")
        (tmp_path / "file").symlink_to("target")
        assert ask("write", path=tmp_path / "file", text="keep") == {"changed": True}
        assert not (tmp_path / "file").is_symlink()
        assert (tmp_path / "target").read_text() == "keep"

    @pytest.mark.parametrize(
        "wrong", [{"mode": "rw"}, {"mode": "1777"}, {"mode": 0o1777}, {"mode": "0o644"}, {"mode": "44"}, {"text": None}]
    )
    def test_a_wrong_field_is_refused(self, tmp_path, wrong):
        with pytest.raises(Refused, match=f"^{next(iter(wrong))}: "):
            ask("write", **{"path": tmp_path / "x", "text": "", **wrong})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("path", ["", "x", "/", "/tmp/../etc/x", "/a\0b", "/\udfff"])
    def test_a_path_that_is_none_is_refused(self, path):
        with pytest.raises(Refused, match=r"^path: "):
            ask("write", path=path, text="")

    def test_a_folder_is_not_replaced(self, tmp_path):
        with pytest.raises(Refused, match="is a folder"):
            ask("write", path=tmp_path, text="")

    def test_a_failure_leaves_no_half(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            ask("write", path=tmp_path / "x", text="data")
        assert list(tmp_path.iterdir()) == []


class TestRead:
    def test_reads_up_to_its_limit(self, tmp_path):
        (tmp_path / "x").write_bytes(b"abc\xff")
        (tmp_path / "x").chmod(0o640)
        read = ask("read", path=tmp_path / "x")
        assert read == {"exists": True, "text": "abc\N{REPLACEMENT CHARACTER}", "size": 4, "mode": "0640"}
        assert ask("read", path=tmp_path / "x", limit=2)["text"] == "ab"

    def test_what_is_not_there_is_an_answer(self, tmp_path):
        assert ask("read", path=tmp_path / "x") == {"exists": False, "text": None, "size": 0, "mode": None}

    def test_what_could_block_or_has_no_end_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
            with pytest.raises(Refused, match="no regular file"):
                ask("read", path=path)


class TestLink:
    def test_is_replaced_in_one_step(self, tmp_path):
        link = tmp_path / "sub" / "current"
        assert ask("link", path=link, target="v1") == {"changed": True}
        assert ask("link", path=link, target="v1") == {"changed": False}
        assert ask("link", path=link, target="v2") == {"changed": True}
        assert str(link.readlink()) == "v2"
        assert [entry.name for entry in link.parent.iterdir()] == ["current"]

    def test_spares_what_is_no_link(self, tmp_path):
        (tmp_path / "file").write_text("keep")
        with pytest.raises(Refused, match="no link"):
            ask("link", path=tmp_path / "file", target="v1")
        assert (tmp_path / "file").read_text() == "keep"


class TestRemove:
    def test_what_another_removes_meanwhile_is_no_error(self, tmp_path, monkeypatch):
        for name in ("one", "two"):
            (tmp_path / "tree" / name).mkdir(parents=True)
            (tmp_path / "tree" / name / "file").touch()
        unlink = os.unlink

        def late(path, **options):
            unlink(path, **options)
            unlink(path, **options)

        monkeypatch.setattr(os, "unlink", late)
        assert ask("remove", path=tmp_path / "tree", below=tmp_path) == {"changed": True}
        assert list(tmp_path.iterdir()) == []

    def test_removes_files_and_trees_below(self, tmp_path):
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "c").touch()
        (tmp_path / "f").touch()
        assert ask("remove", path=tmp_path / "a", below=tmp_path) == {"changed": True}
        assert ask("remove", path=tmp_path / "a", below=tmp_path) == {"changed": False}
        assert ask("remove", path=tmp_path / "f", below=tmp_path) == {"changed": True}
        assert list(tmp_path.iterdir()) == []

    def test_a_link_goes_and_its_target_stays(self, tmp_path):
        root, outside = tmp_path / "root", tmp_path / "outside"
        root.mkdir()
        outside.mkdir()
        (root / "link").symlink_to(outside)
        (root / "tree").mkdir()
        (root / "tree" / "link").symlink_to(outside)
        (outside / "keep").touch()
        assert ask("remove", path=root / "link", below=root) == {"changed": True}
        assert ask("remove", path=root / "tree", below=root) == {"changed": True}
        assert (outside / "keep").exists()

    @pytest.mark.parametrize("path", ["root", ".", "other", "root/link/keep", "rooted/x"])
    def test_what_does_not_lie_below_is_refused(self, tmp_path, path):
        for folder in ("root", "other", "rooted"):
            (tmp_path / folder).mkdir()
        (tmp_path / "root" / "link").symlink_to("../other")
        (tmp_path / "other" / "keep").touch()
        (tmp_path / "rooted" / "x").touch()
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(Refused, match="does not lie below"):
            ask("remove", path=tmp_path / path, below=tmp_path / "root")
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize(
        ("path", "below", "wrong"),
        [("/tmp/x", "/", "below"), ("/tmp/a/../x", "/tmp", "path"), ("x", "/tmp", "path"), ("/tmp/x", "tmp", "below")],
    )
    def test_a_boundary_that_is_none_is_refused(self, path, below, wrong):
        with pytest.raises(Refused, match=f"^{wrong}: "):
            ask("remove", path=path, below=below)

    def test_a_linked_boundary_is_where_it_points(self, tmp_path):
        (tmp_path / "real" / "x").mkdir(parents=True)
        (tmp_path / "root").symlink_to("real")
        (tmp_path / "all").symlink_to("/")
        assert ask("remove", path=tmp_path / "root" / "x", below=tmp_path / "root") == {"changed": True}
        with pytest.raises(Refused, match="does not lie below /"):
            ask("remove", path=tmp_path / "real", below=tmp_path / "all")


class TestPart:
    def test_the_parts_are_the_file(self, tmp_path):
        path, data = tmp_path / "rows", os.urandom(1000) + "ü\n".encode()
        path.write_bytes(data)
        found, offset, size = b"", 0, 1
        while offset < size:
            answer = ask("part", path=path, offset=offset, limit=300)
            found += zlib.decompress(base64.b64decode(answer["data"]))
            offset, size = answer["offset"], answer["size"]
        assert (found, size) == (data, len(data))

    def test_an_empty_file_has_one_empty_part(self, tmp_path):
        path = tmp_path / "rows"
        path.touch()
        answer = ask("part", path=path)
        assert (zlib.decompress(base64.b64decode(answer["data"])), answer["offset"], answer["size"]) == (b"", 0, 0)
