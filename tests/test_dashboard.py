"""What a W&B page shows of a training, a search, a project: names, columns, charts, alerts."""

import json

import pytest
from wandb_server import ENTITY, Server

from genbench import dashboard, environment
from genbench.config import SearchConfig
from genbench.families import FAMILIES
from genbench.families.flow import FlowConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.record import Run, read_runs, wait_for_wandb
from genbench.record.feeding import log_search
from genbench.record.source import MACHINE, of_run
from genbench.search.record import place_of
from genbench.search.search import Search
from genbench.sweep import find_sweep, read_sweep

PAGE = {
    "name": "toy s1",
    "tags": ["vae", "mnist-mini"],
    "fields": ["lr", "seed"],
    "better": {"elbo": "maximize", "kid_lite0_n50": "minimize"},
    "floors": {"floor_kid_lite0_n50": 0.01},
    "hidden": ["kl"],
}
CONFIG = {"lr": 0.1, "seed": 1, "device": "cpu", "wandb_artifacts": True}
ELBO, KID = "val/elbo", "val/kid_lite0_n50"


@pytest.fixture
def server(monkeypatch):
    with Server() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def begun(run):
    facts = {"model": "vae", "key": "abcd", "objective": ELBO, "threads": 2}
    run.begin(CONFIG, **facts, dashboard=PAGE)
    for name in ("best", "last"):
        path = run.dir / "checkpoints" / f"{name}.pt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())


def log(run, step, elbo):
    run.log("train", {"loss": -elbo}, step, step)
    run.log("val", {"elbo": elbo, "kid_lite0_n50": 0.1 * step, "kl": float(step)}, step, step)


# --- names and columns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (VAEConfig(), "vae-mnist-mini s0"),
        (
            VAEConfig(beta=2, latent_dim=8, arch="conv"),
            "vae-mnist-mini conv latent_dim=8 beta=2 s0",
        ),
        (GANConfig(seed=1), "gan-synthetic-art-64px s1"),
        (GANConfig(data="folder", data_dir="x", loss="bce"), "gan-folder-64px bce s0"),
        (GANConfig(data="mnist-mini", image_size=64, epochs=3), "gan-mnist-mini-64px 3ep s0"),
        (FlowConfig(conditional=True, data="mnist-mini"), "flow-mnist-mini conditional s0"),
        (VAEConfig(learn_sigma=False, device="cpu", tags="a"), "vae-mnist-mini no learn_sigma s0"),
        (
            VAEConfig(arch="conv", latent_dim=8, width=64, depth=3, beta=2.0, lr=1e-4, seed=12),
            "vae-mnist-mini conv latent_dim=8 width=64 depth=3 +2 s12",
        ),
    ],
)
def test_a_name_says_what_differs_from_the_defaults(config, name):
    assert dashboard.run_name(config) == name
    assert len(name) <= dashboard.LONGEST


def test_a_discriminators_secondary_scalars_are_in_no_chart_of_w_and_bs_own():
    secondary = dashboard.secondary(FAMILIES["gan"])
    assert {"logit_real", "logit_fake", "r_t", "nearest"} <= {*secondary}
    assert not {"loss_d", "loss_g", "d_real", "d_fake", "spread"} & {*secondary}
    assert dashboard.secondary(FAMILIES["vae"]) == []


def test_what_w_and_b_shows_changes_no_key():
    named = VAEConfig(
        name="x", tags="a,b", notes="n", project="p", entity="e", wandb_artifacts=True
    )
    assert named.key == VAEConfig().key


def test_flags_win_over_variables(monkeypatch):
    monkeypatch.setenv("WANDB_NAME", "variable")
    monkeypatch.setenv("WANDB_NOTES", "kept")
    place = environment.wandb_place(dashboard.place(VAEConfig(name="flag", project="mine")))
    assert place == {"name": "flag", "notes": "kept", "project": "mine"}


def test_columns_are_what_identifies_a_run_and_a_sweeps_parameters(tmp_path):
    config = {"lr": 0.1, "log_every": 5, "data_dir": "/somewhere", "seed": 2}
    about = {"model": "vae", "threads": 2, "objective": ELBO, "config": config, "dashboard": PAGE}
    (tmp_path / "config.json").write_text(json.dumps(about))
    machine = {"log_every": 5, "data_dir": "/somewhere", "threads": 2}
    columns = {"model": "vae", "lr": 0.1, "seed": 2, "objective": ELBO}
    told = of_run(tmp_path)
    assert told["config"] == columns | {MACHINE: machine}
    assert list(told["config"])[:2] == ["model", "lr"]
    assert told["job_type"] == "train"
    swept = about | {"sweep": "abc", "command": ["vae.py", "--log_every=5"]}
    (tmp_path / "config.json").write_text(json.dumps(swept))
    told = of_run(tmp_path)
    assert told["config"]["log_every"] == 5
    assert told["config"][MACHINE] == {"data_dir": "/somewhere", "threads": 2}
    assert told["job_type"] == "trial"


# --- a run ----------------------------------------------------------------------------------------


def test_a_page_has_histories_of_the_training_and_a_summary_of_its_end(server, tmp_path):
    with Run(str(tmp_path), "toy", "online", {"group": "g", "tags": "mine"}) as run:
        begun(run)
        for step, elbo in enumerate((-3.0, -1.0, -2.0), 1):
            log(run, step, elbo)
        run.event("the samples have collapsed", 3, 3)
        run.log("test", {"elbo": -9.0}, 3, 3)
        run.summary["scores"] = {ELBO: -1.0, "test/elbo": -9.0, "test/floor_kid_lite0_n50": 0.02}
    wait_for_wandb()
    (sent,) = server.runs.values()
    assert (sent.display_name, sent.group, sent.job_type) == ("toy s1", "g", "train")
    assert sent.tags == ["vae", "mnist-mini", "mine"]
    assert sent.config["lr"] == {"value": 0.1}
    assert sent.config[MACHINE]["value"]["device"] == "cpu"
    assert "device" not in sent.config
    hidden = {m["1"] for m in sent.config["_wandb"]["value"]["m"] if "1" in m and 2 in m["6"]}
    assert hidden == {"epoch", "train/kl", "val/kl", "val/floor_kid_lite0_n50"}
    names = {name for row in sent.history for name in row if not name.startswith("_")}
    assert names == {"epoch", "train/loss", ELBO, KID, "val/kl", "val/floor_kid_lite0_n50"}
    assert [row["val/floor_kid_lite0_n50"] for row in sent.history] == [0.01] * 3
    found = {name: sent.summary[name] for name in (ELBO, KID, "val/kl", "test/elbo")}
    assert found == {ELBO: -1.0, KID: 0.1, "val/kl": 3.0, "test/elbo": -9.0}
    assert sent.summary["test/floor_kid_lite0_n50"] == 0.02
    (alert,) = server.alerts
    assert (alert["title"], alert["severity"]) == ("the samples have collapsed", "WARN")
    assert alert["text"] == "toy s1, epoch 3: the samples have collapsed"
    (artifact,) = server.artifacts
    assert artifact["artifactTypeName"] == "model"
    assert {one["alias"] for one in artifact["aliases"]} == {"best", "latest"}


class Diverged(RuntimeError):
    """As `genbench.handlers.Diverged`, which needs torch."""


def diverged(folder):
    """A run that ends so, whose last validation is not its best."""
    with Run(str(folder), "toy", "online") as run:
        begun(run)
        for step, elbo in enumerate((-3.0, -1.0, -2.0), 1):
            log(run, step, elbo)
        raise Diverged("train/loss is nan at step 3; try a smaller --lr")


def test_a_run_that_ends_early_keeps_its_best_and_goes_on_without_doubles(server, tmp_path):
    """W&B has its last validation, and its alert: neither is sent again."""
    with pytest.raises(Diverged):
        diverged(tmp_path)
    wait_for_wandb()
    (sent,) = server.runs.values()
    assert (sent.summary[ELBO], sent.exit_code) == (-1.0, 1)
    (alert,) = server.alerts
    assert (alert["title"], alert["severity"]) == ("the training diverged", "ERROR")
    assert "train/loss is nan at step 3" in alert["text"]
    (record,) = read_runs(tmp_path)
    with Run.reopen(record.path, "online") as run:
        run.go_on(3, CONFIG)
        log(run, 4, -4.0)
        run.event("the discriminator is saturated", 4, 4)
    wait_for_wandb()
    assert [row[ELBO] for row in sent.history if ELBO in row] == [-3.0, -1.0, -2.0, -4.0]
    assert sent.summary[ELBO] == -1.0
    titles = [alert["title"] for alert in server.alerts]
    assert titles == ["the training diverged", "the discriminator is saturated"]


def test_events_are_no_scalars(tmp_path):
    with Run(str(tmp_path), "toy", "disabled") as run:
        begun(run)
        log(run, 1, -3.0)
        run.event("the samples have collapsed", 1, 1)
    (record,) = read_runs(tmp_path)
    assert [row["split"] for row in record.metrics()] == ["train", "val"]


def study(folder, values):
    """The file of a search with these trials, of which None was pruned."""
    space = {"lr": '{"name": "FloatDistribution"}'}
    trials = [
        {
            "number": i,
            "state": "PRUNED" if value is None else "COMPLETE",
            "values": None if value is None else [value],
            "params": {"lr": 0.1 * (i + 1)},
            "intermediate": {},
            "run": f"run{i}",
        }
        for i, value in enumerate(values)
    ]
    best = max((v, i) for i, v in enumerate(values) if v is not None)[1]
    about = {"name": "vae-toy", "model": "vae", "data": "mnist-mini", "epochs": 1, "best": best}
    about |= {"objectives": [ELBO], "directions": ["maximize"], "space": space, "base": CONFIG}
    path = folder / "studies" / "vae-toy.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(about | {"trials": trials}))
    return path


# --- a search -------------------------------------------------------------------------------------


def test_a_search_is_a_run_beside_its_trials(server, script, tmp_path):
    file = study(tmp_path, [-3.0, None])
    log_search(file, "online")
    wait_for_wandb()
    study(tmp_path, [-3.0, None, -1.0])  # a trial more: the same run
    done = script("genbench", "sync", str(file.with_suffix("")), **server.environment())
    assert (done.returncode, done.stderr) == (0, "")
    (name,) = server.runs
    sent = server.runs[name]
    assert name.startswith("vae-toy-")
    assert (sent.job_type, sent.group, sent.display_name) == ("search", "vae-toy", "search vae-toy")
    assert [row["search/best"] for row in sent.history if "search/best" in row] == [-3.0, -1.0]
    assert (sent.summary[ELBO], sent.summary["best_trial"], sent.summary["best/lr"]) == (
        -1,
        2,
        0.1 * 3,
    )
    assert sent.summary["ended"] == {"complete": 2, "pruned": 1, "fail": 0}
    table = json.loads(sent.files[sent.summary["search/trials"]["path"]])
    assert table["columns"] == ["trial", "state", ELBO, "lr", "seconds", "run"]
    assert table["data"][1] == [1, "pruned", None, 0.2, None, "run1"]


def test_a_searchs_flags_are_its_runs():
    flags = {"project": "p", "tags": "t", "name": "n"}
    search = Search(read_sweep(find_sweep("vae")), SearchConfig(**flags))
    assert place_of(search) == flags | {"group": search.name}
    trial = search.make_config({}, seed=0, job_type="trial")
    assert (trial.project, trial.tags, trial.name, trial.job_type) == ("p", "t", "", "trial")
    assert search.final_config(1, {}).job_type == "final"


# --- a project ------------------------------------------------------------------------------------


def test_sections_open_with_what_people_want():
    gan = dashboard.sections(FAMILIES["gan"], [500], ["lr", "width"])
    assert [section.title for section in gan] == [
        *("Losses", "Real and fake", "Distance to real pictures", "Pictures", "More scalars"),
        *("What it costs", "Search of GAN"),
    ]
    first = {section.title: section.panels[0].metrics for section in gan}
    assert first["Losses"] == ("train/loss_g", "train/loss_d")
    assert first["Real and fake"] == ("train/d_real", "train/d_fake")
    kid = ("val/kid_lite0_n500", "val/floor_kid_lite0_n500")
    assert first["Distance to real pictures"] == kid
    assert first["Pictures"] == ("samples/samples",)
    assert first["Search of GAN"] == ("lr", "width", "val/kid_lite0_n500")
    vae = {section.title: section.panels for section in dashboard.sections(FAMILIES["vae"], [])}
    assert [panel.metrics for panel in vae["Losses"]] == [
        ("train/loss", "val/loss"),
        ("train/elbo", "val/elbo"),
        ("train/kl", "val/kl"),
        ("train/reconstruction", "val/reconstruction"),
    ]
    assert "Distance to real pictures" not in vae
    assert vae["Latent space"][0].metrics == ("val/latents",)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_scalar_of_a_family_is_in_one_chart_of_it(family):
    panels = [panel for section in dashboard.sections(family, []) for panel in section.panels]
    drawn = [name for panel in panels if panel.kind == "lines" for name in panel.metrics]
    assert len(drawn) == len(set(drawn))
    assert {name.partition("/")[2] for name in drawn} >= set(family.scalars)


def test_charts_that_families_share_are_there_once():
    found = dashboard.all_sections({}, {}, ["ae", "vae", "flow"])
    losses = [panel for panel in found[0].panels if panel.metrics == ("train/loss", "val/loss")]
    assert [panel.title for panel in losses] == ["Loss"]
    assert losses[0].unit == ""  # of flow it is no nats
    assert len({section.title for section in found}) == len(found)


def test_workspace_saves_a_view_and_a_report(server, script, tmp_path):
    pytest.importorskip("wandb_workspaces")
    done = script("genbench", "workspace", "--name=mine", **server.environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"View:   {server.url}/{ENTITY}/genbench?nw=")
    assert f"\nReport: {server.url}/{ENTITY}/genbench/reports/mine" in done.stdout
    view, report = server.views
    assert (view["displayName"], report["displayName"]) == ("mine", "mine")
    bank = view["spec"]["section"]["panelBankConfig"]["sections"]
    charts = {section["name"]: section["panels"] for section in bank}
    line = charts["Real and fake"][0]
    assert line["config"]["metrics"] == ["train/d_real", "train/d_fake"]
    assert line["config"]["xAxis"] == "epoch"
    kid = charts["Distance to real pictures"][0]["config"]["metrics"]
    assert kid == ["val/kid_lite0_n500", "val/floor_kid_lite0_n500"]
    pictures = [panel["config"]["mediaKeys"] for panel in charts["Pictures"]]
    assert sorted(pictures) == [["samples/reconstructions"], ["samples/samples"]]
    parallel = charts["Search of VAE"][0]["config"]["columns"]
    assert parallel[0]["accessor"] == "config:arch.value"
    assert parallel[-1]["accessor"] == "summary:val/elbo"
    assert [section["isOpen"] for section in bank][:5] == [True] * 4 + [False]
    grids = [block for block in report["spec"]["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == len(bank)


def test_workspace_without_a_key_is_one_line(script):
    pytest.importorskip("wandb_workspaces")
    done = script("genbench", "workspace")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: W&B: no key; `wandb login` or WANDB_API_KEY sets one\n"
