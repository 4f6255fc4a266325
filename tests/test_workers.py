"""Several processes at one study: real ones, one of them killed, on SQLite and on PostgreSQL."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue

import optuna
import psycopg
import pytest
import yaml
from conftest import ROOT, fail_second_training, torn_mnist
from wandb_server import wait_for

from genbench import UserError
from genbench.config import SearchConfig
from genbench.record import read_runs, read_studies
from genbench.search import plan, proposals, study
from genbench.search.search import Search
from genbench.sweep import read_sweep

SMALL = {"depth": {"value": 1}, "width": {"value": 16}, "epochs": {"value": 1}}


def write_sweep(folder, parameters, method="grid", **more):
    path = folder / "sweep.yaml"
    content = {"program": str(ROOT / "experiments" / "vae.py"), "method": method}
    content |= {"metric": {"name": "val/elbo", "goal": "maximize"}}
    path.write_text(yaml.safe_dump(content | {"parameters": SMALL | parameters} | more))
    return path


def open_search(path, runs_dir, **options):
    given = {"wandb": "disabled", "runs_dir": str(runs_dir), "trials": 4}
    return Search(read_sweep(path), SearchConfig(**given | options))


def ask(search):
    """The next trial, as Optuna alone gives it."""
    with pytest.warns(UserWarning, match="Heartbeat"):
        return search.study.ask(search.sweep.space)


@contextmanager
def trial_elsewhere(search):
    """Another process of the study's: it trains while the block runs, and then dies.

    Yields the number of its trial.
    """
    began, over = Queue(), threading.Event()

    def objective(trial):
        proposals.suggest(trial, search.sweep.space)
        trial.set_user_attr(study.WORKER, "another")
        began.put(trial.number)
        over.wait()
        raise SystemExit  # of which Optuna tells the study nothing

    def optimize():
        with suppress(SystemExit):
            other.optimize(objective, n_trials=1)

    other = optuna.load_study(study_name=search.name, storage=search.study._storage)
    thread = threading.Thread(target=optimize)
    thread.start()
    try:
        yield began.get(timeout=20)
    finally:
        over.set()
        thread.join()


def states(record):
    return Counter(trial["state"] for trial in record["trials"])


def test_two_workers_share_a_grid_without_running_a_point_twice(tmp_path):
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3, 4]}, "beta": {"values": [1, 2]}})
    search = open_search(path, tmp_path / "runs", workers=2, trials=9)
    search.run()
    (record,) = read_studies(tmp_path / "runs")
    assert states(record) == {"COMPLETE": 6}
    points = {(t["params"]["latent_dim"], t["params"]["beta"]) for t in record["trials"]}
    assert points == {(z, beta) for z in (2, 3, 4) for beta in (1, 2)}
    runs = read_runs(tmp_path / "runs")
    assert len({run.path.name for run in runs}) == 6
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {run.about["threads"] for run in runs} == {threads}


def test_what_a_worker_finds_wrong_ends_the_search_in_one_line(tmp_path):
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3]}})
    folder = str(torn_mnist(tmp_path))
    search = open_search(path, tmp_path / "runs", workers=2, data="mnist", data_dir=folder)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte: cannot be read \(truncated"):
        search.run()


def test_the_grid_is_enqueued_once_and_completed_if_its_maker_died(tmp_path):
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3, 4]}})
    first = open_search(path, tmp_path / "runs")
    again = open_search(path, tmp_path / "runs")
    assert len(again.study.trials) == 3
    first.study.enqueue_trial({"latent_dim": 2})
    plan.enqueue_grid(first.study, first.sweep.space)
    assert len(first.study.trials) == 4  # nothing more: every point is there


def test_a_grid_that_its_maker_did_not_finish_is_completed(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PATIENCE", 1)
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3, 4]}})
    name = open_search(path, tmp_path / "elsewhere").name
    (tmp_path / "runs").mkdir()
    half = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/runs/optuna.db", study_name=name, direction="maximize"
    )
    half.enqueue_trial({"latent_dim": 3})
    search = open_search(path, tmp_path / "runs")
    assert [plan.point(t)["latent_dim"] for t in search.study.trials] == [3, 2, 4]
    assert study.READY in search.study.user_attrs


def test_a_point_that_stands_twice_in_the_queue_is_run_once(tmp_path):
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3]}})
    search = open_search(path, tmp_path / "runs", trials=6)
    search.study.enqueue_trial({"latent_dim": 2})
    search.run()
    (record,) = read_studies(tmp_path / "runs")
    assert [t["params"]["latent_dim"] for t in record["trials"]] == [2, 3]
    assert states(record) == {"COMPLETE": 2}
    trial = ask(search)  # the sampler's: the queue is empty
    assert plan.repeated(search.study, trial.number)


def test_a_grid_too_large_to_be_tried_is_refused_at_once(tmp_path):
    values = {"values": list(range(1, 102))}
    path = write_sweep(tmp_path, {"latent_dim": values, "kl_warmup": values})
    with pytest.raises(UserError, match=r"grid has 10,201 points, at most 10,000 .* write random"):
        open_search(path, tmp_path / "runs")


def test_a_grid_goes_on_after_ctrl_c(tmp_path, monkeypatch):
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3, 4]}})
    fail_second_training(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        open_search(path, tmp_path / "runs").run()
    again = open_search(path, tmp_path / "runs", trials=9)
    again.run()
    done = [t.params["latent_dim"] for t in again.completed()]
    assert sorted(done) == [2, 3, 4]
    assert len(again.study.trials) == 4


def test_another_method_is_another_study(tmp_path):
    parameters = {"latent_dim": {"values": [2, 3]}}
    grid = open_search(write_sweep(tmp_path, parameters), tmp_path / "runs")
    drawn = open_search(write_sweep(tmp_path, parameters, method="random"), tmp_path / "runs")
    assert grid.name != drawn.name
    assert len(drawn.study.trials) == 0


@pytest.mark.parametrize("alive", [True, False])
def test_who_is_done_first_leaves_the_rest_to_the_living_and_takes_it_from_the_dead(
    tmp_path, monkeypatch, alive
):
    monkeypatch.setattr(study, "HEARTBEAT", 1)
    monkeypatch.setattr(study, "GRACE", 2)
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3]}})
    search = open_search(path, tmp_path / "runs", trials=5)
    with trial_elsewhere(search) as other:
        search.run()
        assert len(search.completed()) == 1
        if alive:
            assert search.elsewhere() == 1
            assert search.study.trials[other].state.name == "RUNNING"
    if not alive:
        assert search.elsewhere() == 0
        done = [t.params["latent_dim"] for t in search.completed()]
        assert sorted(done) == [2, 3]


def test_ctrl_c_while_the_workers_start_is_no_traceback(tmp_path):
    path = slow_sweep(tmp_path)
    command = ["genbench", "sweep", str(path), "--count=4", "--workers=2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    assert wait_for(
        lambda: len(children.read_text().split()) >= 3, 60
    )  # with multiprocessing's own
    time.sleep(0.3)  # amid their imports
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert "the same command again goes on with this study" in out


def test_a_trial_of_a_dead_process_is_failed_and_run_again_once(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "HEARTBEAT", 1)
    monkeypatch.setattr(study, "GRACE", 2)
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3]}})
    search = open_search(path, tmp_path / "runs", trials=5)
    with trial_elsewhere(search):
        pass  # and then no sign of life
    time.sleep(4)
    search.run()
    kinds = Counter(t.state.name for t in search.study.trials)
    assert kinds == {"FAIL": 1, "COMPLETE": 2}
    assert search.elsewhere() == 0
    assert sorted(t.params["latent_dim"] for t in search.completed()) == [2, 3]


def test_a_second_death_of_a_trial_is_its_last(tmp_path):
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2]}})
    search = open_search(path, tmp_path / "runs")
    first = ask(search)
    assert study.give_up(search.study, first.number)
    assert not study.give_up(search.study, first.number)  # it has ended
    second = ask(search)
    assert second.params == first.params
    assert not study.give_up(search.study, second.number)
    assert [t.state.name for t in search.study.trials] == ["FAIL", "FAIL"]


KILLED = ("--trials=3", "--workers=2", "--final_epochs=1", "--final_seeds=1", "--wandb=disabled")


def training_workers(runs_dir, url):
    """The process ids of the workers that have begun to train, by what the study says."""
    if not running_trials(runs_dir):  # nor may the database be there
        return []
    trials = [trial for trial in load(url) if trial.state.name == "RUNNING"]
    workers = [trial.user_attrs[study.WORKER] for trial in trials if "run" in trial.user_attrs]
    return [int(worker.split("-")[1]) for worker in workers]


def kill_a_worker(command, log, url):
    """Start a search, kill one of its workers in the middle of a trial, and wait for its end."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
        try:
            training = wait_for(lambda: training_workers(log.parent / "runs", url), 90)
            assert training, log.read_text()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [
                int(child)
                for child in children
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
            ]
            assert len(workers) == 2
            assert training[0] in workers
            os.kill(training[0], signal.SIGKILL)
            process.wait(150)
        finally:
            process.kill()
    return process.returncode


def slow_sweep(tmp_path):
    """Trials of a second or two each, long enough to be killed in the middle."""
    return write_sweep(tmp_path, {"latent_dim": {"values": [1, 2, 3]}, "epochs": {"value": 6}})


def check_nothing_was_lost(record, log):
    counts = states(record)
    assert counts["COMPLETE"] == 3, log
    assert counts["FAIL"] == 1
    done = [t["params"]["latent_dim"] for t in record["trials"] if t["state"] == "COMPLETE"]
    assert sorted(done) == [1, 2, 3]
    assert "a worker was killed (SIGKILL)" in log


def running_trials(runs_dir):
    return len(list(Path(runs_dir).glob("2*/metrics.jsonl")))


def test_a_killed_worker_loses_and_doubles_no_trial(tmp_path):
    path = slow_sweep(tmp_path)
    script = str(ROOT / "experiments" / "optuna_vae.py")
    command = [sys.executable, script, f"--sweep={path}", *KILLED, "--runs_dir=runs"]
    log = tmp_path / "log"
    assert kill_a_worker(command, log, f"sqlite:///{tmp_path}/runs/optuna.db") == 0
    (record,) = read_studies(tmp_path / "runs")
    check_nothing_was_lost(record, log.read_text())


def postgres_bin():
    """Where Debian keeps PostgreSQL's programs."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if not found else []
    return Path(found).parent if found else (folders[-1] if folders else None)


@pytest.fixture
def postgres(postgres_server):
    """The URL of a database of a PostgreSQL server that runs for this test."""
    return postgres_server[0]


@pytest.fixture
def postgres_server():
    """Such a database's URL, and the server's process."""
    programs = postgres_bin()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    # the server refuses to run as root, and its socket's path must be short
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True, **user).strip())
    with socket.create_server(("127.0.0.1", 0)) as free:
        data, port = folder / "data", free.getsockname()[1]
    initdb = [programs / "initdb", "-D", data, "-U", "tester", "--auth=trust"]
    subprocess.run(initdb, check=True, capture_output=True, **user)
    command = [programs / "postgres", "-D", data, "-k", folder, "-p", str(port), "-F"]
    url = f"postgresql://tester@127.0.0.1:{port}/postgres"

    def answers():
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False
        return True

    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, **user)
    try:
        assert wait_for(answers)
        yield url, server
    finally:
        server.send_signal(signal.SIGINT)  # a shutdown that waits for no client
        server.wait(20)
        subprocess.run(["rm", "-rf", folder], check=True, **user)


def load(url):
    """The trials of a database's only study, read by Optuna alone."""
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        (name,) = optuna.get_all_study_names(storage)
        return optuna.load_study(study_name=name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_postgresql_survives_a_killed_worker(tmp_path, postgres):
    path = slow_sweep(tmp_path)
    script = str(ROOT / "experiments" / "optuna_vae.py")
    command = [sys.executable, script, f"--sweep={path}", *KILLED, f"--storage={postgres}"]
    log = tmp_path / "log"
    assert kill_a_worker(command, log, postgres) == 0
    (record,) = read_studies(tmp_path / "runs")
    check_nothing_was_lost(record, log.read_text())
    assert len(load(postgres)) == len(record["trials"])


def drop_connections(process, url):
    """Cut a process' connections if it is in no transaction nor about to begin one; whether it was.

    A connection is looked at just before it is used: cut between the two, it is missed.
    """
    others = "from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
    process.send_signal(signal.SIGSTOP)
    try:
        with psycopg.connect(url, autocommit=True) as admin:
            rested = "clock_timestamp() - state_change > interval '0.2 seconds'"
            states = admin.execute(f"select state, {rested} {others}").fetchall()
            idle = set(states) == {("idle", True)}
            return idle and bool(admin.execute(f"select pg_terminate_backend(pid) {others}"))
    finally:
        process.send_signal(signal.SIGCONT)


def test_dropped_connections_are_made_again_and_a_database_that_is_gone_is_named(
    tmp_path, postgres_server
):
    url, server = postgres_server
    script = str(ROOT / "experiments" / "optuna_vae.py")
    command = [sys.executable, script, f"--sweep={slow_sweep(tmp_path)}", "--wandb=disabled"]
    process = subprocess.Popen(
        [*command, f"--storage={url}"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        assert wait_for(lambda: running_trials(tmp_path / "runs"), 90)
        assert wait_for(lambda: drop_connections(process, url), 30)
        assert wait_for(lambda: running_trials(tmp_path / "runs") > 1, 90)
        server.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 2, said
    assert "error: storage: the study's database fails (" in said
    assert "Traceback" not in said
    first, second = read_runs(tmp_path / "runs")
    assert (first.status, second.status) == ("finished", "failed")


def test_two_searches_on_one_database_share_the_grid(tmp_path, postgres):
    """Started at once, as on two machines: who comes second waits for the grid, none repeats it."""
    path = write_sweep(tmp_path, {"latent_dim": {"values": [1, 2, 3, 4, 5, 6]}})
    script = str(ROOT / "experiments" / "optuna_vae.py")
    flags = [f"--sweep={path}", "--trials=6", "--wandb=disabled", f"--storage={postgres}"]
    logs = [tmp_path / name for name in ("one", "two")]
    machines = []
    for log in logs:
        command = [
            sys.executable,
            script,
            *flags,
            f"--runs_dir={log}-runs",
            "--final_epochs=1",
            "--final_seeds=1",
        ]
        out = log.open("w")
        machines.append(
            subprocess.Popen(
                command, stdout=out, stderr=out, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
        )
        out.close()
    for machine, log in zip(machines, logs, strict=True):
        assert machine.wait(200) == 0, log.read_text()
    name = read_studies(f"{logs[0]}-runs")[0]["name"]
    trials = load(postgres)
    done = [t.params["latent_dim"] for t in trials if t.state.name == "COMPLETE"]
    assert sorted(done) == [1, 2, 3, 4, 5, 6]
    assert json.loads(Path(f"{logs[0]}-runs/studies/{name}.json").read_text())["trials"]


def test_a_database_that_is_not_there_is_named(script):
    url = "postgresql://tester@127.0.0.1:1/none"
    done = script("optuna_vae.py", f"--storage={url}", "--trials=1")
    assert done.returncode == 2
    assert f"error: storage={url}: cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr
