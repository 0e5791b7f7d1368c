from __future__ import annotations

import json
from pathlib import Path

from slipway.errors import HostUnreachable
from slipway.shell import Command, Result
from slipway.spec import DeploymentSpec
from slipway.stages.gpu_watch import GpuWatch
from slipway.stages.site import Site

OWN, OTHER = {"index": 0, "uuid": "GPU-a"}, {"index": 1, "uuid": "GPU-b"}
FOREIGN = [{"pid": 4, "gpu_uuid": "GPU-b"}, {"pid": 5, "gpu_uuid": "GPU-a"}]
ANSWER = {"time": 1.0, "gpus": [OWN, OTHER], "foreign": FOREIGN, "error": ""}
KEPT = {**ANSWER, "gpus": [OWN], "foreign": FOREIGN[1:]}


class Probed:
    """A host that knows one question, and answers it for a while."""

    def __init__(self, name: str, answers: int) -> None:
        self.name = name
        self.answers = answers

    def run(self, command: Command) -> Result:
        assert command.argv[2:] == ("probe", "gpu_load")
        assert command.stdin == b'{"deployment":"pair"}'
        if not self.answers:
            raise HostUnreachable(self.name, "is not there", hint="")
        self.answers -= 1
        return Result(self.name, command, 0, json.dumps(ANSWER), "", 0.1)


def test_a_line_a_look_for_the_own_gpus_until_a_host_does_not_answer(tmp_path: Path, spec: DeploymentSpec) -> None:
    said: list[str] = []
    hosts = {"a": Probed("a", 5), "b": Probed("b", 2)}
    path = tmp_path / "gpus.jsonl"
    path.write_text("of an earlier try\n")
    one_each = spec.model_copy(update={"hosts": [each.model_copy(update={"gpus": 1}) for each in spec.hosts]})
    watch = GpuWatch(Site(one_each, hosts, say=said.append), path)
    for _ in range(4):
        watch.look()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["hosts"] for line in lines] == [{"a": KEPT, "b": KEPT}] * 2
    assert len(said) == 1
    assert "the GPUs are not looked at any more" in said[0]
    assert hosts["a"].answers == 2


def test_a_rehearsal_has_no_gpus_to_look_at(tmp_path: Path, spec: DeploymentSpec) -> None:
    rehearsal = spec.model_copy(update={"rehearsal": True})
    GpuWatch(Site(rehearsal, {}), tmp_path / "gpus.jsonl").look()
    assert not (tmp_path / "gpus.jsonl").exists()
