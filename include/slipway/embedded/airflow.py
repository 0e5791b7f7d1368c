"""Start the embedded Airflow and stop it; nothing is done where it is already so.

Each of its four parts is a role of Slipway's agent on this machine, as Ray and vLLM are on theirs: it outlives the
terminal, is started again when it dies, and is stopped by its session.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from slipway.commands import agent, kit
from slipway.embedded.ports import WantedPort, require_free
from slipway.embedded.rest import AirflowClient, Login, open_client
from slipway.embedded.settings import PORT_SETTING, Settings, config_text, environment, last_port, write_private
from slipway.errors import AirflowUnreachable, NotConverged, NotReady, ServerDied, SlipwayError
from slipway.facts import role as role_facts
from slipway.facts.machine import taken_ports
from slipway.facts.role import RoleState
from slipway.hosts import Host, LocalHost, checked
from slipway.shell import Command

API_SERVER = "airflow.api-server"
SCHEDULER = "airflow.scheduler"
PARTS: dict[str, tuple[str, ...]] = {
    API_SERVER: ("api-server",),
    SCHEDULER: ("scheduler", "--skip-serve-logs"),
    "airflow.dag-processor": ("dag-processor",),
    "airflow.triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Airflow's parts by the name of their role, each with the arguments of the ``airflow`` command."""

TERM_S = 3
"""After this long a part is told a second time, and ends at once: an API server that is done and a triggerer that waits
for its child at times need that, and a scheduler would wait for its tasks to end, however long they are."""
TASKS_S = 8
"""How long tasks may take to clean up then."""
MIGRATION_LIMIT_S = 300.0
HEALTH_LIMIT_S = 180.0
POLL_S = 0.8
STARTED_ANEW_S = 60.0

Say = Callable[[str], None]


def up(settings: Settings, say: Say) -> Login:
    """Start what does not run yet, and answer how to log in once all parts are healthy.

    A part that runs with other settings or older code than those that lie here is started anew. Raises HostUnfit for a
    taken port (then nothing was started), ServerDied for a part that cannot live, NotReady after three minutes.
    """
    host, root = LocalHost(), str(settings.state)
    with open_lock(settings):
        install_kit(host, root)
        wanted = roles(settings)
        running = {name: state for name, state in agents(host, root).items() if name in wanted and state.alive}
        if all(name in running and running[name].digest == role.digest() for name, role in wanted.items()):
            say(f"Airflow runs already: {settings.url}")
        else:
            _start(settings, host, wanted, running, say)
        with open_client(settings.login()) as client:
            _wait_healthy(client, host, root)
    return settings.login()


def down(settings: Settings, say: Say) -> None:
    """Stop what runs of this Airflow, in stages, and say what was looked at afterwards.

    Raises NotConverged where something is left. Where nothing runs, nothing is done.
    """
    host, root = LocalHost(), str(settings.state)
    with open_lock(settings):
        install_kit(host, root)
        states = agents(host, root)
        _stop(host, root, [name for name in PARTS if name in states and _remains(states[name])], say)
        _prove_stopped(settings, host, say)


def roles(settings: Settings) -> dict[str, agent.Role]:
    """What the agent must keep running. A part that ends before the API has answered once is not started again."""
    env = environment(settings)
    return {
        name: agent.Role(
            name=name,
            steps=(Command((settings.python, "-m", "airflow", *arguments), env=env, cwd=str(settings.home)),),
            server=True,
            ready_url=f"{settings.url}/api/v2/monitor/health",
            restart=True,
            ports=(settings.port,) if name == API_SERVER else (),
        )
        for name, arguments in PARTS.items()
    }


def install_kit(host: Host, root: str) -> None:
    """Put the agent's program below ``root``, where it is not there yet."""
    if not host.run(kit.installed(root)).ok:
        checked(host.run(kit.install(root)), hint=f"is {root} writable?")


def agents(host: Host, root: str) -> dict[str, RoleState]:
    """The state of every role that this machine's agents keep below ``root``, by name."""
    return {state.role: state for state in role_facts.roles(host, root)}


@contextmanager
def open_lock(settings: Settings) -> Iterator[None]:
    """One start or stop at a time. Raises SlipwayError while another one is under way."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another start or stop of this Airflow is under way ({settings.home})"
            raise SlipwayError(message, hint="wait until it has ended") from error
        yield


def _start(
    settings: Settings, host: Host, wanted: Mapping[str, agent.Role], running: Mapping[str, RoleState], say: Say
) -> None:
    root = str(settings.state)
    current = [name for name in running if running[name].digest == wanted[name].digest()]
    _stop(host, root, [name for name in running if name not in current], say)
    if API_SERVER not in current:
        require_free(host, root, [WantedPort(settings.port, "Airflow's UI and API", f"{PORT_SETTING}=PORT")])
    write_private(settings.config_file, config_text(settings))
    say("bringing Airflow's database up to date")
    _migrate(settings, host)
    missing = [role for name, role in wanted.items() if name not in current]
    say(f"starting {', '.join(role.name for role in missing)}")
    _at_once(host, [_start_command(root, role) for role in missing])


def _start_command(root: str, role: agent.Role) -> Command:
    stages = {"term_s": TERM_S, "group_s": TASKS_S if role.name == SCHEDULER else TERM_S}
    return kit.call(root, "agent", "start", {**role.request(root), "stop": stages})


def _stop(host: Host, root: str, names: Sequence[str], say: Say) -> None:
    """Stop these parts at the same time, the API server after the others: while a task ends, it still reports to it."""
    for together in ([name for name in names if name != API_SERVER], [name for name in names if name == API_SERVER]):
        if together:
            say(f"stopping {', '.join(together)}")
            _at_once(host, [agent.stop(root, name) for name in together])


def _at_once(host: Host, commands: Sequence[Command]) -> None:
    with ThreadPoolExecutor(max_workers=len(commands)) as pool:
        for result in pool.map(host.run, commands):
            kit.reply(result)


def _migrate(settings: Settings, host: Host) -> None:
    argv = (settings.python, "-m", "airflow", "db", "migrate")
    command = Command(argv, env=environment(settings), cwd=str(settings.home), timeout_s=MIGRATION_LIMIT_S)
    checked(host.run(command), hint=f"if the database is of a newer Airflow, move {settings.home}/airflow.db away")


def _wait_healthy(client: AirflowClient, host: Host, root: str) -> None:
    began = time.monotonic()
    while True:
        sick = _sick(client)
        _require_alive(host, root)
        if not sick:
            return
        if time.monotonic() - began > HEALTH_LIMIT_S:
            message = f"Airflow is not healthy after {HEALTH_LIMIT_S:.0f} s: {', '.join(sick)}"
            raise NotReady(message, hint=f"its logs are below {root}/agents")
        time.sleep(POLL_S)


def _sick(client: AirflowClient) -> tuple[str, ...]:
    try:
        return client.health().sick
    except AirflowUnreachable:
        return ("api-server",)


def require_alive(settings: Settings) -> None:
    """Raises ServerDied for a part that its agent has given up: no run goes on without it.

    One that somebody starts anew just then is waited for.
    """
    host, root = LocalHost(), str(settings.state)
    try:
        _require_alive(host, root)
    except ServerDied:
        time.sleep(STARTED_ANEW_S)
        _require_alive(host, root)


def _require_alive(host: Host, root: str) -> None:
    states = agents(host, root)
    for name in PARTS:
        state = states.get(name, RoleState(name))
        if not state.alive:
            said = role_facts.last_lines(host, root, name)
            raise ServerDied(f"{name}: {state.ended}\n{said}", hint=f"its whole log is below {root}/agents/{name}")


def _prove_stopped(settings: Settings, host: Host, say: Say) -> None:
    root = str(settings.state)
    states = agents(host, root)
    left = [f"{name} is {states[name].state}" for name in PARTS if name in states and _remains(states[name])]
    if left:
        raise NotConverged(f"Airflow is not stopped: {', '.join(left)}", hint=f"its logs are below {root}/agents")
    say(f"no part of Airflow runs: {', '.join(PARTS)}")
    port = last_port(settings)
    taken = taken_ports(host, root, [port])
    say(f"port {port} is taken by {taken[0].owner}, not by us" if taken else f"port {port} is free")


def _remains(state: RoleState) -> bool:
    return state.alive or bool(state.orphans)
