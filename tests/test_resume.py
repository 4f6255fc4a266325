import dataclasses
import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events
from killed import reproducible, train_until, weights_hash

from genbench import UserError
from genbench.data import Batches, Split
from genbench.families.ae import AEConfig
from genbench.families.flow import FlowConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.handlers import Best
from genbench.handlers.checkpoint import GlobalNoise
from genbench.record import Run, is_running, read_run, read_runs
from genbench.resume import check_resume, preempted, read_config, stopped, stopped_in_group
from genbench.train import train

EVERY_STEP = 1e-9  # minutes between two checkpoints
DIGITS = {"epochs": 3, "batch_size": 500, "latent_dim": 4, "width": 16, "lr_decay": 0.5}
PICTURES = {"images": 64, "held_out": 16, "image_size": 16, "batch_size": 8, "epochs": 3}
KINDS = {
    "ae": AEConfig(**DIGITS),
    "vae": VAEConfig(**DIGITS, kl_warmup=2.0, binarize="dynamic"),
    "gan": GANConfig(**PICTURES, width=4, eval_every=0, lr_decay=0.5),
    "gan-bce": GANConfig(
        **PICTURES,
        width=4,
        loss="bce",
        eval_every=0,
        lr_decay=0.5,
        ada_target=0.6,
        diffaugment="color,translation",
    ),
    "flow": FlowConfig(**PICTURES, width=8, eval_every=0),
}


def config_of(tmp_path, name="vae", folder="runs", **fields):
    fields = {"wandb": "disabled", "runs_dir": str(tmp_path / folder)} | fields
    return dataclasses.replace(KINDS[name], **fields)


def only(tmp_path, folder="runs"):
    (record,) = read_runs(tmp_path / folder)
    return record


def assert_equal_runs(record, never_killed):
    kept = [
        {path.stem for path in run.path.glob("checkpoints/*")} for run in (record, never_killed)
    ]
    assert kept[0] == kept[1]
    assert kept[0] >= {"last"}  # a GAN that is not scored has no best
    for which in kept[0]:
        paths = [run.path / "checkpoints" / f"{which}.pt" for run in (record, never_killed)]
        assert weights_hash(paths[0]) == weights_hash(paths[1])
    assert reproducible(record) == reproducible(never_killed)
    assert record.scores == never_killed.scores
    assert record.status == never_killed.status == "finished"


def interrupt_at(monkeypatch, *steps):
    """Send this process Ctrl-C in the middle of these steps of the trainings that follow."""
    from genbench import train as module

    make, waiting = module.make_trainer, list(steps)

    def make_trainer(model):
        trainer = make(model)

        @trainer.on(Events.ITERATION_STARTED)
        def interrupt():
            if waiting and trainer.state.iteration == waiting[0]:
                waiting.pop(0)
                signal.raise_signal(signal.SIGINT)

        return trainer

    monkeypatch.setattr(module, "make_trainer", make_trainer)


# --- to the bit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_run_killed_five_times_is_the_run_that_never_was(tmp_path, name):
    """At random steps, in mid-epoch too, and within the writing of a checkpoint."""
    assert train_until(config_of(tmp_path, name, "whole")) == 0
    whole = only(tmp_path, "whole")
    steps = whole.metrics()[-1]["step"]
    config = config_of(tmp_path, name, checkpoint_minutes=EVERY_STEP)
    rng = random.Random(name)
    places = [("step", step) for step in sorted(rng.sample(range(1, int(steps)), 3))]
    places[1:1] = [("writing", rng.randint(1, 4))]
    places[4:] = [("writing", 1)]
    folder = None
    for place in places:
        assert train_until(config, place, folder) == -signal.SIGKILL
        record = only(tmp_path)
        assert record.status == "unfinished"
        folder = record.path
    assert train_until(config, resume=folder) == 0
    assert_equal_runs(only(tmp_path), whole)
    resumed = [each["step"] for each in only(tmp_path).about["resumed"]]
    assert len(resumed) == len(places)
    assert resumed == sorted(resumed)
    assert 0 < resumed[-1] < steps


@pytest.mark.parametrize("step", [1, 7, 18, 19, 36, 54])
def test_ctrl_c_loses_no_step(tmp_path, monkeypatch, step):
    train(config_of(tmp_path, folder="whole"))
    interrupt_at(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tmp_path))
    record = only(tmp_path)
    assert record.status == "failed"
    train(config_of(tmp_path), resume=record.path)
    assert only(tmp_path).about["resumed"][0]["step"] == step
    assert_equal_runs(only(tmp_path), only(tmp_path, "whole"))


def test_patience_and_the_best_epoch_are_remembered(tmp_path, monkeypatch):
    fields = {"lr": 0.1, "lr_decay": 0.0, "epochs": 60, "patience": 2}
    train(config_of(tmp_path, folder="whole", **fields))
    last = only(tmp_path, "whole").metrics()[-1]["step"]
    assert last < 60 * 18
    interrupt_at(monkeypatch, last - 30, last - 12, last - 2)
    folder = None
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(config_of(tmp_path, **fields), resume=folder)
        folder = only(tmp_path).path
    train(config_of(tmp_path, **fields), resume=folder)
    assert_equal_runs(only(tmp_path), only(tmp_path, "whole"))


def test_a_finished_run_goes_on_to_more_epochs(tmp_path):
    constant = {"lr_decay": 0.0}
    train(config_of(tmp_path, folder="whole", **constant))
    train(config_of(tmp_path, epochs=1, **constant))
    config = config_of(tmp_path, **constant)
    check_resume(only(tmp_path).path, config)
    train(config, resume=only(tmp_path).path)
    assert_equal_runs(only(tmp_path), only(tmp_path, "whole"))
    assert only(tmp_path).about["key"] == only(tmp_path, "whole").about["key"] == config.key


def test_a_run_whose_lr_fell_for_another_end_is_none_that_was_trained_at_once(tmp_path, capsys):
    for epochs in (2, 3, 4):
        folder = only(tmp_path).path if epochs > 2 else None
        train(config_of(tmp_path, epochs=epochs, lr_decay=0.5), resume=folder)
    run = only(tmp_path)
    assert run.about["restarted"] == [2, 3]
    assert run.about["key"] != config_of(tmp_path, epochs=4, lr_decay=0.5).key
    assert "epoch 2: the learning rate so far was that of another end" in capsys.readouterr().err


def test_a_run_sent_to_a_shorter_end_is_none_that_was_trained_to_it(tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 36)  # epoch 2
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tmp_path, epochs=10, lr_decay=0.5))
    with pytest.raises(UserError, match=r"epochs=1: .* has 2 already"):
        check_resume(only(tmp_path).path, config_of(tmp_path, epochs=1, lr_decay=0.5))
    shorter = config_of(tmp_path, epochs=3, lr_decay=0.5)
    check_resume(only(tmp_path).path, shorter)
    train(shorter, resume=only(tmp_path).path)
    assert only(tmp_path).about["restarted"] == [2]
    assert only(tmp_path).about["key"] != shorter.key


def test_a_run_that_goes_on_to_another_end_before_lr_falls_is_one_of_that_end(
    tmp_path, monkeypatch
):
    interrupt_at(monkeypatch, 8)  # of 18 an epoch
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tmp_path, epochs=1, lr_decay=0.5))
    longer = config_of(tmp_path, epochs=3, lr_decay=0.5)
    train(longer, resume=only(tmp_path).path)
    train(config_of(tmp_path, folder="whole", epochs=3, lr_decay=0.5))
    assert only(tmp_path).about["key"] == longer.key
    assert_equal_runs(only(tmp_path), only(tmp_path, "whole"))


def test_a_run_that_ended_by_patience_trains_no_step_more(tmp_path):
    config = config_of(tmp_path, lr=0.2, lr_decay=0.0, epochs=30, patience=1)
    train(config)
    (before,) = read_runs(tmp_path / "runs")
    train(config, resume=before.path)
    assert only(tmp_path).metrics() == before.metrics()
    assert only(tmp_path).scores == before.scores


def test_the_minutes_that_were_used_count(tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 5)
    config = config_of(tmp_path, epochs=1000, minutes=10.0, lr_decay=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    record = only(tmp_path)
    last = record.path / "checkpoints" / "last.pt"
    saved = torch.load(last, weights_only=True)
    assert 0 < saved["training"]["clock"]["seconds"] < 60
    saved["training"]["clock"]["seconds"] = 599.9999
    torch.save(saved, last)
    train(config, resume=record.path)
    assert only(tmp_path).metrics()[-1]["step"] == 6  # one step used up the rest
    assert only(tmp_path).status == "finished"


# --- the parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_go_on_in_mid_epoch(seed):
    pool = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    split = Split(pool, *[torch.arange(10)] * 3)
    batches = Batches(split, 4, seed)
    all_labels = [labels.tolist() for _ in range(3) for _, labels in batches]
    assert len(all_labels) == 9
    for done in range(9):
        later = Batches(split, 4, seed)
        later.go_to(done)
        rest = [labels.tolist() for _ in range(3 - done // 3) for _, labels in later]
        assert rest == all_labels[done:]


def test_global_random_numbers_go_on():
    noise = GlobalNoise()
    saved = noise.state_dict()
    drawn = [(random.random(), np.random.normal(), torch.rand(1).item()) for _ in range(3)]
    noise.load_state_dict(saved)
    assert [(random.random(), np.random.normal(), torch.rand(1).item()) for _ in range(3)] == drawn


@pytest.mark.parametrize(
    ("direction", "values", "new"),
    [
        ("maximize", [1.0, 3.0, None, 2.0, 3.0, 4.0], [True, True, False, False, False, True]),
        ("minimize", [1.0, 3.0, 0.5, None], [True, False, True, False]),
    ],
)
def test_the_best_epoch(direction, values, new):
    best, found = Best(("x", direction)), []
    for value in values:
        again = Best(("x", direction))
        again.load_state_dict(best.state_dict())
        for each in (best, again):
            each.look({} if value is None else {"x": value})
        assert again.is_new == best.is_new
        found.append(best.is_new)
    assert found == new


# --- what is refused, and leaves the run as it was ------------------------------------------------


@pytest.fixture
def half_a_run(tmp_path, monkeypatch):
    """A run that was interrupted at its fifth step."""
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            train(config_of(tmp_path))
    return only(tmp_path)


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lr": 0.1}, "lr=0.1: the run has lr=0.002; leave it out"),
        ({"seed": 1}, "seed=1: the run has seed=0"),
        ({"latent_dim": 8}, "latent_dim=8: the run has latent_dim=4"),
    ],
)
def test_another_configuration_is_refused(half_a_run, tmp_path, fields, words):
    with pytest.raises(UserError, match=words):
        check_resume(half_a_run.path, config_of(tmp_path, **fields))
    check_resume(half_a_run.path, config_of(tmp_path, epochs=9, log_every=1, device="auto"))


def test_a_finished_run_is_not_resumed_for_nothing(tmp_path):
    train(config_of(tmp_path, epochs=1))
    with pytest.raises(UserError, match="is finished; more --epochs than its 1"):
        check_resume(only(tmp_path).path, config_of(tmp_path, epochs=1))
    train(config_of(tmp_path, folder="other", epochs=1, save=False))
    with pytest.raises(UserError, match="is finished, and kept no checkpoint"):
        check_resume(only(tmp_path, "other").path, config_of(tmp_path, epochs=2, save=False))


def test_a_run_that_still_runs_is_left_alone(tmp_path, half_a_run):
    before = files(half_a_run.path)
    with Run.reopen(half_a_run.path, "disabled") as run:
        assert is_running(run.dir)
        with pytest.raises(UserError, match="still running"):
            train(config_of(tmp_path), resume=run.dir)
    assert not is_running(half_a_run.path)
    assert files(half_a_run.path) == before  # `reopen` alone changes nothing


def test_other_data_are_refused(tmp_path, half_a_run, few_digits):
    before = files(half_a_run.path)
    with pytest.raises(UserError, match=r"its data have changed .* --data_dir"):
        train(config_of(tmp_path, batch_size=100), resume=half_a_run.path)
    assert files(half_a_run.path) == before


def test_a_damaged_checkpoint_is_named(tmp_path, half_a_run):
    (half_a_run.path / "checkpoints" / "last.pt").write_bytes(b"torn")
    before = files(half_a_run.path)
    with pytest.raises(UserError, match=r"last.pt: damaged .* the run begins anew"):
        train(config_of(tmp_path), resume=half_a_run.path)
    assert files(half_a_run.path) == before


def test_where_one_checkpoint_is_damaged_the_other_is_taken(tmp_path, monkeypatch, capsys):
    train(config_of(tmp_path, folder="whole"))
    interrupt_at(monkeypatch, 30)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tmp_path))
    record = only(tmp_path)
    last = record.path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    train(config_of(tmp_path), resume=record.path)
    assert "last.pt: damaged" in capsys.readouterr().err
    assert only(tmp_path).about["resumed"][0]["step"] == 18  # the best epoch's
    assert_equal_runs(only(tmp_path), only(tmp_path, "whole"))


def test_a_checkpoint_of_a_version_that_could_not_resume_is_refused(tmp_path, half_a_run):
    last = half_a_run.path / "checkpoints" / "last.pt"
    saved = torch.load(last, weights_only=True)
    del saved["training"]
    torch.save(saved, last)
    with pytest.raises(UserError, match="trained by a version that could not resume"):
        train(config_of(tmp_path), resume=half_a_run.path)


# --- the command lines ----------------------------------------------------------------------------


def test_the_commands_go_on_and_do_it_again(tmp_path, half_a_run, script):
    name = half_a_run.path.name
    done = script("genbench", "resume", name)
    assert done.returncode == 0, done.stderr
    assert only(tmp_path).status == "finished"
    assert "val/elbo" in done.stdout
    refused = script("vae.py", f"--resume=runs/{name}")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is finished; more --epochs than its 3" in refused.stderr
    refused = script("gan.py", f"--resume={name}")
    assert "a run of vae, not of gan" in refused.stderr
    again = script("vae.py", f"--config=runs/{name}/config.json", "--epochs=1", "--runs_dir=again")
    assert again.returncode == 0, again.stderr
    config = read_config(only(tmp_path, "again").path / "config.json")
    settled = {"device": "cpu", "precision": "fp32", "compile": "False"}
    assert config == config_of(tmp_path, epochs=1, runs_dir="again", **settled)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no configuration of a run"),
        ("[]", "no configuration of a run"),
        ('{"config": 3}', "no configuration of a run"),
        ('{"config": {}, "model": "wae"}', "model='wae': unknown"),
        ('{"config": {"colour": 1}, "model": "vae"}', "of another version of genbench"),
        ('{"config": {"lr": -1}, "model": "vae"}', "lr=-1"),
    ],
)
def test_what_is_no_configuration_is_named(tmp_path, text, words):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_config(path)
    with pytest.raises(UserError, match=r"none\.json"):
        read_config(tmp_path / "none.json")


def test_a_preempted_run_of_a_sweep_goes_on(tmp_path, monkeypatch, script, capsys):
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    monkeypatch.setenv("WANDB_RUN_ID", "known")
    config = config_of(tmp_path)
    assert preempted(config) is None
    assert train_until(dataclasses.replace(config, checkpoint_minutes=EVERY_STEP), ("step", 30))
    assert preempted(config) == only(tmp_path).path
    assert preempted(dataclasses.replace(config, lr=0.1)) is None
    flags = [f"--{n}={v}" for n, v in DIGITS.items()]
    more = ["--kl_warmup=2.0", "--binarize=dynamic", "--wandb=disabled"]
    done = script("vae.py", *flags, *more)
    assert done.returncode == 0, done.stderr
    assert f"going on with runs/{only(tmp_path).path.name}" in done.stdout
    assert only(tmp_path).about["resumed"][0]["step"] == 30
    assert preempted(config) is None  # finished
    monkeypatch.setenv("WANDB_RUN_ID", "no:id")
    capsys.readouterr()
    assert preempted(config) is None
    assert capsys.readouterr().err == ""  # the run itself says it, with the id that it has
    monkeypatch.setenv("WANDB_RUN_ID", "unknown")
    assert preempted(config) is None


def test_what_can_go_on(tmp_path, half_a_run):
    config, name = config_of(tmp_path, device="cpu"), half_a_run.path.name
    assert stopped(name, config) == half_a_run.path
    assert stopped("none", config) is stopped("", config) is None
    assert stopped(name, dataclasses.replace(config, epochs=9)) is None
    assert stopped_in_group(config) == half_a_run.path
    assert stopped_in_group(dataclasses.replace(config, group="others")) is None
    with Run.reopen(half_a_run.path, "disabled"):
        assert stopped(name, config) is None


def test_auto_is_resolved_in_the_record(half_a_run):
    about = json.loads((half_a_run.path / "config.json").read_text())
    assert about["config"]["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert os.path.exists(half_a_run.path / "checkpoints" / "last.pt")
    assert read_run(half_a_run.path).status == "failed"


# --- long trainings -------------------------------------------------------------------------------


def test_memory_and_open_files_stay_flat_over_3000_steps(tmp_path, monkeypatch):
    from genbench import train as module

    make, seen = module.make_trainer, []

    def make_trainer(model):
        trainer = make(model)

        @trainer.on(Events.EPOCH_COMPLETED)
        def look():
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen.append((pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd"))))

        return trainer

    monkeypatch.setattr(module, "make_trainer", make_trainer)
    train(config_of(tmp_path, batch_size=60, epochs=20, patience=20, checkpoint_minutes=0.01))
    assert only(tmp_path).metrics()[-1]["step"] == 3000
    memory, files_open = zip(*seen, strict=True)
    assert max(memory) - memory[4] < 30e6  # bytes, once everything was used
    assert set(files_open[1:]) == {files_open[1]}
