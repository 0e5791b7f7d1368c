"""Each route, asked of a real server: who gets what, and that it is what the store holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from plugin.conftest import LEFT

ROUTES = {
    "/api/deployments": "/slipway/api/deployments",
    "/api/deployments/{name}/runs": "/slipway/api/deployments/red/runs",
    "/api/runs/{run_id}": "/slipway/api/runs/{red.deploy}",
    "/api/overview": "/slipway/api/overview",
    "/api/deployments/{name}/trends": "/slipway/api/deployments/red/trends",
    "/api/deployments/{name}/revisions": "/slipway/api/deployments/red/revisions",
    "/api/deployments/{name}/revisions/{revision_id}/points": "/slipway/api/deployments/red/revisions/{red}/points",
    "/api/deployments/{name}/actions": "/slipway/api/deployments/red/actions",
    "/api/dag-run": "/slipway/api/dag-run?dag_id=red.deploy&dag_run_id=r1",
    "/api/runs/{run_id}/files": "/slipway/api/runs/{red.deploy}/files",
    "/api/runs/{run_id}/files/{name:path}": "/slipway/api/runs/{red.deploy}/files/users-10/report.html",
    "/api/compare": "/slipway/api/compare?run={red.deploy}&run={red.benchmark}",
    "/page.js": "/slipway/page.js",
}
"""Each route, and how it is asked for something that is there."""
ANSWERS = [route for route in ROUTES if route.startswith("/api/") and not route.endswith("/actions")]
"""Those that read the store."""

DAG = "/api/v2/dags/red.deploy"
BODY = {"logical_date": None, "dag_run_id": "asked", "conf": {}}
ROLLBACK = {**BODY, "conf": {"revision": "0123456789ab", "reason": "back"}}
ACTS = [
    ("POST", f"{DAG}/dagRuns", BODY),
    ("POST", f"{DAG}/dagRuns", ROLLBACK),
    ("PATCH", DAG, {"is_paused": True}),
    ("POST", f"{DAG}/clearTaskInstances", {"dry_run": True}),
    ("DELETE", DAG, None),
]
FOREIGN = "http://elsewhere.example"


def path_of(airflow: Any, route: str, team: str = "red") -> str:
    path = ROUTES[route]
    for job in ("deploy", "benchmark"):
        path = path.replace(f"{{red.{job}}}", str(airflow.runs[f"{team}.{job}"]))
    return path.replace("{red}", airflow.revisions[team]).replace("red", team)


def fetched(airflow: Any, path: str, user: str = "admin") -> Any:
    with airflow.client(user) as client:
        answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def status(airflow: Any, path: str, user: str | None) -> int:
    with airflow.client(user) as client:
        code: int = client.get(path).status_code
        return code


class TestTheDoor:
    def test_no_route_is_left_out_here(self, airflow: Any) -> None:
        from slipway.ui.api import app

        assert {getattr(route, "path", "") for route in app.routes} == set(ROUTES)

    @pytest.mark.parametrize("route", ROUTES)
    def test_without_a_login_401(self, airflow: Any, route: str) -> None:
        assert status(airflow, path_of(airflow, route), None) == 401

    @pytest.mark.parametrize("route", ROUTES)
    def test_with_a_forged_login_403(self, airflow: Any, route: str) -> None:
        forged = {"Authorization": f"Bearer {airflow.token('admin')}x"}
        assert httpx.get(airflow.url + path_of(airflow, route), headers=forged, trust_env=False).status_code == 403

    @pytest.mark.parametrize("route", ROUTES)
    def test_without_any_right_403(self, airflow: Any, route: str) -> None:
        assert status(airflow, path_of(airflow, route), "nobody") == 403

    @pytest.mark.parametrize("route", ROUTES)
    @pytest.mark.parametrize("user", ["admin", "red-viewer"])
    def test_with_the_right_200(self, airflow: Any, route: str, user: str) -> None:
        assert status(airflow, path_of(airflow, route), user) == 200

    @pytest.mark.parametrize("route", ROUTES)
    def test_the_browsers_cookie_is_a_login(self, airflow: Any, route: str) -> None:
        cookies = {"_token": airflow.token("red-viewer")}
        answer = httpx.get(airflow.url + path_of(airflow, route), cookies=cookies, trust_env=False)
        assert answer.status_code == 200

    @pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json"])
    def test_nothing_else_is_served(self, airflow: Any, path: str) -> None:
        assert status(airflow, f"/slipway/{path}", None) == 404

    def test_a_viewer_sees_only_deployments_whose_dag_he_may_read(self, airflow: Any) -> None:
        seen = fetched(airflow, "/slipway/api/deployments", "red-viewer")["deployments"]
        assert [each["name"] for each in seen] == ["red"]
        cards = fetched(airflow, "/slipway/api/overview", "red-viewer")["cards"]
        assert [card["deployment"]["name"] for card in cards] == ["red"]

    @pytest.mark.parametrize("route", [route for route in ROUTES if "red" in ROUTES[route]])
    def test_what_is_out_of_a_viewers_sight_is_403(self, airflow: Any, route: str) -> None:
        path = path_of(airflow, route, "blue")
        assert status(airflow, path, "red-viewer") == 403
        assert status(airflow, path, "admin") == 200

    @pytest.mark.parametrize("user", ["admin", "red-viewer"])
    @pytest.mark.parametrize(
        "path",
        ["deployments/green/runs", "deployments/green/trends", "runs/2147483647", "dag-run?dag_id=x&dag_run_id=r1"],
    )
    def test_what_is_not_there_is_404(self, airflow: Any, user: str, path: str) -> None:
        assert status(airflow, f"/slipway/api/{path}", user) == 404

    @pytest.mark.parametrize(
        "path",
        [
            *(
                "runs/0",
                "runs/0/files",
                "runs/0/files/a",
                "runs/2147483648",
                "runs/one",
                "deployments/a%00b/runs",
                "deployments/Red/runs",
            ),
            *("deployments/red/revisions/one/points", "dag-run?dag_id=a%00b&dag_run_id=r1", "dag-run?dag_id=a"),
            *(
                "compare",
                "compare?run=1",
                "compare?run=1&run=0",
                "compare?run=1&run=x",
                "compare?" + "&".join(["run=1"] * 7),
            ),
        ],
    )
    def test_what_is_no_id_and_no_name_is_422(self, airflow: Any, path: str) -> None:
        assert status(airflow, f"/slipway/api/{path}", "admin") == 422


class TestTheAnswers:
    def test_deployments_stand_as_they_are(self, airflow: Any) -> None:
        by_name = {each["name"]: each for each in fetched(airflow, "/slipway/api/deployments")["deployments"]}
        blue, red = by_name["blue"], by_name["red"]
        assert (blue["name"], blue["rehearsal"]) == ("blue", False)
        assert (red["name"], red["rehearsal"]) == ("red", True)
        assert (red["current"]["endpoint"], red["current"]["state"]) == ("http://127.0.0.1:28000", "serving")
        assert red["current"]["revision_id"] == red["last_run"]["revision_id"]
        assert (red["last_run"]["job"], red["last_run"]["verdict"]) == ("benchmark", None)
        assert (red["last_judged"]["job"], red["last_judged"]["verdict"]) == ("deploy", "same")
        assert red["last_run"]["rehearsal"] is red["last_judged"]["rehearsal"] is True

    def test_runs_come_newest_first_up_to_the_limit(self, airflow: Any) -> None:
        path = "/slipway/api/deployments/red/runs"
        newest, older = fetched(airflow, path)["runs"]
        assert (newest["id"], older["id"]) == (airflow.runs["red.benchmark"], airflow.runs["red.deploy"])
        assert (older["state"], older["verdict_reason"], older["reason"]) == ("success", "within 5 %", "a new driver")
        assert newest["rehearsal"] is older["rehearsal"] is True
        assert fetched(airflow, f"{path}?limit=1")["runs"] == [newest]

    @pytest.mark.parametrize("limit", ["0", "501", "many"])
    @pytest.mark.parametrize("what", ["runs", "trends", "revisions"])
    def test_a_limit_out_of_bounds_is_422(self, airflow: Any, what: str, limit: str) -> None:
        assert status(airflow, f"/slipway/api/deployments/red/{what}?limit={limit}", "admin") == 422

    def test_a_card_says_what_runs_where_and_how_fast(self, airflow: Any) -> None:
        cards = fetched(airflow, "/slipway/api/overview")["cards"]
        (red,) = [card for card in cards if card["deployment"]["name"] == "red"]
        assert (red["deployment"]["name"], red["deployment"]["rehearsal"]) == ("red", True)
        assert red["serving"] == {
            "model_name": "smollm2",
            "hosts": [{"name": "here", "address": "127.0.0.2", "gpus": 1}],
            "docs": "http://127.0.0.1:28000/docs",
            "dashboard": "http://127.0.0.1:28265",
        }
        (peak,) = red["peaks"]
        assert (peak["run_id"], peak["rehearsal"]) == (airflow.runs["red.deploy"], True)
        assert peak["output_tokens_per_s"] == 227.55555555555554

    def test_trends_give_runs_oldest_first_with_their_cells(self, airflow: Any) -> None:
        trends = fetched(airflow, "/slipway/api/deployments/red/trends")
        deployed, measured = trends["steps"]
        assert (deployed["id"], measured["id"]) == (airflow.runs["red.deploy"], airflow.runs["red.benchmark"])
        assert (deployed["verdict"], deployed["ready"], deployed["rehearsal"]) == ("same", None, True)
        points = trends["points"]
        assert (points["run_id"], points["users"], points["validity"]) == (
            [airflow.runs["red.deploy"]],
            [10],
            ["valid"],
        )
        assert (points["ttft_p95"], points["ttft_p99"], points["itl_p50"]) == ([0.1 + 0.2], [0.4], [None])
        of_revision = f"/slipway/api/deployments/red/revisions/{airflow.revisions['red']}/points"
        assert fetched(airflow, of_revision)["points"] == points

    def test_the_files_of_a_run_are_listed_and_given_to_be_saved(self, airflow: Any) -> None:
        path = path_of(airflow, "/api/runs/{run_id}/files")
        listed = fetched(airflow, path)["files"]
        assert [(each["name"], each["bytes"]) for each in listed] == sorted(
            (name, len(text)) for name, text in LEFT.items()
        )
        with airflow.client("red-viewer") as client:
            given = {name: client.get(f"{path}/{name}") for name in LEFT}
        assert {name: answer.text for name, answer in given.items()} == LEFT
        report = given["users-10/report.html"].headers
        assert report["content-disposition"].startswith("attachment;")
        assert (report["content-type"], report["x-content-type-options"]) == ("application/octet-stream", "nosniff")
        assert "sandbox" in report["content-security-policy"]

    def test_a_run_without_files_has_an_empty_list(self, airflow: Any) -> None:
        path = f"/slipway/api/runs/{airflow.runs['red.benchmark']}/files"
        assert fetched(airflow, path) == {"files": []}

    @pytest.mark.parametrize(
        "name",
        [
            *("..%2F..%2Fpasswords.json", "%2E%2E/%2E%2E/passwords.json", "users-10/..%2F..%2F..%2Fpasswords.json"),
            *("%2Fetc%2Fpasswd", "link.txt", "linked/passwords.json", "users-10", "users-10/", "a%00b"),
        ],
    )
    def test_no_name_leads_out_of_the_runs_folder(self, airflow: Any, name: str) -> None:
        path = f"{path_of(airflow, '/api/runs/{run_id}/files')}/{name}"
        with airflow.client("admin") as client:
            answer = client.get(path)
        assert (answer.status_code, "password" in answer.text) == (404, False)

    def test_runs_are_held_against_the_first(self, airflow: Any) -> None:
        (other,) = fetched(airflow, path_of(airflow, "/api/compare"))["runs"]
        assert (other["run_id"], other["differences"]) == (airflow.runs["red.benchmark"], [])
        mixed = f"/slipway/api/compare?run={airflow.runs['red.deploy']}&run={airflow.runs['blue.deploy']}"
        (blue,) = fetched(airflow, mixed)["runs"]
        assert blue["unlike"] == ["rehearsal true then, false now"]
        assert {each["limit_percent"] for each in blue["differences"]} == {None}
        assert status(airflow, mixed, "red-viewer") == 403

    def test_revisions_come_with_their_file(self, airflow: Any) -> None:
        answer = fetched(airflow, "/slipway/api/deployments/red/revisions")
        (revision,) = answer["revisions"]
        assert (answer["current"], answer["baseline"]) == (airflow.revisions["red"], None)
        assert (revision["id"], revision["changes"], revision["rehearsal"]) == (airflow.revisions["red"], None, True)
        assert revision["spec"]["serve"]["model_name"] == "smollm2"

    def test_what_may_be_started_is_by_airflows_own_rights(self, airflow: Any) -> None:
        path = "/slipway/api/deployments/red/actions"
        assert fetched(airflow, path) == {"benchmark": "absent", "deploy": "ready"}
        assert fetched(airflow, path, "red-viewer") == {"benchmark": "absent", "deploy": "forbidden"}

    def test_a_dag_run_is_found(self, airflow: Any) -> None:
        run = fetched(airflow, "/slipway/api/dag-run?dag_id=blue.benchmark&dag_run_id=r1")
        assert (run["id"], run["deployment"]) == (airflow.runs["blue.benchmark"], "blue")

    def test_a_run_is_given_whole(self, airflow: Any) -> None:
        whole = fetched(airflow, f"/slipway/api/runs/{airflow.runs['red.deploy']}")
        (stage,), (check,), (cell,) = whole["stages"], whole["smoke"], whole["cells"]
        assert (whole["run"]["deployment"], whole["run"]["rehearsal"]) == ("red", True)
        assert (stage["name"], stage["actions"], stage["detail"]["hosts"]) == ("serve", 2, ["head"])
        assert stage["seconds"] >= 0
        assert (check["name"], check["passed"], check["seconds"]) == ("models", True, 0.02)
        assert (cell["users"], cell["output_tokens"], cell["rehearsal"]) == (10, 2**40, True)
        assert (cell["ttft"]["p95"], cell["ttft"]["maximum"], cell["itl"]) == (0.1 + 0.2, 1.000000000000001, None)
        assert whole["snapshot"]["versions"] == {"ray": "2.60.0"}

    @pytest.mark.parametrize("route", ANSWERS)
    def test_no_secret_leaves(self, airflow: Any, route: str) -> None:
        with airflow.client("admin") as client:
            assert "canary" not in client.get(path_of(airflow, route)).text

    @pytest.mark.parametrize("route", ANSWERS)
    def test_a_store_that_is_away_is_503_without_its_address(self, airflow: Any, route: str) -> None:
        with store_away(airflow.home), airflow.client("admin") as client:
            answer = client.get(path_of(airflow, route))
        assert answer.status_code == 503
        assert "sqlite" not in answer.text
        assert status(airflow, path_of(airflow, route), "admin") == 200


@contextmanager
def store_away(home: Path) -> Iterator[None]:
    """A folder in the place of the database."""
    store, aside = home / "slipway.db", home / "aside.db"
    store.rename(aside)
    store.mkdir()
    try:
        yield
    finally:
        store.rmdir()
        aside.rename(store)


@pytest.mark.parametrize(("method", "path", "body"), ACTS, ids=["deploy", "roll back", "pause", "clear", "delete"])
@pytest.mark.parametrize("user", ["red-viewer", "nobody"])
def test_a_viewer_starts_and_changes_nothing(airflow: Any, user: str, method: str, path: str, body: Any) -> None:
    with airflow.client(user) as client:
        assert client.request(method, path, json=body).status_code == 403
    assert not {"asked", "forged"} & runs(airflow)


def test_it_is_the_right_that_he_lacks(airflow: Any) -> None:
    """Who may is told of the fault in what he asks for."""
    for user, status in {"red-viewer": 403, "admin": 422}.items():
        with airflow.client(user) as client:
            assert client.post(f"{DAG}/dagRuns", json={"conf": "no object"}).status_code == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_of_a_page_elsewhere_starts_nothing(airflow: Any, kind: str) -> None:
    """What a browser sends to another site without asking it first, were the cookie with it."""
    headers = {"Content-Type": kind, "Origin": FOREIGN, "Referer": FOREIGN}
    asked = {"headers": headers, "cookies": {"_token": airflow.token("admin")}, "trust_env": False, "timeout": 30}
    content = '{"logical_date": null, "dag_run_id": "forged", "conf": {}}'
    answer = httpx.post(f"{airflow.url}{DAG}/dagRuns", content=content, **asked)
    assert answer.status_code in (403, 415, 422), answer.text
    assert not {"asked", "forged"} & runs(airflow)


def test_a_page_elsewhere_may_not_ask_for_more(airflow: Any) -> None:
    """A browser asks first, before it sends JSON to another site."""
    headers = {
        "Origin": FOREIGN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    for path in (f"{DAG}/dagRuns", "/slipway/api/deployments"):
        answer = httpx.options(airflow.url + path, headers=headers, trust_env=False, timeout=30)
        assert "access-control-allow-origin" not in answer.headers


def runs(airflow: Any) -> set[str]:
    with airflow.client("admin") as client:
        answer = client.get(f"{DAG}/dagRuns")
    return {run["dag_run_id"] for run in answer.json()["dag_runs"]}
