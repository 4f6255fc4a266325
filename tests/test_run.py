import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, later_checkpoint
from PIL import Image

from genbench import UserError
from genbench.files import to_json, write_json
from genbench.record import Record, Run, finished, read_runs, wait_for_wandb
from genbench.record.feeding import BOUND, log_evaluation


def inspect(run_dir, *options):
    """W&B's own, public dump of a run's .wandb file."""
    command = ["wandb", "leet", "inspect", "--json", *options, str(run_dir / "wandb")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def history(run_dir):
    """step -> what W&B recorded at it."""
    rows = {}
    for line in inspect(run_dir).splitlines():
        record = json.loads(line)
        if record["type"] == "history":
            rows.setdefault(record["history"]["step"]["num"], {}).update(record["history"]["item"])
    return rows


def only_run(runs_dir):
    (record,) = read_runs(runs_dir)
    return record


def test_a_run_leaves_its_whole_record(tmp_path):
    with Run(str(tmp_path), "toy", wandb="disabled") as run:
        run.begin({"seed": 3}, key="abc")
        assert json.loads((run.dir / "config.json").read_text())["config"] == {"seed": 3}
        assert not (run.dir / "summary.json").exists()
        run.log("train", {"loss": 1.5}, step=20, epoch=0.25)
        run.log("val", {"loss": math.inf}, step=80, epoch=1)
        run.summary["scores"] = {"val/loss": 2.0}
    record = only_run(tmp_path)
    assert record.status == "finished"
    assert record.scores == {"val/loss": 2.0}
    assert record.curve("train", "loss") == ([0.25], [1.5])
    assert record.curve("val", "loss") == ([1.0], [math.inf])
    for name in ("created", "command", "commit", "versions", "platform"):
        assert name in record.about
    assert {"torch", "wandb", "python", "genbench"} <= set(record.about["versions"])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("boom"), "RuntimeError: boom"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(143), "SystemExit: 143"),
    ],
)
def test_what_ends_a_run_early_is_written_down(tmp_path, error, text):
    def train():
        with Run(str(tmp_path), "toy", wandb="disabled") as run:
            run.begin({})
            run.log("train", {"loss": 1.0}, 1, 0.1)
            raise error

    with pytest.raises(type(error)):
        train()
    record = only_run(tmp_path)
    assert (record.status, record.summary["error"]) == ("failed", text)
    assert record.curve("train", "loss") == ([0.1], [1.0])


def test_a_run_without_a_summary_is_unfinished_and_its_torn_line_is_left_out(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "config.json", {"config": {}})
    (folder / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "split": "val", "a": 2}\n{"st')
    record = only_run(tmp_path)
    assert record.status == "unfinished"
    assert record.curve("val", "a") == ([1.0], [2.0])


def test_json_is_strict():
    text = to_json({"a": [math.nan, -math.inf], "b": {"c": math.inf}, "d": 1.5})
    assert text == '{"a": ["NaN", "-Infinity"], "b": {"c": "Infinity"}, "d": 1.5}'
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"file/runs: cannot be written \(Not a directory\); choose"
    ):
        Run(str(tmp_path / "file" / "runs"), "toy")


def test_pictures_are_uint8_on_disk_and_in_wandb(tmp_path):
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    with Run(str(tmp_path), "toy", wandb="offline") as run:
        run.begin({})
        run.picture("grid", picture, step=1, epoch=1)
        with pytest.raises(TypeError, match="uint8, not float64"):
            run.picture("grid", picture / 255, step=2, epoch=2)
    wait_for_wandb()
    on_disk = Image.open(run.dir / "samples" / "grid-epoch-0001.png")
    in_wandb = Image.open(next(run.dir.glob("wandb/offline-*/files/media/images/samples/*.png")))
    for image in (on_disk, in_wandb):
        np.testing.assert_array_equal(np.asarray(image.convert("L")), picture)


def test_latents_are_kept_with_their_labels_and_as_a_wandb_table(tmp_path):
    z = np.array([[0.5, -1.0], [2.0, 0.25]], dtype=np.float32)
    with Run(str(tmp_path), "toy", wandb="offline") as run:
        run.begin({})
        run.latents(z, np.array([7, 2]), "test", step=1)
    wait_for_wandb()
    with np.load(run.dir / "latents.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["z"], z)
        assert saved["labels"].tolist() == [7, 2]
    table = json.loads(
        next(run.dir.glob("wandb/offline-*/files/media/table/**/*.json")).read_text()
    )
    assert table["columns"] == ["label", "z0", "z1"]
    assert table["data"] == [["7", 0.5, -1.0], ["2", 2.0, 0.25]]


def test_metrics_and_wandb_hold_the_same_numbers(tmp_path):
    with Run(str(tmp_path), "toy", wandb="offline", place={"group": "g"}) as run:
        run.begin({"beta": 2.0}, model="vae")
        for step in range(1, 6):
            run.log("train", {"loss": 10.0 / step, "kl": float(step)}, step, step / 5)
        run.log("val", {"loss": math.nan}, 5, 1.0)
        run.summary["scores"] = {"val/loss": 1.25}
    wait_for_wandb()
    recorded = history(run.dir)
    for row in only_run(tmp_path).metrics():
        assert recorded[int(row["step"])]["epoch"] == row["epoch"]
        for name in row.keys() - {"step", "epoch", "split"}:
            got = float(recorded[int(row["step"])][f"{row['split']}/{name}"])
            assert got == row[name] or (math.isnan(got) and math.isnan(row[name]))
    summary = json.loads(inspect(run.dir, "--summary"))
    assert summary["config"]["beta"] == 2.0
    assert summary["summary"]["val/loss"] == 1.25
    assert summary["summary"]["status"] == "finished"


def test_no_key_means_offline_and_no_question(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with Run(str(tmp_path), "toy", wandb="auto") as run:
        run.begin({})
        run.log("train", {"loss": 1.0}, 1, 1.0)
    wait_for_wandb()
    assert len(list(run.dir.glob("wandb/offline-run-*/*.wandb"))) == 1


def test_wandb_mode_is_the_users_word(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with Run(str(tmp_path), "toy", wandb="auto") as run:
        run.begin({})
        run.log("train", {"loss": 1.0}, 1, 1.0)
    wait_for_wandb()
    assert not list(run.dir.glob("wandb/*run-*"))
    assert only_run(tmp_path).status == "finished"


def test_online_without_a_key_goes_offline_and_says_so_once(tmp_path, capfd):
    for _ in range(2):
        with Run(str(tmp_path), "toy", wandb="online") as run:
            run.begin({})
    wait_for_wandb()
    assert capfd.readouterr().err.count("no key, so offline") == 1
    assert list(run.dir.glob("wandb/offline-run-*"))


def test_a_dead_server_costs_nothing_but_a_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    runs = []
    start = time.monotonic()
    for _ in range(2):
        with Run(str(tmp_path), "toy", wandb="auto") as run:
            run.begin({})
            run.log("train", {"loss": 1.0}, 1, 1.0)
        runs.append(run.dir)
    assert time.monotonic() - start < 1  # neither waits for W&B
    wait_for_wandb()
    assert time.monotonic() - start < BOUND
    for run_dir in runs:
        assert history(run_dir)[1]["train/loss"] == 1.0
    assert capfd.readouterr().err.count("offline instead") == 1  # the second was not tried again


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WANDB_BASE_URL", "foo"), ("WANDB_PROJECT", "a/b"), ("WANDB_API_KEY", "x")],
)
def test_settings_that_wandb_refuses_cost_no_run(tmp_path, monkeypatch, capfd, variable, value):
    monkeypatch.setenv(variable, value)
    with Run(str(tmp_path), "toy", wandb="auto") as run:
        run.begin({})
        run.log("train", {"loss": 1.0}, 1, 1.0)
    wait_for_wandb()
    assert only_run(tmp_path).status == "finished"
    assert re.match(r"W&B: [^\n]+(\n[^\n]+)?\n$", capfd.readouterr().err)  # what is wrong, briefly


def test_a_wandb_mode_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")

    def start(runs_dir):
        with Run(str(runs_dir), "toy", wandb="auto") as run:
            run.begin({})

    with pytest.raises(UserError, match="WANDB_MODE=ofline: choose one of auto, online, offline"):
        start(tmp_path)


def test_a_row_that_wandb_cannot_take_is_left_out_alone(tmp_path, capfd):
    picture = np.zeros((8, 8), dtype=np.uint8)
    with Run(str(tmp_path), "toy", wandb="offline") as run:
        run.log("train", {"loss": 1.0}, 1, 0.5)
        run.picture("grid", picture, step=2, epoch=1)
        (run.dir / "samples" / "grid-epoch-0001.png").write_bytes(b"none")
        run.log("train", {"loss": 2.0}, 3, 1.0)
        run.begin({})
    wait_for_wandb()
    assert capfd.readouterr().err.count("left out at step 2") == 1
    rows = history(run.dir)
    assert (rows[1]["train/loss"], rows[3]["train/loss"]) == (1.0, 2.0)
    assert only_run(tmp_path).curve("train", "loss")[1] == [1.0, 2.0]


def test_finished_finds_the_same_experiment_seed_and_code_only(tmp_path):
    for name, key, seed, status, split in [
        ("a", "k", 1, "finished", "test"),
        ("b", "k", 2, "failed", "test"),
        ("c", "other", 2, "finished", "test"),
        ("d", "k", 2, "finished", "val"),
    ]:
        (tmp_path / name).mkdir()
        about = {"key": key, "commit": "f00", "config": {"seed": seed}}
        write_json(tmp_path / name / "config.json", about)
        summary = {"status": status, "scores": {f"{split}/elbo": 1.0}}
        write_json(tmp_path / name / "summary.json", summary)
    assert isinstance(finished(tmp_path, "k", 1, "f00"), Record)
    assert finished(tmp_path, "k", 2, "f00") is None
    assert finished(tmp_path, "k", 1, "ba5") is None


def test_the_last_epochs_mean_weighs_rows_by_their_steps(tmp_path):
    with Run(str(tmp_path), "toy", wandb="disabled") as run:
        run.begin({})
        for step, loss in ((20, 9.0), (28, 8.0), (48, 2.0), (56, 5.0)):
            run.log("train", {"loss": loss}, step, step / 28)
        run.log("val", {"loss": 3.0}, 56, 2)
    record = only_run(tmp_path)
    assert record.last_epoch("train", "loss") == pytest.approx((20 * 2 + 8 * 5) / 28)
    assert record.last_epoch("val", "loss") == 3.0
    assert record.last_epoch("val", "kl") is None


def test_sigterm_leaves_the_record_and_what_wandb_had(tmp_path):
    command = [sys.executable, str(ROOT / "experiments" / "vae.py"), "--epochs=1000", "--width=16"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ
    )
    process.stdout.readline()  # the first epoch is done
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.stdout.close()
    record = only_run(tmp_path / "runs")
    assert (record.status, record.summary["error"]) == ("failed", "SystemExit: 143")
    steps = {int(row["step"]) for row in record.metrics()}
    assert later_checkpoint(record.path)["step"] >= max(steps)
    assert steps <= set(history(record.path))


def test_later_scores_are_a_wandb_run_of_their_own_in_the_same_group(tmp_path):
    with Run(str(tmp_path), "name", wandb="disabled") as run:
        run.begin({"lr": 0.1, "group": "g"}, model="vae")
    log_evaluation(run.dir, {"test/kid_lite0_n100": 0.25}, "vae+mixture", "offline")
    wait_for_wandb()
    records = [json.loads(line) for line in inspect(run.dir).splitlines()]
    (begun,) = (one["run"] for one in records if one["type"] == "run")
    assert (begun["display_name"], begun["job_type"]) == (
        f"{run.id} evaluation, vae+mixture",
        "evaluation",
    )
    assert begun["config"]["update"]["sampler"] == "vae+mixture"
    assert begun["run_group"] == "g"
    assert not any("test/kid_lite0_n100" in row for row in history(run.dir).values())
    summary = json.loads(inspect(run.dir, "--summary"))["summary"]
    assert summary["test/kid_lite0_n100"] == 0.25
    log_evaluation(run.dir, {"test/kid_lite0_n100": 0.25}, "vae", "disabled")
    wait_for_wandb()
    assert len(list((run.dir / "wandb").glob("offline-run-*"))) == 1


def test_every_run_of_a_process_knows_its_sweep(tmp_path, monkeypatch):
    """Also of a sweep that W&B is not told of, since no server knows it."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "local-study")
    for _ in range(2):
        with Run(str(tmp_path), "toy", wandb="offline") as run:
            run.begin({})
        wait_for_wandb()
        begun = [json.loads(line) for line in inspect(run.dir).splitlines()]
        (started,) = (one["run"] for one in begun if one["type"] == "run")
        assert not started.get("sweep_id")
    assert [record.about["sweep"] for record in read_runs(tmp_path)] == ["local-study"] * 2
    assert os.environ["WANDB_SWEEP_ID"] == "local-study"
