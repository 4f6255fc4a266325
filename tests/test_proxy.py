"""Optuna's gRPC proxy: machines at one study through one port, and what dies there."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import optuna
import pytest
from conftest import ROOT
from test_workers import (
    KILLED,
    check_nothing_was_lost,
    kill_a_worker,
    load,
    open_search,
    slow_sweep,
    trial_elsewhere,
    write_sweep,
)

from genbench import UserError, commands, signals
from genbench.cli import guard
from genbench.record import read_studies
from genbench.search import proxy, study
from genbench.search import trial as trials

QUICK = "from genbench.search import study; study.HEARTBEAT, study.GRACE = 1, 2; "
MAIN = "from genbench.commands import main; main()"


class Server:
    """`genbench storage` in a folder; a quick one expects a beat every second."""

    def __init__(self, folder, quick):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.code = QUICK * quick + MAIN
        self.folder, self.url = folder, f"grpc://127.0.0.1:{self.port}"
        self.database = f"sqlite:///{folder}/runs/optuna.db"
        self.start()

    def start(self):
        command = [sys.executable, "-c", self.code, "storage", f"--port={self.port}"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=self.folder, **pipes)
        self.said = [self.process.stdout.readline() for _ in range(3)]

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


@pytest.fixture
def server(tmp_path, request):
    one = Server(tmp_path, quick="quick" in request.fixturenames)
    yield one
    if one.process.poll() is None:
        one.stop(signal.SIGKILL)


@pytest.fixture
def quick(monkeypatch):
    """Who is missed is missed soon, here too."""
    monkeypatch.setattr(study, "HEARTBEAT", 1)
    monkeypatch.setattr(study, "GRACE", 2)
    monkeypatch.setattr(proxy, "PATIENCE", 1)


class Trained(list):
    """The points that were "trained", each in no time; `meanwhile` is called in the first."""

    def __init__(self, monkeypatch):
        self.meanwhile = None
        monkeypatch.setattr(trials, "train", self.train)

    def train(self, config, *, trial, **more):
        trial.set_user_attr("run", "none")
        if call := self.meanwhile:
            self.meanwhile = None
            call()
        trial.report(-float(config.latent_dim), 1)
        self.append(config.latent_dim)
        return {"val/elbo": -float(config.latent_dim)}


@pytest.fixture
def trained(monkeypatch):
    return Trained(monkeypatch)


def grid(tmp_path, *values):
    return write_sweep(tmp_path, {"latent_dim": {"values": list(values)}})


def test_the_server_says_what_to_type_and_ctrl_c_closes_it(server):
    assert f"--storage={server.url}" in server.said[1]
    assert f"ssh -fNL {server.port}:127.0.0.1:{server.port}" in server.said[2]
    out, err = server.stop()
    assert (server.process.returncode, err) == (0, signals.HINT)
    assert "closed; the studies are kept" in out
    socket.create_server(("127.0.0.1", server.port)).close()


def test_a_killed_worker_is_missed_and_its_trial_run_again(tmp_path, server):
    script = str(ROOT / "experiments" / "optuna_vae.py")
    command = [sys.executable, script, f"--sweep={slow_sweep(tmp_path)}", *KILLED]
    log = tmp_path / "log"
    assert kill_a_worker([*command, f"--storage={server.url}"], log, server.database) == 0
    (record,) = read_studies(tmp_path / "runs")
    check_nothing_was_lost(record, log.read_text())
    assert len(load(server.database)) == len(record["trials"])


def test_two_machines_share_a_grid_through_it(tmp_path, server):
    """Two processes with folders of their own, started at once: no point is run twice."""
    path = write_sweep(tmp_path, {"latent_dim": {"values": [1, 2, 3, 4]}})
    flags = [
        f"--sweep={path}",
        "--trials=4",
        "--final_epochs=1",
        "--final_seeds=1",
        "--wandb=disabled",
    ]
    script = str(ROOT / "experiments" / "optuna_vae.py")
    logs = [tmp_path / name for name in ("one", "two")]
    machines = []
    for log in logs:
        command = [sys.executable, script, *flags, f"--storage={server.url}"]
        with log.open("w") as out:
            machines.append(
                subprocess.Popen([*command, f"--runs_dir={log}-runs"], stdout=out, stderr=out)
            )
    for machine, log in zip(machines, logs, strict=True):
        assert machine.wait(200) == 0, log.read_text()
    done = [t.params["latent_dim"] for t in load(server.database) if t.state.name == "COMPLETE"]
    assert sorted(done) == [1, 2, 3, 4]
    for log in logs:
        (record,) = read_studies(f"{log}-runs")
        assert {t["params"]["latent_dim"] for t in record["trials"]} == {1, 2, 3, 4}


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("direct", [True, False])
def test_a_living_trial_is_left_and_a_dead_one_taken_also_beside_the_proxy(
    tmp_path, server, quick, trained, alive, direct
):
    """On the laptop a search may open the database itself: both kinds miss each other's dead."""
    path = grid(tmp_path, 2, 3)
    other = open_search(path, tmp_path / "runs", storage=server.database if direct else server.url)
    search = open_search(path, tmp_path / "there", storage=server.url, trials=5)
    with trial_elsewhere(other) as number:
        search.run()
        assert len(trained) == 1
        if alive:
            assert search.elsewhere() == 1
            assert search.study.trials[number].state.name == "RUNNING"
    if not alive:
        assert search.elsewhere() == 0
        assert sorted(trained) == [2, 3]
        states = Counter(trial.state.name for trial in load(server.database))
        assert states == {"FAIL": 1, "COMPLETE": 2}


def test_a_dead_trial_of_the_proxys_is_missed_by_who_opens_the_database(
    tmp_path, server, quick, trained
):
    path = grid(tmp_path, 2, 3)
    other = open_search(path, tmp_path / "there", storage=server.url)
    with trial_elsewhere(other):
        pass
    server.stop()
    time.sleep(2.5)
    search = open_search(path, tmp_path / "runs", storage=server.database, trials=5)
    search.run()
    assert sorted(trained) == [2, 3]
    assert search.elsewhere() == 0


def test_a_proxy_that_is_gone_is_named_and_the_same_search_goes_on_later(
    tmp_path, server, quick, trained, capsys
):
    def search():
        return open_search(grid(tmp_path, 2, 3), tmp_path / "there", storage=server.url)

    first = search()
    assert len(first.study.trials) == 2
    trained.meanwhile = lambda: server.stop(signal.SIGKILL)
    with pytest.raises(SystemExit) as left:
        guard(first.run)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert f"error: storage: the study's database fails ({server.url}: does not answer; " in said
    assert "the same command goes on with it" in said
    assert trained == []
    server.start()
    again = search()
    again.run()
    assert again.elsewhere() == 0
    assert sorted(trained) == [2, 3]
    states = Counter(trial.state.name for trial in again.study.trials)
    assert states == {"FAIL": 1, "COMPLETE": 2}


def test_a_proxy_that_is_restarted_is_found_again(tmp_path, server, quick, trained, monkeypatch):
    monkeypatch.setattr(proxy, "PATIENCE", 30)
    search = open_search(grid(tmp_path, 2, 3), tmp_path / "there", storage=server.url)

    def restart():
        server.stop(signal.SIGKILL)
        threading.Timer(1, server.start).start()

    trained.meanwhile = restart
    search.run()
    assert sorted(trained) == [2, 3]
    assert len(search.completed()) == 2


def test_a_proxy_that_does_not_answer_or_has_no_such_form_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "FIRST_PATIENCE", 1)
    for url, why in [
        ("grpc://127.0.0.1:1", "does not answer"),
        ("grpc://127.0.0.1", "write grpc://HOST:PORT"),
        ("grpc://laptop:port", "write grpc://HOST:PORT"),
    ]:
        search = open_search(grid(tmp_path, 2), tmp_path / "runs", storage=url)
        with pytest.raises(UserError, match=f"storage={url}: cannot be opened .*{why}"):
            search.run()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        url = f"grpc://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="does not answer"):
            open_search(grid(tmp_path, 2), tmp_path / "runs", storage=url).run()


def test_without_grpc_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delitem(sys.modules, "genbench.search.proxy")
    monkeypatch.delattr("genbench.search.proxy")
    extra = r"pip install 'genbench\[grpc\]'"
    with pytest.raises(UserError, match=extra):
        commands.storage(str(tmp_path))
    search = open_search(grid(tmp_path, 2), tmp_path / "runs", storage="grpc://127.0.0.1:1")
    with pytest.raises(UserError, match=f"storage=grpc://127.0.0.1:1: .*{extra}"):
        search.run()


def test_a_port_that_is_taken_and_a_database_that_cannot_be_opened_are_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port={port}: cannot be listened at .*in use"):
            commands.storage(str(tmp_path / "runs"), port=port)
    with pytest.raises(UserError, match="port=70000: must be 1 to 65535"):
        commands.storage(str(tmp_path / "runs"), port=70_000)
    (tmp_path / "file").write_text("no database")
    url = f"sqlite:///{tmp_path}/file"
    with pytest.raises(UserError, match=f"storage={url}: cannot be opened .*not a database"):
        commands.storage(str(tmp_path / "runs"), storage=url)


def test_a_served_study_that_others_may_reach_says_that_there_is_no_password():
    said = proxy.invitation("postgresql://me:secret@db/x", "0.0.0.0", 13000)
    assert f"--storage=grpc://{socket.gethostname()}:13000" in said
    assert "no password" in said
    assert "secret" not in said


def test_two_that_ask_at_once_never_get_the_same_trial(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    made = optuna.create_study(storage=study.open_storage(url), study_name="one")
    for i in range(60):
        made.enqueue_trial({"x": i})
    taken = []

    def take():
        own = optuna.load_study(storage=study.open_storage(url), study_name="one")
        start.wait()
        for _ in range(20):
            taken.append(own._pop_waiting_trial_id())

    start = threading.Barrier(3)
    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 60
