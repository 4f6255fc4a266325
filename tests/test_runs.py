"""`genbench runs`: the table, conditions and order, comparison, removal, links for leet."""

import csv
import io
import json
import sys

import pytest
from records import Records

from genbench import UserError
from genbench.commands import main
from genbench.families.vae import VAEConfig
from genbench.handlers import pictures, tidy
from genbench.handlers.pictures import is_drawn
from genbench.record import Run, read_run, read_runs
from genbench.record.links import link_all
from genbench.runs import Row, best_run, by_importance, chosen, differing, ordered
from genbench.train import train


@pytest.fixture
def records(tmp_path):
    """Two VAEs, an AE of one seed each and a GAN."""
    made = Records(tmp_path / "runs")
    made.run("vae", scores={"elbo": -104.0}, split="val", config={"lr": 0.002, "beta": 1.0})
    made.run("vae", scores={"elbo": -99.0}, split="val", config={"lr": 0.0005, "beta": 4.0})
    made.run("ae", seed=3, status="pruned", config={"arch": "conv"})
    made.gan()
    return made


@pytest.fixture
def genbench(records, monkeypatch, capsys):
    """The command on these records: its exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.chdir(records.folder.parent)
        monkeypatch.setattr(sys, "argv", ["genbench", *words])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def rows_of(records):
    return [Row(record) for record in read_runs(records.folder)]


def names(rows):
    return [row["run"] for row in rows]


def test_the_table_has_the_fields_in_which_runs_of_a_model_differ(records, genbench):
    code, out, _ = genbench("runs", "--model=vae")
    assert code == 0
    header, first, second = (line.split() for line in out.splitlines())
    assert header == ["run", "status", "lr", "beta", "epochs", "seconds", "val/elbo"]
    assert first == ["run-001", "finished", "0.002", "1", "4", "10", "-104.00"]
    assert second == ["run-002", "finished", "0.0005", "4", "4", "10", "-99.00"]
    assert differing(rows_of(records)) == ["lr", "beta"]  # the models' own fields are no difference


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("status=finished", ["run-001", "run-002", "run-004"]),
        ("status!=finished", ["run-003"]),
        ("lr>=0.001,model=vae", ["run-001"]),
        ("lr=5e-4", ["run-002"]),
        ("val/elbo>-100", ["run-002"]),
        ("beta<=4,beta>1", ["run-002"]),
        ("score<0.1", ["run-001", "run-002", "run-004"]),
        ("arch~con", ["run-003"]),
        ("seed=3", ["run-003"]),
        ("lr=fast", []),
        ("save=true,model=ae", ["run-003"]),
    ],
)
def test_conditions_choose_runs(records, where, found):
    assert names(chosen(rows_of(records), where=where)) == found


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("lr", ["run-002", "run-001"]),
        ("-lr", ["run-001", "run-002"]),
        ("score", ["run-002", "run-001"]),  # an ELBO is better the larger
        ("-score", ["run-001", "run-002"]),
        ("val/kl", ["run-001", "run-002"]),
    ],
)
def test_runs_are_ordered_by_a_name(records, by, order):
    assert names(ordered(chosen(rows_of(records), "vae"), by)) == order


def test_what_lacks_the_value_comes_last_whichever_way(records):
    for by in ("beta", "-beta"):
        assert names(ordered(rows_of(records), by))[2:] == ["run-003", "run-004"]


def test_scores_of_several_objectives_are_ordered_each_by_itself(records):
    """A KID below an ELBO is no better than it."""
    records.run("vae", scores={"elbo": -120.0}, split="val")
    records.gan(key="h", scores={"val/kid_lite0_n500": 0.01})
    order = ["run-002", "run-001", "run-005", "run-006", "run-004"]
    found = names(ordered(chosen(rows_of(records), where="status=finished"), "score"))
    assert found == order


def test_a_misspelt_name_is_told_with_the_nearest(records, genbench):
    code, _, said = genbench("runs", "--sort=scor")
    assert (code, said) == (2, "error: sort=scor: no run has it; perhaps score\n")
    code, _, said = genbench("runs", "--where=lr")
    assert code == 2
    assert said.startswith("error: where='lr': no condition; write name=value")


def test_json_and_csv_have_everything(records, genbench):
    _, out, _ = genbench("runs", "--json")
    found = json.loads(out)
    assert [run["run"] for run in found] == ["run-001", "run-002", "run-003", "run-004"]
    assert found[0]["config"]["lr"] == 0.002
    assert found[0]["score"] == found[0]["scores"]["val/elbo"] == -104.0
    _, out, _ = genbench("runs", "--csv", "--where=model=vae")
    table = list(csv.DictReader(io.StringIO(out)))
    assert [row["beta"] for row in table] == ["1.0", "4.0"]
    assert [row["val/elbo"] for row in table] == ["-104.0", "-99.0"]
    assert genbench("runs", "--csv", "--json")[0] == 2


def test_an_empty_folder_is_said(genbench, records):
    (records.folder.parent / "none").mkdir()
    code, out, said = genbench("runs", "--runs_dir=none")
    assert (code, out) == (0, "")
    assert said == "runs_dir=none: no runs yet; `genbench train vae` makes one\n"
    assert "no run that is asked for" in genbench("runs", "--model=flow")[2]
    assert genbench("runs", "--json", "--runs_dir=none")[1] == "[]\n"
    code, _, said = genbench("runs", "--runs_dir=nowhere")
    assert code == 2
    assert "no such folder" in said


def test_two_runs_are_compared_by_what_differs_and_all_scores(genbench):
    code, out, said = genbench("runs", "compare", "run-001", "runs/run-002")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert ["lr", "0.002", "0.0005"] in lines
    assert ["val/elbo", "-104.00", "-99.00"] in lines
    assert not [line for line in lines if line[0] == "latent_dim"]  # the same in both
    scores = [line[0] for line in lines[lines.index(["Scores", "of", "the", "best", "epoch"]) :]]
    assert scores[2] == "val/elbo"  # the objective first
    assert said == ""
    assert genbench("runs", "compare", "run-001")[0] == 2
    code, _, said = genbench("runs", "compare", "run-001", "run-9")
    assert code == 2
    assert "run-9: no run folder" in said


def test_nothing_is_removed_without_a_yes(genbench, records):
    checkpoints = records.folder / "run-001" / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "last.pt").write_bytes(bytes(2_000_000))
    code, out, _ = genbench("runs", "rm", "run-001", "--checkpoints")
    assert code == 0
    assert "1 folder, 2.0 MB: nothing was removed" in out
    assert checkpoints.exists()
    genbench("runs", "rm", "run-001", "--checkpoints", "--yes")
    assert not checkpoints.exists()
    assert read_run(records.folder / "run-001").status == "finished"
    genbench("runs", "rm", "--where=status=pruned", "--yes")
    assert names(rows_of(records)) == ["run-001", "run-002", "run-004"]


def test_what_is_no_run_or_still_runs_is_not_removed(genbench, records):
    other = records.folder / "paintings"
    other.mkdir()
    code, _, said = genbench("runs", "rm", "run-001", "paintings", "--yes")
    assert code == 2
    assert "paintings: no run folder" in said
    assert other.exists()
    assert genbench("runs", "rm")[0] == 2
    code, _, said = genbench("runs", "rm", "run-001", "--where=status=pruned", "--yes")
    assert (code, (records.folder / "run-001").exists()) == (2, True)  # which of both is meant?
    assert "not both" in said
    with Run(str(records.folder), "toy", "disabled") as run:
        run.begin({"lr": 1.0})
        code, _, said = genbench("runs", "rm", run.id, "--yes")
        assert code == 2
        assert "still running" in said
        (row,) = chosen(rows_of(records), where="status=running")
        assert row["run"] == run.id
    assert run.dir.exists()
    assert len(rows_of(records)) == 5


def test_epochs_are_read_from_the_end_of_a_long_log(records):
    path = records.folder / "run-001"
    with (path / "metrics.jsonl").open("a") as log:
        for step in range(2000):
            log.write(f'{{"step": {step}, "epoch": {4 + step / 1000}, "split": "train"}}\n' * 2)
        log.write('{"step": 9, "epo')  # torn
    assert read_run(path).epochs_done == pytest.approx(5.999)
    (path / "metrics.jsonl").write_text("nothing\n")
    assert read_run(path).epochs_done == 0


def test_the_scores_that_matter_come_first():
    found = ["val/loss_d", "train/kid_lite0_n90", "test/d_real", "test/kid_lite0_n90", "val/kid_x"]
    key = by_importance("gan", "val/kid_x")
    assert sorted(found, key=key) == [
        *("val/kid_x", "test/kid_lite0_n90", "test/d_real", "val/loss_d", "train/kid_lite0_n90")
    ]


def test_wandb_records_of_all_runs_are_linked_in_one_folder(records):
    for name in ("run-001", "run-002"):
        (records.folder / name / "wandb" / f"offline-run-20261127_120000-{name}").mkdir(
            parents=True
        )
    assert link_all(records.folder) == records.folder / "wandb"
    links = sorted((records.folder / "wandb").iterdir())
    assert [path.name.rpartition("_")[2] for path in links] == ["120000-run-001", "120000-run-002"]
    assert links[0].resolve().parent.parent.name == "run-001"
    for path in (links[0].resolve(), links[0].resolve().parent):
        path.rmdir()
    link_all(records.folder)
    assert sorted((records.folder / "wandb").iterdir()) == links[1:]
    assert len(read_runs(records.folder)) == 4  # the folder of links is no run


def test_pictures_become_rarer_so_that_a_long_training_fills_no_disk():
    drawn = [epoch for epoch in range(1, 1601) if is_drawn(epoch, 0)]
    assert drawn[:51] == [*range(1, 51), 52]
    assert [sum(epoch <= n for epoch in drawn) for n in (100, 200, 400, 1600)] == [
        75,
        100,
        125,
        175,
    ]
    assert [epoch for epoch in range(1, 10) if is_drawn(epoch, 4)] == [4, 8]


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    ("share", "every", "drawn"),
    [(0.0, 0, [1, 2, 3, 4, 5, 8]), (1.0, 0, [*range(1, 9)]), (0.0, 3, [3, 6, 8])],
    ids=["dear", "cheap", "asked for"],
)
def test_pictures_that_cost_more_than_their_share_become_rarer(
    monkeypatch, tmp_path, share, every, drawn
):
    monkeypatch.setattr(pictures, "SHARE", share)
    folder = str(tmp_path / "runs")
    train(VAEConfig(epochs=8, pictures_every=every, width=8, runs_dir=folder, wandb="disabled"))
    (record,) = read_runs(folder)
    assert sorted(record.grids()) == drawn


@pytest.mark.parametrize(
    ("keep", "left"), [("all", ["best.pt", "last.pt"]), ("best", ["best.pt"]), ("none", [])]
)
def test_a_finished_run_keeps_the_checkpoints_that_are_asked_for(tmp_path, keep, left):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("best.pt", "last.pt"):
        (folder / name).write_bytes(b"weights")
    tidy(folder, keep)
    assert sorted(path.name for path in folder.glob("*")) == left


def test_the_only_checkpoint_is_kept_as_the_best(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"weights")
    tidy(tmp_path, "best")
    assert (tmp_path / "last.pt").exists()


def test_a_condition_on_what_no_run_has_is_refused(records):
    with pytest.raises(UserError, match="where=colour: no run has it"):
        chosen(rows_of(records), where="colour=red")


def test_the_best_run_is_of_the_newest_objective_and_tested_if_any_is(records):
    assert best_run(records.folder).path.name == "run-004"
    records.run("vae", scores={"elbo": -90.0}, split="val")
    assert best_run(records.folder).path.name == "run-005"
    records.run("vae", scores={"elbo": -101.0}, split="test")
    records.run("vae", scores={"elbo": -103.0}, split="test")
    assert best_run(records.folder).path.name == "run-006"
