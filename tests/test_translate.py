"""`genbench sweep translate`: files in the manner of other projects, and what becomes of them."""

import pytest
import yaml
from conftest import ROOT

from genbench import UserError
from genbench.record import read_runs
from genbench.sweep import check_sweep, read_sweep
from genbench.sweep.translate import translate

TRAIN = ["${env}", "genbench", "train", "vae", "${args}"]
ELBO = {"name": "val/elbo", "goal": "maximize"}

FILES = {
    "keras tutorial": (
        """
        program: train.py
        name: mnist-vae
        method: random
        metric: {name: val_loss, goal: minimize}
        parameters:
          epochs: {values: [5, 10, 15]}
          batch_size: {values: [256, 128, 64, 32]}
          dropout: {values: [0.3, 0.4, 0.5]}
          weight_decay: {values: [0.0005, 0.005, 0.05]}
          learning_rate: {values: [1e-2, 1e-3, 1e-4, 3e-4, 3e-5, 1e-5]}
          optimizer: {values: [adam, nadam, sgd, rmsprop]}
          activation: {values: [relu, elu, selu, softmax]}
        """,
        {"epochs": {"values": [5, 10, 15]}, "batch_size": {"values": [256, 128, 64, 32]}}
        | {"lr": {"values": [0.01, 0.001, 0.0001, 0.0003, 0.00003, 0.00001]}}
        | {"activation": {"values": ["relu", "elu"]}},
        ["dropout: left out", "optimizer: left out", "1e-2 is text to YAML", "choose one of relu"],
    ),
    "nested groups": (
        """
        program: src/train_vae.py
        method: bayes
        metric: {name: val/elbo, goal: maximize}
        parameters:
          model:
            parameters:
              latent_dim: {values: [8, 16]}
              encoder: {parameters: {hidden_dim: {value: 128}}}
          optimizer.lr: {min: 0.0001, max: 0.01}
        """,
        {"latent_dim": {"values": [8, 16]}, "width": {"value": 128}}
        | {"lr": {"min": 0.0001, "max": 0.01}},
        ["was model.encoder.hidden_dim", "was optimizer.lr"],
    ),
    "anchors": (
        """
        name: vae
        method: grid
        metric: {name: val/reconstruction, goal: maximize}
        base: &base {min: 2, max: 8}
        parameters:
          latent_dim: {<<: *base, max: 6}
          beta: {min: 0.5, max: 2.5}
        """,
        {"latent_dim": {"values": [2, 3, 4, 5, 6]}, "beta": {"values": [0.5, 1.0, 1.5, 2.0, 2.5]}},
        ["a range has no grid", "base: left out", "was val/reconstruction, maximize"],
    ),
    "log and q": (
        """
        program: vae.py
        method: bayes
        metric: {name: elbo, goal: maximize}
        parameters:
          lr: {distribution: log_uniform, min: 0.00001, max: 0.01}
          batch_size: {distribution: q_log_uniform_values, min: 32, max: 256, q: 8}
          latent_dim: {distribution: q_log_uniform, min: 1.0, max: 4.0, q: 4}
          width: {distribution: q_uniform, min: 16, max: 512, q: 16}
          beta: {distribution: log_normal, mu: 0.0, sigma: 0.5}
          depth: {distribution: uniform, min: 1.0, max: 3.9}
        """,
        {"lr": {"distribution": "log_uniform_values", "min": 0.00001, "max": 0.01}}
        | {"batch_size": {"values": [32, 40, 56, 80, 104, 144, 192, 256]}}
        | {"latent_dim": {"values": [4, 8, 12, 20, 28, 40, 56]}}
        | {"width": {"distribution": "q_uniform", "min": 16, "max": 512, "q": 16}}
        | {
            "beta": {
                "distribution": "log_uniform_values",
                "min": pytest.approx(0.3678794),
                "max": pytest.approx(2.7182818),
            }
        }
        | {"depth": {"min": 1, "max": 3}},
        ["log_uniform takes exponents, so it drew 1 to 1.01", "with q: 8 is W&B's alone"],
    ),
    "launchers": (
        """
        method: random
        metric: {name: val/elbo, goal: maximize}
        command: [accelerate, launch, "${program}", "${args_json}"]
        program: train_vae.py
        run_cap: 10
        parameters: {lr: {min: 0.001, max: 0.01}, random_seed: {values: [1, 2, 3]}}
        """,
        {"lr": {"min": 0.001, "max": 0.01}, "seed": {"values": [1, 2, 3]}},
        ["was random_seed"],
    ),
    "a command of its own": (
        """
        method: random
        metric: {name: val/elbo, goal: maximize}
        command: ["${env}", python, experiments/vae.py, "${args_json}"]
        parameters: {lr: {min: 0.001, max: 0.01}}
        """,
        {"lr": {"min": 0.001, "max": 0.01}},
        ["${args_json} is not read by the program"],
    ),
    "fixed values": (
        """
        name: VAE sweep
        project: mine
        method: random
        metric: {goal: minimize, name: loss}
        parameters:
          dataset: {value: mnist}
          batch_size: 64
          lr: 0.001
          amp: {value: true}
          kl_weight: {values: [0.1, 1, 4]}
        """,
        {"data": {"value": "mnist"}, "batch_size": {"value": 64}, "lr": {"value": 0.001}}
        | {"beta": {"values": [0.1, 1.0, 4.0]}},
        ["changes its meaning with what is searched", "amp: left out"],
    ),
    "bandits": (
        """
        program: vae/main.py
        method: bayesian
        metric: {name: val/elbo, goal: maximize}
        early_terminate: {type: bandit, slack: 0.1}
        parameters:
          nz: {values: [2, 4], probabilities: [0.9, 0.1]}
          lr: {distribution: normal, mu: 0.01, sigma: 0.002, comment: from the paper}
        """,
        {"latent_dim": {"values": [2, 4]}}
        | {
            "lr": {
                "distribution": "uniform",
                "min": pytest.approx(0.006),
                "max": pytest.approx(0.014),
            }
        },
        ["type must be hyperband", "'bayesian' is no method", "probabilities are W&B's alone"],
    ),
    "hydra": (
        """
        program: src/vae/train.py
        method: bayes
        metric: {name: val/elbo, goal: maximize}
        command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
        early_terminate: {type: hyperband, min_iter: 2, eta: 2, strict: true}
        parameters:
          model.z_dim: {distribution: int_uniform, min: 2, max: 16}
          optim.learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}
          trainer.max_epochs: {value: 2}
          seed: {values: [0, 1]}
        """,
        {"latent_dim": {"distribution": "int_uniform", "min": 2, "max": 16}}
        | {"epochs": {"value": 2}, "seed": {"values": [0, 1]}}
        | {"lr": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.01}},
        ["was model.z_dim", "1e-4 is text to YAML"],
    ),
    "distributed": (
        """
        program: vae.py
        method: grid
        metric: {name: Val/ELBO, goal: maximize}
        command: [torchrun, --nproc_per_node=1, "${program}", "${args}"]
        parameters:
          hidden_size: {values: [16, 32]}
          nonlinearity: {values: [relu, tanh]}
          epochs: {value: 1}
          gpu: {value: 0}
        """,
        {"width": {"values": [16, 32]}, "activation": {"values": ["relu", "tanh"]}}
        | {"epochs": {"value": 1}},
        ["was hidden_size", "gpu: left out"],
    ),
}


def written(tmp_path, text):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", FILES)
def test_what_others_write_becomes_what_all_tools_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(ROOT)
    text, parameters, reasons = FILES[name]
    path = written(tmp_path, "\n".join(line[8:] for line in text.splitlines()))
    assert name == "a command of its own" or check_sweep(path) != []
    translated = translate(path)
    content = yaml.safe_load(translated)
    assert content["parameters"] == parameters
    for reason in reasons:
        assert any(
            line.strip().startswith("#") and reason in line for line in translated.splitlines()
        ), reason
    if name != "a command of its own":
        assert content["command"] == TRAIN
        assert "program" not in content
    again = written(tmp_path, translated)
    assert check_sweep(again) == []
    assert read_sweep(again).family.name == "vae"
    assert translate(again).splitlines() == [
        line for line in translated.splitlines() if not line.strip().startswith("#")
    ]


def test_what_is_right_stays_as_it_is_and_a_gans_is_by_kid(tmp_path):
    for name in ("ae", "vae", "gan", "flow"):
        path = ROOT / "sweeps" / f"{name}.yaml"
        content, ours = yaml.safe_load(translate(path)), yaml.safe_load(path.read_text())
        assert content == ours
    path = written(tmp_path, "method: random\nparameters: {ngf: {values: [8, 16]}}\n")
    with pytest.raises(UserError, match="says nowhere what it trains; add --model=ae or --model="):
        translate(path)
    content = yaml.safe_load(translate(path, "gan"))
    assert content["metric"] == {"name": "val/kid_lite0_n500", "goal": "minimize"}
    assert content["parameters"] == {"width": {"values": [8, 16]}}
    with pytest.raises(UserError, match="model"):
        translate(path, "diffusion")
    with pytest.raises(UserError, match="has no parameters, so there is nothing to translate"):
        translate(written(tmp_path, "method: random\n"))


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("{distribution: q_log_uniform, min: 8, max: 64, q: 8}", [8, 16, 24, 32, 48, 64]),
        ("{distribution: q_log_uniform, max: 1024, q: 8}", None),
        ("{distribution: q_log_uniform, min: 0, max: 4, q: 0}", None),
        ("{distribution: normal, mu: high}", None),
    ],
)
def test_no_entry_ends_in_a_traceback(tmp_path, entry, values):
    parameters = f"{{latent_dim: {entry}, width: {{values: [8, 16]}}}}"
    text = f"name: vae\nmethod: random\nparameters: {parameters}\n"
    translated = translate(written(tmp_path, text))
    found = yaml.safe_load(translated)["parameters"]
    if values:
        assert found["latent_dim"] == {"values": values}
        assert "takes exponents of e; these are taken for values" in translated
    else:
        assert set(found) == {"width"}
        assert "# latent_dim: left out; " in translated


def test_what_is_left_is_said_in_front(tmp_path):
    path = written(tmp_path, "name: vae\nmethod: random\nparameters: {nothing: {values: [1]}}\n")
    first, second, *_ = translate(path).splitlines()
    assert first == "# still wrong: parameters: all are fixed, nothing to search"
    assert second == "# nothing: left out; it is no parameter of vae"


def test_the_checker_offers_it_and_its_output_runs(script, tmp_path):
    text = (
        "name: vae\nmethod: grid\nmetric: {name: loss}\nparameters:\n  learning_rate: "
        "{values: [1e-3]}\n  hidden: {values: [8, 16]}\n  num_epochs: {value: 1}\n"
    )
    path = written(tmp_path, text)
    checked = script("genbench", "sweep", "check", str(path))
    assert checked.returncode == 2
    assert f"genbench sweep translate {path} prints the nearest file" in checked.stderr
    done = script("genbench", "sweep", "translate", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    written(tmp_path, done.stdout)
    ran = script("genbench", "sweep", str(path), "--count=2")
    assert ran.returncode == 0, ran.stderr
    runs = read_runs(tmp_path / "runs")
    assert sorted(run.config["width"] for run in runs) == [8, 16]
    assert {run.config["lr"] for run in runs} == {0.001}
