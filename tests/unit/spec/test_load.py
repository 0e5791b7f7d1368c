from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import SpecError
from slipway.spec import (
    DeployOverrides,
    canonical,
    load_deployment,
    load_deployments,
    parse_canonical,
    parse_deployment,
    parse_overrides,
    revision_id,
)

DEPLOYMENTS = Path(__file__).parents[3] / "include" / "deployments"

MINIMAL = """
version: 1
name: tiny
root: /srv/slipway
hosts: [{name: a, connection: ssh_a, address: 10.0.0.1}]
environment: {lock: cpu}
weights: {source: /models/tiny, name: tiny}
serve: {model_name: tiny}
benchmark: {levels: [{users: 1}]}
"""


def parsed(text: str):
    return parse_deployment(text, origin="tiny.yaml", base=Path("/project"))


def test_minimal_file():
    spec = parsed(MINIMAL)
    assert spec.head.address == "10.0.0.1"
    assert spec.gpus == 1
    assert spec.endpoint == "http://127.0.0.1:8000"


def test_a_repository_is_no_relative_path():
    source = f"hf:org/tiny@{'a' * 40}"
    local = MINIMAL.replace("connection: ssh_a, ", "").replace("/models/tiny", f"'{source}'")
    assert parsed(local).weights.source == source
    assert parsed(local).weights.repository == ("org/tiny", "a" * 40)


def test_all_shipped_deployments_load():
    assert [spec.name for spec in load_deployments(DEPLOYMENTS)] == ["deepseek-r1", "demo"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("serve: {", "serve: {model_nam: x, ", "serve.model_nam: unknown key, did you mean 'model_name'?"),
        ("hosts: [{", "hosts: [{gpu: 2, ", "hosts.0.gpu: unknown key, did you mean 'gpus'?"),
        ("users: 1", "users: 1, proces: 2", "benchmark.levels.0.proces: unknown key, did you mean 'processes'?"),
        ("version: 1", "version: 2", "version: Input should be 1 (given: 2)"),
        ("name: tiny\nroot", "name: Tiny\nroot", "name: String should match pattern"),
        ("/models/tiny,", "'hf:org/tiny@main',", "weights: source: a repository is named `hf:org/name@commit`"),
        ("/models/tiny,", f"'hf:org/tiny@{'a' * 40}', stage: false,", "weights: stage: a repository has no folder"),
        ("/models/tiny,", "/models/tiny, digest: xxh3, stage: false,", "weights: digest: only for what is staged"),
        (
            "/models/tiny,",
            "/models/tiny, token_file: /x,",
            "weights: token_file, token_connection, hub_endpoint: only for a source `hf:",
        ),
        (
            "{model_name: tiny}",
            "{model_name: tiny, port: 80}",
            "serve.port: Input should be greater than or equal to 1024",
        ),
        ("{model_name: tiny}", "{model_name: tiny, port: '8000'}", "serve.port: Input should be a valid integer"),
        (
            "{model_name: tiny}",
            "{model_name: tiny, tensor_parallel: 2}",
            "serve: tensor_parallel x pipeline_parallel = 2",
        ),
        (
            "{model_name: tiny}",
            "{model_name: tiny, args: {port: 1}}",
            "serve: args.port: not here, `serve.port` decides it",
        ),
        *(
            ("{model_name: tiny}", f"{{model_name: tiny, args: {{{name}: 1}}}}", f"args.{name}: not here, `{field}`")
            for name, field in {
                "distributed-executor-backend": "serve.backend",
                "nnodes": "serve.backend",
                "node-rank": "serve.backend",
                "master-addr": "serve.backend",
                "master-port": "ray.ports.block",
                "headless": "serve.backend",
            }.items()
        ),
        ("{model_name: tiny}", "{model_name: tiny, backend: uni}", "serve.backend: Input should be 'ray' or 'mp'"),
        ("{model_name: tiny}", "{model_name: tiny, args: {middleware: x}}", "args.middleware: denied"),
        *(
            ("{model_name: tiny}", f"{{model_name: tiny, args: {{{short}: x}}}}", f"would take it for --{long}")
            for short, long in {
                "middlewar": "middleware",
                "api-k": "api-key",
                "worker-c": "worker-cls",
                "trust-remote": "trust-remote-code",
                "allowed-local-media": "allowed-local-media-path",
            }.items()
        ),
        ("/models/tiny,", f"/models/tiny, trusted_code: {{m.py: {'a' * 64}}},", "weights.trusted_code: only with"),
        ("/models/tiny,", "/models/tiny, trusted_code: {m.py: abc},", "weights.trusted_code.m.py: String should match"),
        ("{model_name: tiny}", "{model_name: tiny, env: {LD_PRELOAD: x}}", "env.LD_PRELOAD: denied"),
        ("{model_name: tiny}", "{model_name: tiny, env: {PYTHONPATH: x}}", "env.PYTHONPATH: denied"),
        (
            "{model_name: tiny}",
            "{model_name: tiny, env: {RAY_ADDRESS: x}}",
            "env.RAY_ADDRESS: Slipway sets this one itself",
        ),
        ("{lock: cpu}", "{lock: cpu, existing: /x}", "exactly one of `lock` and `existing`"),
        ("{lock: cpu}", "{lock: ../../etc/passwd}", "environment.lock: String should match pattern"),
        ("levels: [{users: 1}]", "levels: [{users: 1}, {users: 1}]", "two levels have the same load"),
        (
            "levels: [",
            "workers: [{name: w, address: 10.0.0.9}, {name: w, address: 10.0.0.8}], levels: [",
            "benchmark: workers: name 'w' stands twice",
        ),
        (
            "levels: [",
            "workers: [{name: w, connection: w, address: 10.0.0.9}], levels: [",
            "benchmark.workers: w cannot reach serve.host 127.0.0.1",
        ),
        ("{users: 1}", "{users: 1, rate: 2}", "benchmark.levels.0: give either `users` or `rate`"),
        ("levels: [", "ca_file: c.pem, levels: [", "benchmark: ca_file: only beside an `https` `url`"),
        ("levels: [", "url: 'http://key@h/', levels: [", "benchmark.url: String should match pattern"),
        ("{users: 1}", "{rate: 1, trace: {file: t}}", "benchmark.levels.0: give either `users` or `rate`, or `steps`"),
        ("{users: 1}", "{steps: [{rate: 1, users: 1, seconds: 2}]}", "steps.0: give either `users` or `rate`"),
        ("{users: 1}", "{steps: [{rate: 1, seconds: 2}, {users: 1, seconds: 2}]}", "all of `users`, or all of `rate`"),
        ("{users: 1}", "{steps: [{rate: 0, seconds: 2}]}", "none of them has any load"),
        ("address: 10.0.0.1}", "address: 10.0.0.1}, {name: a, address: 10.0.0.2}", "name 'a' stands twice"),
        ("address: 10.0.0.1}", "address: 10.0.0.1}, {name: b, address: 10.0.0.1}", "address '10.0.0.1' stands twice"),
        ("address: 10.0.0.1", "address: 127.0.0.1", "hosts: a: Ray replaces 127.0.0.1"),
        ("root: /srv/slipway", "root: srv", "root: 'srv' is not absolute"),
        *(
            (
                "name: tiny\nroot",
                f"name: tiny\npreflight: {{{key}: {value}}}\nroot",
                f"preflight.{key}: {fault}",
            )
            for key, value, fault in (
                ("schedule", "61 2 * * *", "'61 2 * * *' is not cron's five fields"),
                ("schedule", "0 0 2 * * *", "'0 0 2 * * *' is not cron's five fields"),
                ("schedule", "'@daily'", "'@daily' is not cron's five fields"),
                ("timezone", "Berlin", "'Berlin' is no time zone"),
            )
        ),
        ("name: tiny\nroot", "name: tiny\nray: {ports: {gcs: 20100}}\nroot", "Ray's ports overlap"),
    ],
)
def test_faults_name_the_field(old, new, named):
    assert old in MINIMAL
    with pytest.raises(SpecError) as caught:
        parsed(MINIMAL.replace(old, new, 1))
    assert named in str(caught.value)
    assert "next:" in str(caught.value)


@pytest.mark.parametrize(("gpus", "tensor_parallel", "fits"), [(2, 4, True), (2, 2, False), (4, 4, False)])
def test_mp_takes_every_gpu_of_hosts_that_are_alike(gpus, tensor_parallel, fits):
    """vLLM takes the ranks of one host from how many devices it has, not from how many it was asked to use."""
    hosts = f"hosts: [{{name: a, address: 10.0.0.1, gpus: 2}}, {{name: b, address: 10.0.0.2, gpus: {gpus}}}]"
    serve = f"{{model_name: tiny, backend: mp, tensor_parallel: {tensor_parallel}}}"
    text = MINIMAL.replace("hosts: [{name: a, connection: ssh_a, address: 10.0.0.1}]", hosts)
    if fits:
        assert parsed(text.replace("{model_name: tiny}", serve)).serve.backend == "mp"
        return
    with pytest.raises(SpecError, match="backend mp gives each of 2 hosts the same share of"):
        parsed(text.replace("{model_name: tiny}", serve))


def test_all_faults_are_listed_at_once():
    with pytest.raises(SpecError) as caught:
        parsed(MINIMAL.replace("users: 1", "users: 0").replace("{model_name: tiny}", "{port: 1}"))
    message = str(caught.value)
    assert "serve.model_name: Field required" in message
    assert "serve.port" in message
    assert "benchmark.levels.0" in message


@pytest.mark.parametrize(
    "text", ["", "[]", "version: [", "a: &x 1\nb: *x\n", "\t", "!!python/object/apply:os.system [ls]"]
)
def test_bad_yaml_is_a_spec_error(text):
    with pytest.raises(SpecError):
        parsed(text)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SpecError, match="No such file"):
        load_deployment(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("#" * 300_000)
    with pytest.raises(SpecError, match="larger than"):
        load_deployment(large)


def test_the_file_bears_the_deployments_name(tmp_path):
    (tmp_path / "other.yaml").write_text(MINIMAL)
    with pytest.raises(SpecError, match="name is 'tiny'"):
        list(load_deployments(tmp_path))


def test_relative_paths_are_anchored_for_local_hosts_only(tmp_path):
    folder = tmp_path / "include" / "deployments"
    folder.mkdir(parents=True)
    local = MINIMAL.replace("connection: ssh_a", "connection: local").replace("/srv/slipway", "state")
    (folder / "tiny.yaml").write_text(local)
    assert load_deployment(folder / "tiny.yaml").root == str(tmp_path / "state")


def test_a_data_set_is_anchored_wherever_the_hosts_are(tmp_path):
    folder = tmp_path / "include" / "deployments"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(MINIMAL.replace("{users: 1}]", "{users: 1}], dataset: data/chats.jsonl"))
    assert load_deployment(folder / "tiny.yaml").benchmark.dataset == str(tmp_path / "data" / "chats.jsonl")


def test_revision_names_the_content():
    spec = parsed(MINIMAL)
    assert parse_canonical(canonical(spec)) == spec
    assert revision_id(parsed(MINIMAL + "\n# a comment\n")) == revision_id(spec)
    assert revision_id(parsed(MINIMAL.replace("users: 1", "users: 2"))) != revision_id(spec)
    assert len(revision_id(spec)) == 12


class TestOverrides:
    def test_nothing_changes_nothing(self):
        spec = parsed(MINIMAL)
        same, overrides = parse_overrides({}, spec, DeployOverrides)
        assert revision_id(same) == revision_id(spec)
        assert overrides.reason == ""

    def test_users_and_rates_are_changed_apart(self):
        spec = parsed(MINIMAL.replace("{users: 1}", "{users: 10, spawn_rate: 2}, {rate: 2.5, processes: 4}"))

        def changed(**conf):
            levels = parse_overrides(conf, spec, DeployOverrides)[0].benchmark.levels
            return [(level.load, level.spawn_rate, level.processes) for level in levels]

        assert changed() == changed(users=[10], rates=[2.5]) == [("10 users", 2, 1), ("2.5 req/s", 10, 4)]
        assert changed(users=[]) == [("2.5 req/s", 10, 4)]
        assert changed(rates=[]) == [("10 users", 2, 1)]
        assert changed(rates=[7, 2.5]) == [("10 users", 2, 1), ("7 req/s", 10, 1), ("2.5 req/s", 10, 4)]

    def test_levels_with_a_shape_are_chosen_by_their_load(self):
        levels = "{users: 1}, {steps: [{rate: 5, to: 20, seconds: 60}]}, {trace: {file: /t/chat.jsonl, speed: 2}}"
        spec = parsed(MINIMAL.replace("{users: 1}", levels))
        ramp, trace = "5 to 20 req/s for 60 s", "trace chat.jsonl at 2 times its speed"

        def loads(**conf):
            return [level.load for level in parse_overrides(conf, spec, DeployOverrides)[0].benchmark.levels]

        assert loads() == ["1 users", ramp, trace]
        assert loads(users=[], shapes=[trace]) == [trace]
        assert loads(shapes=[]) == ["1 users"]
        with pytest.raises(SpecError, match="the file has no level 'x'"):
            loads(shapes=["x"])

    def test_levels_keep_what_the_file_says_of_them(self):
        spec = parsed(MINIMAL.replace("{users: 1}", "{users: 10, spawn_rate: 2, processes: 8}"))
        changed, _ = parse_overrides({"users": [10, 50], "seconds": 7}, spec, DeployOverrides)
        assert [(level.users, level.spawn_rate, level.processes) for level in changed.benchmark.levels] == [
            (10, 2, 8),
            (50, 10, 1),
        ]
        assert changed.benchmark.seconds == 7

    def test_serve_args_are_merged(self):
        spec = parsed(MINIMAL.replace("{model_name: tiny}", "{model_name: tiny, args: {max-num-seqs: 8, dtype: half}}"))
        changed, _ = parse_overrides({"serve_args": {"max-num-seqs": 16}}, spec, DeployOverrides)
        assert changed.serve.args == {"max-num-seqs": 16, "dtype": "half"}

    @pytest.mark.parametrize(
        ("conf", "named"),
        [
            ({"user": [1]}, "conf: user: unknown key, did you mean 'users'?"),
            ({"users": []}, "benchmark.levels"),
            ({"users": [0]}, "conf: users.0"),
            ({"rates": [-1.5]}, "benchmark.levels.1.rate"),
            ({"users": "10"}, "conf: users"),
            ({"seconds": 0}, "conf: seconds"),
            ({"serve_args": {"port": 1}}, "args.port: not here"),
            ({"serve_args": {"--x": 1}}, "serve_args"),
        ],
    )
    def test_faults_name_the_key(self, conf, named):
        with pytest.raises(SpecError) as caught:
            parse_overrides(conf, parsed(MINIMAL), DeployOverrides)
        assert named in str(caught.value)


class TestBeside:
    FILE = (
        MINIMAL.replace("serve: {model_name: tiny}", "serve: {model_name: tiny, host: 0.0.0.0}")
        + """
redeploy: {swap: beside}
beside:
  hosts: [{name: b, connection: ssh_b, address: 10.0.0.2}]
  router: {connection: ssh_r, address: 10.0.0.9, python: /opt/router/bin/python}
"""
    )

    def test_clients_ask_the_router_whichever_side_serves(self):
        spec = parsed(self.FILE)
        swapped = parse_canonical(canonical(spec.swapped()))
        assert (spec.endpoint, swapped.endpoint) == ("http://10.0.0.1:8000", "http://10.0.0.2:8000")
        assert spec.entrance == swapped.entrance == "http://10.0.0.9:8090"
        assert swapped.swapped() == spec
        assert [host.connection for host in swapped.at_router().hosts] == ["ssh_r"]

    def test_without_spare_hosts_clients_ask_the_server(self):
        spec = parsed(MINIMAL)
        assert (spec.entrance, spec.swapped(), spec.machines) == (spec.endpoint, spec, spec.hosts)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("redeploy: {swap: beside}", "", "neither without the other"),
            ("ssh_b, address: 10.0.0.2", "ssh_b, address: 10.0.0.2, gpus: 2", "as many GPUs as the one at its place"),
            ("connection: ssh_b", "connection: ssh_a", "by other connections"),
            ("name: b,", "name: a,", "name 'a' stands twice"),
            ("host: 0.0.0.0", "host: 10.0.0.1", "it is 0.0.0.0"),
            ("redeploy:", "sweep: {grid: {serve.args.max-num-seqs: [2]}}\nredeploy:", "sweep: not with"),
            ("10.0.0.2", "127.0.0.1", "use 127.0.0.2"),
        ],
    )
    def test_what_does_not_fit_is_named(self, old, new, said):
        with pytest.raises(SpecError, match=said):
            parsed(self.FILE.replace(old, new))
