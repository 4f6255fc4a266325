import dataclasses
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import optuna
import pytest
import yaml
from conftest import fail_second_training, torn_mnist
from optuna.trial import TrialState

from genbench import UserError
from genbench.config import SearchConfig
from genbench.data import LABELLED
from genbench.families import FAMILIES
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.files import DiskError
from genbench.handlers import Diverged
from genbench.metrics import stability
from genbench.record import Run, read_runs, read_studies
from genbench.search import plan, workers
from genbench.search import search as module
from genbench.search import study as studies
from genbench.search import trial as trials
from genbench.search.proposals import make_pruner
from genbench.search.search import Search
from genbench.speed import settle
from genbench.sweep import Stopping, read_sweep
from genbench.train import train_once


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A search over a small space, on three hundred digits; `options` are its flags."""
    read = LABELLED["mnist-mini"]
    monkeypatch.setitem(
        LABELLED, "mnist-mini", lambda root, split: [a[:300] for a in read(root, split)]
    )

    def build(parameters=None, halving=None, run_cap=None, **options):
        content = {
            "method": "bayes",
            "metric": {"name": "val/elbo", "goal": "maximize"},
            "parameters": parameters
            or {"latent_dim": {"min": 1, "max": 30}, "width": {"values": [16, 32]}},
        }
        if halving:
            content["early_terminate"] = {"type": "hyperband", "min_iter": halving, "eta": 2}
        if run_cap:
            content["run_cap"] = run_cap
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(content))
        given = {"trials": 3, "epochs": 1, "wandb": "disabled", "runs_dir": str(tmp_path / "runs")}
        return Search(read_sweep(path, FAMILIES[VAEConfig.model]), SearchConfig(**given | options))

    return build


def ask(search):
    """A trial that another machine has begun, without a sign of life."""
    with pytest.warns(UserWarning, match="Heartbeat"):
        return search.study.ask(search.sweep.space)


def points(study):
    return [json.dumps(trial.params, sort_keys=True) for trial in study.trials]


def test_a_continued_study_goes_on_with_new_points(make):
    space = {"lr": {"min": 0.001, "max": 0.01}, "width": {"value": 16}}
    first = make(space)
    first.run()
    second = make(space, trials=4)
    second.run()
    assert second.name == first.name
    assert len(second.study.trials) == 7
    assert len(set(points(second.study))) == 7
    (record,) = read_studies(second.options.runs_dir)
    assert [trial["number"] for trial in record["trials"]] == list(range(7))
    assert record["trials"][record["best"]]["values"][0] == max(
        trial["values"][0] for trial in record["trials"]
    )


def test_one_seed_proposes_the_same_points_another_seed_others(make, tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        study = make(seed=seed, runs_dir=str(tmp_path / name))
        study.run()
        runs.append(points(study.study))
    assert runs[0] == runs[1] != runs[2]


def test_other_space_data_budget_or_seed_is_another_study(make):
    names = {
        make().name,
        make(epochs=2).name,
        make(data="mnist").name,
        make(seed=1).name,
        make(parameters={"latent_dim": {"min": 1, "max": 20}}).name,
        make(parameters={"latent_dim": {"min": 1, "max": 30}, "width": {"value": 16}}).name,
        make(pareto=True).name,
    }
    assert len(names) == 7
    assert make(trials=9, timeout=5.0, device="cpu").name == make().name


def test_a_trial_of_several_seeds_is_their_mean_and_final_seeds_are_new(make, monkeypatch):
    space = {"seed": {"values": [5, 3, 4]}, "width": {"values": [16, 32]}}
    search = make(space, trials=2, final_epochs=1)
    search.run()
    runs = read_runs(search.options.runs_dir)
    for trial in search.completed():
        own = [run for run in runs if run.config["width"] == trial.params["width"]]
        assert sorted(run.config["seed"] for run in own) == [3, 4, 5]
        scores = [run.scores["val/elbo"] for run in own]
        assert trial.value == pytest.approx(fmean(scores), rel=1e-12)
        (first,) = (run for run in own if run.path.name == trial.user_attrs["run"])
        assert first.config["seed"] == 5
    search.train_best()
    finals = [run for run in read_runs(search.options.runs_dir) if run.config["test"]]
    assert sorted(run.config["seed"] for run in finals) == [6, 7, 8]
    assert make({"width": {"values": [16, 32]}}).name != search.name
    assert read_studies(search.options.runs_dir)[0]["seeds"] == [5, 3, 4]


def test_a_later_seed_that_diverges_prunes_the_trial(make, monkeypatch):
    real = trials.train_once
    monkeypatch.setattr(
        trials, "train_once", lambda config, *more: real(config, *more) if config.seed < 2 else None
    )
    search = make({"seed": {"values": [0, 1, 2]}, "width": {"values": [16]}}, trials=1)
    search.run()
    (trial,) = search.study.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert trial.user_attrs["pruned"] == "diverged with seed 2"


def test_every_trial_has_a_record_in_the_studys_group(make):
    study = make()
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    runs = {run.path.name: run for run in read_runs(study.options.runs_dir)}
    for trial in record["trials"]:
        run = runs[trial["run"]]
        assert run.config["group"] == study.name
        assert run.scores["val/elbo"] == trial["values"][0]
        assert {name: run.config[name] for name in trial["params"]} == trial["params"]


def test_the_defaults_are_tried_first_where_the_space_has_them(make):
    study = make(parameters={"latent_dim": {"min": 1, "max": 30}, "width": {"values": [16, 512]}})
    study.run()
    first = study.study.trials[0]
    assert first.params == {"latent_dim": VAEConfig().latent_dim, "width": VAEConfig().width}
    other = make()  # 512 is not among its widths
    other.run()
    assert "defaults" not in other.study.trials[0].user_attrs


def test_the_defaults_are_tried_again_if_their_trial_was_lost(make, monkeypatch):
    parameters = {"latent_dim": {"min": 1, "max": 30}, "width": {"values": [16, 512]}}

    def broken(*args, **more):
        raise UserError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(trials, "train", broken)
        study = make(parameters)
        with pytest.raises(UserError, match="no network"):
            study.run()
    again = make(parameters, trials=1)
    again.run()
    assert [t.user_attrs.get("defaults") for t in again.study.trials] == [True, True]
    assert again.study.trials[1].state.name == "COMPLETE"


def test_run_cap_bounds_the_study_over_all_calls_and_machines(make):
    make(run_cap=4).run()
    other = make(run_cap=4)
    other.run()
    assert len(other.study.trials) == 4
    busy = make(run_cap=6)
    ask(busy)
    busy.run()
    assert len(busy.study.trials) == 6
    studies.give_up(busy.study, 4)  # it dies: what is run again has its place
    again = make(run_cap=6)
    again.run()
    assert [trial.state.name for trial in again.study.trials[4:]] == ["FAIL", *["COMPLETE"] * 2]


def test_any_seed_will_do(make):
    assert make(seed=20_261_122).study.sampler is not None


def test_a_pareto_metric_that_is_never_logged_is_named(make):
    study = make(pareto=True)
    object.__setattr__(study.sweep, "metric", "val/fid")
    with pytest.raises(UserError, match=r"val/fid is never logged; known: val/loss"):
        study.run()


def test_the_search_cannot_see_the_test_split(make, monkeypatch):
    read, seen = LABELLED["mnist-mini"], []
    monkeypatch.setitem(LABELLED, "mnist-mini", lambda r, s: seen.append(s) or read(r, s))
    study = make(final_epochs=1)
    study.run()
    assert set(seen) == {"train"}
    study.train_best()
    assert seen.count("test") == 3  # once a final training


def test_the_best_trials_are_trained_again_and_the_mean_decides(make, monkeypatch):
    study = make(again=2, trials=4)
    study.run()
    values = {trial.number: trial.value for trial in study.study.trials}
    first, second, *_ = sorted(values, key=lambda number: -values[number])
    lucky = {}  # the trial that was best is much worse with another seed

    def train(config, resume, title):
        number = int(title.split()[2])
        lucky[number] = config
        return {"val/elbo": values[number] - (1000 if number == first else 0)}

    with monkeypatch.context() as patch:
        patch.setattr("genbench.train.train", train)
        study.confirm()
        study.confirm()  # nothing is trained twice
    assert list(lucky) == [first, second]
    assert {config.seed for config in lucky.values()} == {4}
    assert {config.group for config in lucky.values()} == {f"{study.name}-again"}
    assert study.confirmed == {first: values[first] - 500, second: values[second]}
    assert study.best().number == second
    study.write()
    (record,) = read_studies(study.options.runs_dir)
    assert record["best"] == second
    assert record["again"] == {str(n): value for n, value in study.confirmed.items()}


def test_what_was_trained_again_before_later_trials_decides_nothing(make, monkeypatch):
    """A trial that came later and is better is not among the old three."""
    study = make(again=1, trials=2)
    study.run()
    study.confirm()
    (old,) = study.confirmed
    assert study.best().number == old
    better = study.best()
    more = {"params": better.params, "distributions": better.distributions}
    study.study.add_trial(optuna.trial.create_trial(value=1e3, **more))
    assert (study.best().number, study.best().value) == (2, 1e3)


def test_the_defaults_are_trained_beside_the_winner_over_the_same_seeds(make):
    study = make(again=1, final_epochs=1)
    study.run()
    study.confirm()
    study.train_best()
    study.train_defaults()
    study.write()
    (record,) = read_studies(study.options.runs_dir)
    finals = [run for run in read_runs(study.options.runs_dir) if run.config["test"]]
    seeds = {key: [] for key in (record["final_key"], record["defaults_key"])}
    for run in finals:
        seeds[run.about["key"]].append(run.config["seed"])
    assert list(seeds.values()) == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(("again", "seeds"), [(0, [1, 2, 3, 4, 5]), (1, [1, 2, 3, 5, 6])])
def test_the_seed_that_chose_the_winner_is_none_of_its_finals(make, monkeypatch, again, seeds):
    study = make(again=again, trials=1, final_seeds=5)
    study.run()
    asked = []
    monkeypatch.setattr(module, "train_all", lambda jobs, *_: asked.extend(jobs) or [])
    study.train_best()
    assert [config.seed for config, _ in asked] == seeds


def test_a_study_is_of_the_pictures_it_was_begun_on(make, monkeypatch):
    study = make(trials=1)
    monkeypatch.setattr(study, "base", GANConfig(data="folder", data_dir="x", held_out=50))
    for content, there in (("a", True), ("a", True), ("b", False)):
        data = SimpleNamespace(content_hash=content)
        monkeypatch.setattr(plan, "load_data", lambda *_, data=data: data)
        with nullcontext() if there else pytest.raises(UserError, match="begun on other pictures"):
            plan.check_pictures(study)


def test_a_final_of_other_pictures_is_trained_anew(tmp_path, monkeypatch):
    config = GANConfig(data="folder", data_dir="here", runs_dir=str(tmp_path))
    with Run(str(tmp_path), "name", "disabled") as run:
        run.begin(vars(config), key=settle(config).key, model="gan")
        run.summary["scores"] = {"val/kid": 0.1}
    monkeypatch.setattr("genbench.train.train", lambda config, **_: {"trained": config.data_dir})
    assert train_once(config, "") == {"val/kid": 0.1}
    assert train_once(replace(config, data_dir="there"), "") == {"trained": "there"}


def test_the_flags_of_the_files_command_hold_where_the_search_has_no_own(make, tmp_path):
    study = make()
    sweep = replace(study.sweep, flags={"device": "cpu", "project": "theirs", "tags": "a"})
    search = Search(sweep, replace(study.options, tags="b"))
    config = search.make_config({})
    assert (config.device, config.project, config.tags) == ("cpu", "theirs", "b")


def test_a_trial_of_a_worker_that_was_told_to_end_is_run_again_once(make, capsys):
    study = make(trials=1)
    study.crew = "crew"
    worker = SimpleNamespace(process=SimpleNamespace(pid=7))
    for tries in (1, 2):
        trial = ask(study)
        trial.set_user_attr(studies.WORKER, "crew-7")
        study.study.tell(trial, state=TrialState.FAIL)
        workers._say_lost(study, worker, 15)
        waiting = [t for t in study.study.trials if t.state == TrialState.WAITING]
        assert len(waiting) == (tries == 1)
    said = capsys.readouterr().err
    assert "(SIGTERM) in trial 1: the trial failed, it is not run a third time" in said


def test_only_gans_are_trained_again_unless_asked_and_never_with_two_objectives(make, make_gan):
    assert make().again == 0
    assert make(again=2).again == 2
    assert make_gan().again == 3
    assert make_gan(again=0).again == 0
    assert make_gan(pareto=True).again == 0


def test_a_failed_trial_is_recorded_and_the_study_goes_on(make, monkeypatch):
    fail_second_training(monkeypatch, RuntimeError("out of memory"))
    study = make()
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert record["trials"][1]["error"] == "RuntimeError: out of memory"


def test_bad_input_ends_the_search_at_once(make, tmp_path):
    with pytest.raises(UserError, match="data='mnsit': unknown"):
        make(data="mnsit")
    study = make(data="mnist", data_dir=str(torn_mnist(tmp_path)))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte: cannot be read \(truncated"):
        study.run()
    assert [trial.state.name for trial in study.study.trials] == ["FAIL"]
    with pytest.raises(UserError, match="no trial was completed"):
        study.best()


def test_two_drawn_values_that_contradict_each_other_fail_their_trial_alone(make):
    study = make({"importance_samples": {"values": [1, 2]}, "beta": {"values": [1.0, 2.0]}})
    for samples, beta in ((1, 2.0), (2, 2.0), (2, 1.0)):
        study.study.enqueue_trial({"importance_samples": samples, "beta": beta})
    study.options = dataclasses.replace(study.options, trials=4)
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    states = [trial["state"] for trial in record["trials"]]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert "importance_samples=2: the bound has no separate KL" in record["trials"][2]["error"]


def test_a_trial_that_another_process_took_for_dead_is_left_to_it(make, monkeypatch, capsys):
    real, calls = trials.train, []

    def train(config, **more):
        calls.append(1)
        if len(calls) == 1:
            assert studies.give_up(study.study, 0)
        return real(config, **more)

    monkeypatch.setattr(trials, "train", train)
    study = make(trials=1)
    study.run()
    first, second = study.study.trials
    assert (first.state.name, second.state.name) == ("FAIL", "COMPLETE")
    assert first.params == second.params
    assert studies.first_try(second) == 0
    assert "another process took it for dead and runs it again" in capsys.readouterr().out


def test_a_database_that_fails_in_the_middle_is_named(make, monkeypatch, tmp_path):
    real = trials.train

    def train(config, **more):
        (tmp_path / "runs" / "optuna.db").write_bytes(b"no database" * 1000)
        return real(config, **more)

    monkeypatch.setattr(trials, "train", train)
    named = r"storage: the study's database fails .*(not a database|malformed)"
    with pytest.raises(UserError, match=named):
        make().run()


def test_a_trial_without_a_first_sign_of_life_is_missed_too(make, monkeypatch):
    study = make()
    lost = ask(study)  # and killed at once
    studies.fail_stale(study.study)
    assert study.study.trials[0].state.name == "RUNNING"
    monkeypatch.setattr(studies, "GRACE", 0)
    studies.fail_stale(study.study)
    first, second = study.study.trials
    assert (first.state.name, second.state.name) == ("FAIL", "WAITING")
    assert second.params == lost.params


def test_bad_input_after_a_good_trial_fails_its_own_trial_alone(make, monkeypatch):
    fail_second_training(
        monkeypatch, UserError("batch_size=64: more than the 50 training pictures")
    )
    study = make()
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert record["trials"][1]["error"] == "batch_size=64: more than the 50 training pictures"


def test_a_full_disk_ends_a_search_at_once_and_keeps_its_trials(make, monkeypatch):
    fail_second_training(monkeypatch, DiskError("x/last.pt: cannot be written (full)"))
    search = make(trials=4)
    with pytest.raises(DiskError, match=r"x/last\.pt"):
        search.run()
    (record,) = read_studies(search.options.runs_dir)
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE", "FAIL"]
    assert record["trials"][1]["error"] == "x/last.pt: cannot be written (full)"


@pytest.mark.parametrize("size", ["60k", "160k", "240k"])
def test_a_study_on_a_full_disk_is_one_line_and_stays_readable(mount, make, size):
    disk = mount(f"size={size}")
    with pytest.raises(UserError) as raised:
        make(runs_dir=str(disk), trials=20).run()
    assert "\n" not in str(raised.value)
    assert "full" in str(raised.value) or "No space" in str(raised.value)
    for record in read_studies(disk):
        assert len(record["trials"]) >= 1
    assert list(disk.rglob("*.part")) == []


def test_ctrl_c_keeps_the_study(make, monkeypatch):
    fail_second_training(monkeypatch, KeyboardInterrupt())
    study = make()
    with pytest.raises(KeyboardInterrupt):
        study.run()
    (record,) = read_studies(study.options.runs_dir)
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE", "FAIL"]


def test_hopeless_trials_are_pruned(make):
    """A learning rate of nothing stays at the start: after one good trial it is cut off."""
    study = make(
        parameters={"lr": {"values": [0.01, 1e-9]}, "width": {"value": 16}}, halving=1, epochs=4
    )
    for lr in (0.01, 0.01, 1e-9):
        study.study.enqueue_trial({"lr": lr})
    study.run()
    states = [trial.state.name for trial in study.study.trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED"]
    runs = read_runs(study.options.runs_dir)
    assert [run.status for run in runs] == ["finished", "finished", "pruned"]
    assert len(runs[-1].curve("val", "elbo")[0]) == 1


def test_no_trial_is_pruned_at_its_last_epoch(make):
    study = make(
        parameters={"lr": {"values": [0.01, 1e-9]}, "width": {"value": 16}}, halving=2, epochs=2
    )
    for lr in (0.01, 0.01, 1e-9):
        study.study.enqueue_trial({"lr": lr})
    study.run()
    for trial in study.study.trials:
        assert trial.state.name == "COMPLETE"
        assert trial.intermediate_values[2] == trial.value


def test_halving_keeps_the_better_half_at_each_rung_as_wandb_does():
    study = optuna.create_study(
        direction="minimize", pruner=make_pruner(Stopping("hyperband", 2, 2))
    )
    outcomes = {}
    for value in (1.0, 2.0, 3.0):
        trial = study.ask()
        for epoch in range(1, 9):
            trial.report(value, epoch)
            if trial.should_prune():
                outcomes[value] = epoch
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
    assert outcomes == {2.0: 2, 3.0: 2}  # at epoch 2 = min_iter, worse than the best half


def test_the_finals_use_new_seeds_and_are_not_trained_twice(make):
    study = make(final_epochs=2)
    study.run()
    scores = study.train_best()
    runs = [run for run in read_runs(study.options.runs_dir) if run.config["test"]]
    assert [run.config["seed"] for run in runs] == [1, 2, 3]
    assert {run.config["epochs"] for run in runs} == {2}
    assert len({json.dumps(score) for score in scores}) == 3
    assert study.train_best() == scores
    assert len([r for r in read_runs(study.options.runs_dir) if r.config["test"]]) == 3
    (record,) = read_studies(study.options.runs_dir)
    assert record["final_key"] == runs[0].about["key"]


def test_epochs_may_be_searched_and_the_finals_take_twice_as_many(make):
    study = make({"epochs": {"values": [1, 2]}, "width": {"value": 16}}, epochs=0, trials=4)
    study.run()
    drawn = [trial.params["epochs"] for trial in study.study.trials]
    assert [run.config["epochs"] for run in read_runs(study.options.runs_dir)] == drawn
    assert study.final_config(7, {"epochs": 2}).epochs == 4
    assert study.final_config(7, {}).epochs == 2 * VAEConfig().epochs
    path = study.sweep.path
    with pytest.raises(UserError, match="epochs: is searched; leave out --epochs, or fix it"):
        read_sweep(Path(path), FAMILIES["vae"], {"epochs": 3})


def test_pareto_weighs_the_score_against_the_size_of_the_code(make):
    study = make(pareto=True, trials=4)
    study.run()
    front = {trial.number for trial in study.study.best_trials}
    assert study.best().number in front
    (record,) = read_studies(study.options.runs_dir)
    assert record["objectives"] == ["val/elbo", "latent_dim"]
    assert record["directions"] == ["maximize", "minimize"]
    for trial in record["trials"]:
        assert trial["values"][1] == trial["params"]["latent_dim"]


def test_pareto_picks_the_trial_nearest_to_the_ideal(make):
    study = make(pareto=True)
    space = study.sweep.space
    for latent_dim, elbo in ((1, -200.0), (5, -110.0), (30, -100.0)):
        study.study.add_trial(
            optuna.trial.create_trial(
                params={"latent_dim": latent_dim, "width": 16},
                distributions=space,
                values=[elbo, float(latent_dim)],
            )
        )
    assert study.best().params["latent_dim"] == 5


def test_pareto_needs_a_size_that_varies(make):
    with pytest.raises(UserError, match=r"pareto: .* does not vary latent_dim"):
        make(parameters={"width": {"values": [16, 32]}}, pareto=True)


def test_a_metric_that_is_never_logged_is_named(make):
    study = make()
    object.__setattr__(study.sweep, "metric", "val/fid")
    with pytest.raises(UserError, match=r"val/fid is never logged; choose one of val/loss"):
        study.run()


def test_a_storage_that_cannot_be_opened_is_named(make):
    with pytest.raises(UserError, match=r"storage=nosql://x: cannot be opened"):
        make(storage="nosql://x").run()


def test_the_database_is_opened_by_the_first_who_needs_it(make, tmp_path):
    study = make()
    assert study.name.startswith("vae-mnist-mini-1ep-")
    assert not (tmp_path / "runs").exists()
    assert study.completed() == []
    assert (tmp_path / "runs" / "optuna.db").exists()


def test_a_file_in_place_of_the_runs_folder_is_named(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"runs_dir=.*file: cannot be written"):
        make(runs_dir=str(tmp_path / "file")).run()


def test_the_time_limit_ends_the_search_between_trials(make):
    study = make(timeout=1e-9, trials=50)
    study.run()
    assert len(study.study.trials) <= 1


@pytest.fixture
def make_gan(tmp_path):
    """A search over a GAN of a few pictures."""
    small = {"images": 64, "held_out": 64, "image_size": 32, "eval_images": 50, "eval_every": 1}
    small |= {"width": 4, "loss": "bce"}
    fixed = {name: {"value": value} for name, value in small.items()}
    content = {
        **{"program": "gan.py", "method": "random", "metric": {"name": "val/kid_lite0_n50"}},
        "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
        "parameters": fixed | {"r1": {"values": [0.1, 1.0]}},
    }
    path = tmp_path / "gan.yaml"

    def build(parameters=(), **options):
        more = {"parameters": content["parameters"] | dict(parameters)}
        path.write_text(yaml.safe_dump(content | more))
        given = {"trials": 1, "epochs": 2, "wandb": "disabled", "runs_dir": str(tmp_path / "runs")}
        return Search(read_sweep(path, FAMILIES[GANConfig.model]), SearchConfig(**given | options))

    return build


def test_a_file_that_contradicts_the_defaults_is_searched(make_gan):
    steered = {"ada_target": {"value": 0.5}, "diffaugment": {"values": ["color", "cutout"]}}
    study = make_gan(parameters=steered)
    assert study.base.diffaugment == "color"
    assert study.study.trials == []  # the defaults cannot be tried


def test_a_gans_search_is_by_kid_and_weighs_it_against_seconds(make_gan):
    study = make_gan(pareto=True)
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    (run,) = read_runs(study.options.runs_dir)
    assert record["objectives"] == ["val/kid_lite0_n50", "seconds"]
    assert record["directions"] == ["minimize", "minimize"]
    kid, seconds = record["trials"][0]["values"]
    assert kid == run.scores["val/kid_lite0_n50"]
    assert seconds == run.summary["seconds"] < record["trials"][0]["seconds"]


def test_a_gan_without_hope_is_given_up_with_the_reason(make_gan, monkeypatch):
    seen = []

    def hopeless(rows):
        seen.append([row["epoch"] for row in rows if row["split"] == "val"])
        return "there is no hope"

    monkeypatch.setattr(stability, "hopeless", hopeless)
    study = make_gan(epochs=3)
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    (trial,) = record["trials"]
    assert (trial["state"], trial["pruned"]) == ("PRUNED", "there is no hope")
    assert list(trial["intermediate"]) == ["1"]
    assert seen == [[1.0]]
    (run,) = read_runs(study.options.runs_dir)
    assert run.status == "pruned"


def test_a_trial_that_diverges_is_pruned_not_failed(make, monkeypatch):
    def broken(*args, **more):
        raise Diverged("train/loss is nan at step 3")

    monkeypatch.setattr(trials, "train", broken)
    study = make(trials=1)
    study.run()
    (record,) = read_studies(study.options.runs_dir)
    assert record["trials"][0]["state"] == "PRUNED"
    assert "train/loss is nan" in record["trials"][0]["pruned"]


def test_a_target_that_is_reached_ends_the_search(make, monkeypatch):
    study = make(trials=4)
    object.__setattr__(study.sweep, "target", -1e6)
    study.run()
    assert len(study.study.trials) == 1


def test_the_files_budget_and_data_are_taken_unless_flags_overrule(make):
    fixed = {"latent_dim": {"min": 1, "max": 30}, "epochs": {"value": 3}}
    assert make(parameters=fixed, epochs=0).base.epochs == 3
    assert make(parameters=fixed, epochs=5).base.epochs == 5
    assert make(epochs=0).base.epochs == VAEConfig().epochs
    other = fixed | {"data": {"value": "fashion-mnist"}}
    assert make(parameters=other).base.data == "fashion-mnist"
    assert make(parameters=other, data="mnist").base.data == "mnist"


def test_median_pruning_starts_at_its_first_epoch():
    study = optuna.create_study(pruner=make_pruner(Stopping("median", 3)))
    for value in range(6):
        trial = study.ask()
        for epoch in range(1, 5):
            trial.report(float(value), epoch)
        study.tell(trial, float(value))
    trial = study.ask()
    stops = []
    for epoch in range(1, 5):
        trial.report(100.0, epoch)
        stops.append(trial.should_prune())
    assert stops == [False, False, True, True]
