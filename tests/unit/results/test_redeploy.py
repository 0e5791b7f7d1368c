from __future__ import annotations

from slipway.results.redeploy import told

CHANGED = {"from": "abc", "changes": [["serve.args.dtype", "half", None]], "acts": ["serve"], "downtime": True}


def test_a_run_that_is_no_deploy_says_nothing():
    assert told({}) == []


def test_a_first_deploy():
    assert told({"difference": {"from": None}}) == ["Nothing runs yet: a first deploy"]


def test_nothing_changed():
    data = {"from": "abc", "changes": [], "acts": [], "downtime": False}
    assert told({"difference": data}) == ["Nothing differs from revision abc, which runs"]


def test_a_change_with_downtime():
    assert told({"difference": CHANGED, "down_since": None, "downtime_s": 31.24}) == [
        "Changed from revision abc, which runs:",
        "  serve.args.dtype: half -> none",
        "For it serve may act: the server is stopped and started",
        "Downtime: 31.2 s from the stop of one server to the first completion of the next",
    ]


def test_a_change_that_leaves_the_server_alone():
    data = {"from": "abc", "changes": [["benchmark.seconds", 20, 30]], "acts": [], "downtime": False}
    assert told({"difference": data})[-1] == "No stage acts for it: the server runs on"
    data = {"from": "abc", "changes": [["x", 1, 2]], "acts": ["environment"], "downtime": False}
    assert told({"difference": data})[-1] == "For it environment may act: the server runs on"


def test_a_revision_that_was_refused():
    restore = {"why": "smoke: wrong", "outcome": "the last good revision abc was put back"}
    assert told({"restore": restore, "down_since": 1.0, "downtime_s": 3.0}) == [
        "Nothing answers since this run has stopped the server",
        "Not promoted: smoke: wrong",
        "Restore: the last good revision abc was put back",
    ]
