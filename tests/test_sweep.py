"""The reader against both tools' meaning: W&B's formulas stand here, Optuna draws for itself."""

import math
import random
from pathlib import Path

import optuna
import pytest
import yaml
from conftest import ROOT
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from wandb_draws import FORMULAS

from genbench import UserError
from genbench.families import FAMILIES
from genbench.families.ae import AEConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.record import read_runs
from genbench.sweep import (
    Stopping,
    check_sweep,
    contradictions,
    find_sweep,
    holds,
    read_sweep,
)
from genbench.sweep.distributions import to_distribution
from genbench.train import train

GOOD = {
    "program": str(ROOT / "experiments" / "vae.py"),
    "method": "bayes",
    "metric": {"name": "val/elbo", "goal": "maximize"},
    "parameters": {"latent_dim": {"values": [2, 4]}},
}


def write(tmp_path, content):
    path = tmp_path / "sweep.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"value": 0}, 0),
        ({"value": False}, False),
        ({"distribution": "constant", "value": "conv"}, "conv"),
        ({"values": ["mlp", "conv"]}, CategoricalDistribution(("mlp", "conv"))),
        ({"distribution": "categorical", "values": [1, 2]}, CategoricalDistribution((1, 2))),
        ({"min": 1, "max": 5}, IntDistribution(1, 5)),
        ({"min": 1, "max": 5.0}, FloatDistribution(1.0, 5.0)),
        ({"min": 0.5, "max": 1.5}, FloatDistribution(0.5, 1.5)),
        ({"distribution": "uniform", "min": 1, "max": 5}, FloatDistribution(1.0, 5.0)),
        ({"distribution": "int_uniform", "min": 1, "max": 5}, IntDistribution(1, 5)),
        ({"distribution": "q_uniform", "min": 0, "max": 8, "q": 2}, IntDistribution(0, 8, step=2)),
        # W&B rounds to the nearest multiple of q, beyond min and max if need be
        ({"distribution": "q_uniform", "min": 3, "max": 9, "q": 4}, IntDistribution(4, 8, step=4)),
        (
            {"distribution": "q_uniform", "min": 0.1, "max": 0.3, "q": 0.1},
            FloatDistribution(0.1, 0.3, step=0.1),
        ),
        (
            {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
            FloatDistribution(0.001, 0.1, log=True),
        ),
        (
            {"distribution": "inv_log_uniform_values", "min": 0.001, "max": 0.1},
            FloatDistribution(0.001, 0.1, log=True),
        ),
        (
            {"distribution": "log_uniform", "min": -2, "max": 0},
            FloatDistribution(math.exp(-2), 1.0, log=True),
        ),
        (
            {"distribution": "inv_log_uniform", "min": 0, "max": 2},
            FloatDistribution(math.exp(-2), 1.0, log=True),
        ),
        (
            {"distribution": "q_log_uniform_values", "min": 2, "max": 64, "q": 1},
            IntDistribution(2, 64, log=True),
        ),
        (
            {"distribution": "q_log_uniform", "min": 0.7, "max": 3.5, "q": 1},
            IntDistribution(2, 33, log=True),
        ),
    ],
)
def test_each_distribution_is_read_as_the_one_of_the_same_meaning(entry, expected):
    assert to_distribution(entry) == expected


EXPONENTS = ("log_uniform", "inv_log_uniform", "q_log_uniform")


@given(
    name=st.sampled_from(sorted(FORMULAS)),
    low=st.integers(1, 40),
    size=st.integers(1, 60),
    scale=st.sampled_from([1, 0.1, 0.03]),
    q=st.sampled_from([1, 2, 0.25, 0.1, 0.7]),
    u=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_a_value_drawn_by_either_tool_lies_in_the_others_support(
    name, low, size, scale, q, u, seed
):
    whole = name == "int_uniform" or name.startswith("q_log")
    low, high = (low, low + size) if whole else (low * scale, (low + size) * scale)
    if name in EXPONENTS:
        low, high = math.log(low), math.log(high)
    q = 1 if name.startswith("q_log") else q
    assume(name != "q_uniform" or round(low / q) < round(high / q))
    entry = {"distribution": name, "min": low, "max": high} | ({"q": q} if name[:2] == "q_" else {})
    ours = to_distribution(entry)

    theirs = FORMULAS[name](u, low, high, q)
    assert ours.low - 1e-9 <= theirs <= ours.high + 1e-9
    if getattr(ours, "step", None):
        assert (theirs - ours.low) / ours.step == pytest.approx(
            round((theirs - ours.low) / ours.step), abs=1e-6
        )

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask({"p": ours}).params["p"]
    ends = sorted(FORMULAS[name](end, low, high, q) for end in (0, 1))
    assert ends[0] - 1e-9 <= drawn <= ends[1] + 1e-9
    if name == "q_uniform":
        assert drawn / q == pytest.approx(round(drawn / q), abs=1e-6)
        assert type(drawn) is type(q)
    if whole:
        assert type(drawn) is int


@pytest.mark.parametrize(
    "name", ["uniform", "log_uniform_values", "inv_log_uniform_values", "q_uniform"]
)
def test_both_tools_draw_with_the_same_density(name):
    low, high, q, n = 0.5, 8.0, 0.5, 4_000
    entry = {"distribution": name, "min": low, "max": high} | (
        {"q": q} if name == "q_uniform" else {}
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = {"p": to_distribution(entry)}
    ours = sorted(study.ask(space).params["p"] for _ in range(n // 10))
    rng = random.Random(0)
    theirs = sorted(FORMULAS[name](rng.random(), low, high, q) for _ in range(n))
    for share in (0.25, 0.5, 0.75):
        got, expected = ours[int(share * len(ours))], theirs[int(share * n)]
        assert got == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"distribution": "normal", "mu": 0, "sigma": 1}, "distribution normal is W&B's alone"),
        ({"distribution": "q_beta", "a": 1, "b": 1}, "distribution q_beta is W&B's alone"),
        ({"values": [1, 2], "probabilities": [0.1, 0.9]}, "categorical_w_probabilities is W&B's"),
        (
            {"distribution": "q_log_uniform_values", "min": 0.1, "max": 1, "q": 0.1},
            "q_log_uniform is Optuna's only for q: 1",
        ),
        (
            {"distribution": "q_log_uniform_values", "min": 0.1, "max": 1.7e308},
            "write values: [1, 71968",
        ),
        (
            {"distribution": "q_log_uniform_values", "min": 0.5, "max": 1.7e308, "q": 1e-300},
            ", 1.0]",
        ),
        ({"distribution": "unifrom", "min": 0, "max": 1}, "unknown distribution 'unifrom'"),
        ({"parameters": {"a": {"value": 1}}}, "nested parameters are not supported"),
        ({"min": 2, "max": 1}, "min 2 must be below max 1"),
        ({"min": 0, "max": "1e-4"}, "'1e-4' is text to YAML; write 0.0001"),
        ({"values": []}, "values: must be a list with at least one value"),
        ({"values": [1, "1e-3"]}, "'1e-3' is text to YAML; write 0.001"),
        ({"values": ["1e-12"]}, "'1e-12' is text to YAML; write 0.000000000001"),
        ({"values": ["3"]}, "'3' is text to YAML; write 3"),
        ({"values": [[1], [2]]}, "values: must be scalars"),
        ({"min": 1}, "needs value, values, or min and max"),
        ({"distribution": "uniform", "min": 1}, "needs max"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 3}, "int_uniform needs whole min"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "min 0 must be above 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 5}, "q 5 leaves one value"),
        ({"mn": 0, "max": 1}, "unknown key 'mn'; did you mean min"),
        (3, "keys: must be a mapping"),
        ({"distribution": ["uniform"], "min": 0, "max": 1}, "unknown distribution ['uniform']"),
        ({"distribution": "log_uniform", "min": 1, "max": 800}, "log_uniform with min 1, max 800"),
    ],
)
def test_what_optuna_cannot_express_is_refused_by_name(entry, message):
    with pytest.raises(UserError) as error:
        to_distribution(entry)
    assert message in str(error.value)


def test_a_sweep_file_is_read_whole(tmp_path):
    content = GOOD | {
        "parameters": GOOD["parameters"] | {"depth": {"value": 3}},
        "early_terminate": {"type": "hyperband", "min_iter": 4, "eta": 2},
    }
    sweep = read_sweep(write(tmp_path, content), FAMILIES[VAEConfig.model])
    assert sweep.space == {"latent_dim": CategoricalDistribution((2, 4))}
    assert sweep.fixed == {"depth": 3}
    assert (sweep.metric, sweep.goal, sweep.method) == ("val/elbo", "maximize", "bayes")
    assert sweep.stopping == Stopping("hyperband", 4, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it needs parameters, metric and method"),
        ("- a\n- b\n", "it needs parameters"),
        ("method: bayes\nparameters: {a: [1, 2\n", ":3: not YAML"),
        (GOOD | {"methd": "bayes"}, "unknown key 'methd'; did you mean method?"),
        (GOOD | {"method": "bays"}, "method: bays is unknown; write bayes or random or grid"),
        (GOOD | {"program": "experiments/gan.py"}, "does not train vae"),
        (GOOD | {"metric": {"name": "test/elbo"}}, "metric: needs a name that starts with val/"),
        (GOOD | {"metric": {"name": "val/elbo", "goal": "max"}}, "goal: max; write minimize"),
        (GOOD | {"early_terminate": {"type": "envelope"}}, "type must be hyperband"),
        (GOOD | {"early_terminate": {"type": "hyperband", "s": 2}}, "give min_iter, or"),
        (
            GOOD | {"parameters": {"latent": {"value": 1}}},
            "unknown parameter 'latent'; did you mean",
        ),
        (GOOD | {"parameters": {"seed": {"values": [1, 2]}}}, "all are fixed, nothing to search"),
        (GOOD | {"parameters": {"seed": {"min": 1, "max": 9}}}, "seed: write values: [0, 1, 2]"),
        (GOOD | {"parameters": {"seed": {"values": [1, -2]}}}, "seed=-2: must be"),
        (GOOD | {"parameters": {"seed": {"value": 0.5}}}, "seed=0.5: must be int"),
        (GOOD | {"parameters": {"test": {"value": True}}}, "test: is set on the command line"),
        (
            GOOD | {"parameters": {"binarize": {"values": ["none", "dynamic"]}}},
            "changes what the metric means",
        ),
        (GOOD | {"parameters": {"likelihood": {"values": ["gaussian"]}}}, "fix it with value:"),
        (
            GOOD | {"parameters": {"latent_dim": {"min": 0, "max": 9}}},
            "latent_dim=0: must be at least",
        ),
        (
            GOOD | {"parameters": {"latent_dim": {"min": 0.5, "max": 9}}},
            "latent_dim: draws fractions and the program takes whole numbers",
        ),
        (
            GOOD | {"parameters": {"arch": {"values": ["mlp", "rnn"]}}},
            "arch='rnn': choose one of mlp",
        ),
        (GOOD | {"run_cap": 0}, "run_cap: 0 must be a whole number of at least 1"),
        (
            GOOD
            | {"metric": {"name": "val/loss"}, "parameters": {"beta": {"min": 0.1, "max": 1.0}}},
            "val/loss changes its meaning with beta",
        ),
        (GOOD | {"parameters": {"depth": {"value": 2}}}, "all are fixed, nothing to search"),
        (GOOD | {"parameters": {"lr": {"min": 1, "max": "1e-4"}}}, "lr: '1e-4' is text to YAML"),
    ],
)
def test_a_bad_sweep_file_is_refused_in_one_line_that_names_it(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(UserError) as error:
        read_sweep(path, FAMILIES[VAEConfig.model])
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_sweep_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"sweep=.*none.yaml: cannot be read"):
        read_sweep(tmp_path / "none.yaml", FAMILIES[VAEConfig.model])


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (CategoricalDistribution((1, "a")), [1, "a"], [2, "b"]),
        (IntDistribution(2, 8, step=3), [2, 5, 8], [1, 3, 9]),
        (FloatDistribution(0.1, 0.5, step=0.2), [0.1, 0.3, 0.5], [0.2, 0.7]),
        (FloatDistribution(0.1, 0.5), [0.1, 0.123, 0.5], [0.05, 0.51]),
    ],
)
def test_holds_tells_what_a_distribution_can_draw(distribution, inside, outside):
    assert all(holds(distribution, value) for value in inside)
    assert not any(holds(distribution, value) for value in outside)


@pytest.mark.parametrize("kind", [AEConfig, VAEConfig])
def test_the_shipped_sweeps_vary_what_matters_and_keep_the_scores_meaning(kind):
    sweep = read_sweep(ROOT / "sweeps" / f"{kind.model}.yaml", FAMILIES[kind.model])
    assert {"arch", "latent_dim", "width", "depth", "activation", "lr"} <= set(sweep.space)
    assert not {"likelihood", "binarize"} & set(sweep.space)
    assert ("beta" in sweep.space) is (kind is VAEConfig)
    for name, distribution in sweep.space.items():  # the defaults can be the first trial
        assert holds(distribution, getattr(kind(), name)), name
        assert "object" not in distribution_to_json(distribution)


BROKEN = """\
program: experiments/vae.py
methd: bayes
method: bays
metric:
  name: val/fid
  goal: max
early_terminate:
  type: hyperband
  min_iter: 0
run_cap: many
command: ["${env}", python, "${program}", "${args_json}"]
parameters:
  lr:
    distribution: log_uniform
    min: 0.0001
    max: 0.01
  latent_dim:
    min: 2
    max: 16.0
  beta:
    min: 2
    max: 1
  lr:
    min: 1e-4
    max: 0.1
  width:
    values: [16, 32]
    q: 2
  latent: {value: 3}
  depth: {min: 1, max: 20}
  arch: {parameters: {a: {value: 1}}}
"""


def test_every_problem_is_named_with_its_line_and_the_way_out(tmp_path):
    path = write(tmp_path, BROKEN)
    said = check_sweep(path)
    found = {int(line.removeprefix(f"{path}:").split(":")[0]): line for line in said}
    for line, text in {
        2: "unknown key 'methd'; did you mean method?",
        3: "method: bays is unknown; write bayes or random or grid",
        5: "val/fid is never logged; write one of val/bce, val/elbo",
        6: "goal: max; write minimize or maximize",
        7: "min_iter must be a whole number of at least 1",
        10: "run_cap: many must be a whole number",
        11: "${args_json} is not read by the program; write ${args}",
        17: "latent_dim: draws fractions and the program takes whole numbers; write int_uniform",
        20: "beta: min 2 must be below max 1",
        26: "width: q: does not go with categorical",
        29: "unknown parameter 'latent'; did you mean latent_dim?",
        31: "nested parameters are not supported; write flat names",
    }.items():
        assert text in found[line], found[line]
    assert any(f"{path}:23: lr: stands in line 13 too; keep one" in line for line in said)
    assert any(f"{path}:23: lr: '1e-4' is text to YAML; write 0.0001" in line for line in said)
    with pytest.raises(UserError, match=r"yaml:2: unknown key .* \(and \d+ more: genbench sweep"):
        read_sweep(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"distribution": "log_uniform", "min": 0.0003, "max": 0.006}, "lr: log_uniform takes exp"),
        ({"distribution": "log_uniform", "min": 0.01, "max": 0.1}, "write log_uniform_values"),
        ({"distribution": "log_uniform_values", "min": -8, "max": -4}, "min -8 must be above 0"),
        ({"min": 0.001, "max": 0.1, "q": 0.001}, "write distribution: q_uniform"),
    ],
)
def test_values_for_exponents_and_the_like_are_found(tmp_path, entry, message):
    (said,) = check_sweep(write(tmp_path, GOOD | {"parameters": {"lr": entry}}))
    assert message in said


def test_true_exponents_are_let_through(tmp_path):
    entry = {"distribution": "log_uniform", "min": -8, "max": -4}
    assert check_sweep(write(tmp_path, GOOD | {"parameters": {"lr": entry}})) == []


@pytest.mark.parametrize(
    ("parameters", "name", "message"),
    [
        ({}, "val/kid_lite0_n500", None),
        ({"eval_images": {"value": 300}}, "val/kid_lite0_n500", "it is val/kid_lite0_n300"),
        ({"held_out": {"value": 100}}, "val/kid_lite0_n500", "it is val/kid_lite0_n100"),
        ({"eval_every": {"value": 0}}, "val/kid_lite0_n500", "not logged with eval_every 0"),
        ({"data": {"value": "propaganda-debian"}}, "val/kid_lite0_n210", None),
        ({}, "val/kid_n500", "never logged"),
        ({}, "val/elbo", "never logged"),
        ({}, "val/loss_d", None),
        ({"held_out": {"values": [100, 500]}}, "val/kid_lite0_n500", "held_out: is part of the"),
        ({"eval_every": {"values": [0, 1]}}, "val/kid_lite0_n500", "eval_every: must be the same"),
    ],
)
def test_a_gans_metric_is_one_that_it_logs(tmp_path, parameters, name, message):
    content = {
        "program": str(ROOT / "experiments" / "gan.py"),
        "method": "random",
        "metric": {"name": name},
        "parameters": {"width": {"values": [8, 16]}} | parameters,
    }
    said = check_sweep(write(tmp_path, content))
    assert said == [] if message is None else message in said[0]


@pytest.mark.parametrize("kind", ["ae", "vae", "gan", "flow"])
def test_what_the_checker_takes_for_logged_is_what_the_programs_log(kind, tmp_path):
    small = {"width": 16, "epochs": 1, "wandb": "disabled", "runs_dir": str(tmp_path)}
    if kind in ("gan", "flow"):
        small |= {
            "width": 8,
            "eval_every": 1,
            "images": 64,
            "held_out": 64,
            "image_size": 32,
            "eval_images": 50,
        }
    train(FAMILIES[kind].config(**small))
    (run,) = read_runs(tmp_path)
    rows = [row for row in run.metrics() if row["split"] == "val"]
    logged = {name for row in rows for name in row} - {"step", "epoch", "split"}
    assert {name for name in logged if "_lite0_n" not in name} == set(FAMILIES[kind].scalars)
    assert {name for name in logged if "_lite0_n" in name} == (
        {"fd_lite0_n50", "kid_lite0_n50"} if kind in ("gan", "flow") else set()
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"values": [3, 1, 3]}, [3, 1]),
        ({"min": 2, "max": 5}, [2, 3, 4, 5]),
        ({"distribution": "int_uniform", "min": 2, "max": 3}, [2, 3]),
        # wandb/sweeps enumerates numpy's arange: without the end
        ({"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25}, [0.0, 0.25, 0.5, 0.75]),
    ],
)
def test_the_grid_is_the_one_that_wandb_enumerates(entry, expected):
    assert list(to_distribution(entry, grid=True).choices) == expected


def test_a_continuous_parameter_has_no_grid(tmp_path):
    content = GOOD | {"method": "grid", "parameters": {"lr": {"min": 0.1, "max": 0.2}}}
    assert "lr: uniform has no grid; write values" in check_sweep(write(tmp_path, content))[0]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "hyperband", "min_iter": 3}, Stopping("hyperband", 3, 3)),
        ({"type": "hyperband", "max_iter": 27, "s": 2}, Stopping("hyperband", 3, 3)),
        ({"type": "hyperband", "max_iter": 27, "s": 9, "eta": 3}, Stopping("hyperband", 1, 3)),
        ({"type": "hyperband", "max_iter": 12, "s": 2, "eta": 2}, Stopping("hyperband", 3, 2)),
        ({"type": "median", "min_iter": 4}, Stopping("median", 4, 3)),
    ],
)
def test_early_termination_is_read_in_both_forms(tmp_path, entry, expected):
    assert read_sweep(write(tmp_path, GOOD | {"early_terminate": entry})).stopping == expected


def gan(parameters, **more):
    """A GAN's sweep file, by a loss that every run logs."""
    content = {"program": str(ROOT / "experiments" / "gan.py"), "method": "random"}
    return content | {"metric": {"name": "val/accuracy"}, "parameters": parameters} | more


def test_a_value_is_checked_beside_the_others_not_beside_the_defaults(tmp_path):
    policies = {"diffaugment": {"values": ["color", "color,translation"]}}
    steered = policies | {"ada_target": {"value": 0.5}, "loss": {"value": "bce"}}
    assert check_sweep(write(tmp_path, gan(steered))) == []
    steered["diffaugment"]["values"].append("")
    (said,) = check_sweep(write(tmp_path, gan(steered)))
    assert "ada_target=0.5 steers diffaugment: name its policies" in said
    bound = {"importance_samples": {"values": [1, 5]}, "beta": {"min": 0.5, "max": 2.0}}
    (said,) = check_sweep(write(tmp_path, GOOD | {"parameters": bound}))
    assert "importance_samples=5: the bound has no separate KL" in said


def test_a_value_that_goes_with_a_single_point_is_no_problem(tmp_path):
    bound = {"importance_samples": {"values": [1, 5]}, "kl_warmup": {"values": [0, 1, 2, 3, 5]}}
    bound |= {"beta": {"values": [0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0]}}
    bound |= {"free_bits": {"values": [0, 0.05, 0.1, 0.2, 0.5]}}
    assert check_sweep(write(tmp_path, GOOD | {"parameters": bound})) == []


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ({"name": "val/elbo"}, "minimize looks for the worst val/elbo; write goal: maximize"),
        ({"name": "val/bce", "goal": "maximize"}, "the worst val/bce; write goal: minimize"),
        ({"name": "val/kl", "goal": "maximize"}, None),
    ],
)
def test_a_goal_that_looks_for_the_worst_is_refused(tmp_path, metric, message):
    said = check_sweep(write(tmp_path, GOOD | {"metric": metric}))
    assert said == [] if message is None else message in said[0]


def test_a_grid_of_too_many_values_is_refused_without_listing_them(tmp_path):
    content = GOOD | {"method": "grid", "parameters": {"latent_dim": {"min": 1, "max": 2 * 10**8}}}
    (said,) = check_sweep(write(tmp_path, content))
    assert "latent_dim: more than 10,000 values for a grid" in said


def test_a_pair_that_contradicts_itself_is_foretold_not_refused(tmp_path, script):
    pair = {"loss": {"values": ["bce", "hinge"]}, "label_smoothing": {"values": [0.0, 0.1]}}
    path = write(tmp_path, gan(pair))
    sweep = read_sweep(path)
    refused, why = contradictions(sweep.family.config, sweep.space, sweep.held)
    assert 10 < refused < 40  # a quarter of all draws
    assert why == "label_smoothing=0.1 needs loss=bce"
    done = script("genbench", "sweep", "check", str(path))
    assert f"of 100 draws {refused} will be failed trials, such as {why}" in done.stdout


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"lr": {"value": -1}}, "lr=-1.0: must be above 0"),
        ({"data": {"value": "mnsit"}}, "data='mnsit': unknown to gan; choose one of synthetic-art"),
        ({"image_size": {"value": 60}}, "image_size=60: must be a power of two"),
        ({"data": {"value": "folder"}}, "data=folder: name the folder of pictures"),
    ],
)
def test_a_fixed_value_that_cannot_be_is_named_at_its_line(tmp_path, entry, line):
    path = write(tmp_path, gan({"width": {"values": [8, 16]}} | entry))
    (said,) = check_sweep(path)
    number = next(
        i for i, text in enumerate(path.read_text().splitlines(), 1) if next(iter(entry)) in text
    )
    assert said.startswith(f"{path}:{number}: {line}")


def test_the_users_flags_stand_in_place_of_the_files_values(tmp_path):
    file = gan({"width": {"values": [8, 16]}, "data": {"value": "folder"}})
    path = write(tmp_path, file)
    assert read_sweep(path, FAMILIES["gan"], {"data_dir": "/pictures"}).fixed == {"data": "folder"}
    file["metric"] = {"name": "val/kid_lite0_n500"}
    file["parameters"] |= {"data": {"value": "synthetic-art"}, "held_out": {"value": 100}}
    path = write(tmp_path, file)
    with pytest.raises(UserError, match="of synthetic-art it is val/kid_lite0_n100"):
        read_sweep(path, FAMILIES[GANConfig.model])
    assert read_sweep(path, FAMILIES["gan"], {"data": "abstract-art"})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python", "must be a list"),
        (["python", "--x=${args}"], "${args} must be a part of its own"),
        (["python", "${program}"], 'the parameters are not passed on; add "${args}"'),
        (["python", "${args}", "--epochs=many"], "command: --epochs=many: invalid literal"),
        (["python", "${args}", "--epochs", "0"], "command: --epochs=0: epochs=0: must be at least"),
        (["python", "${args}", "--conditional=yes"], "--conditional=yes: write True or False"),
        (["python", "${args}", "--amp=True"], "--amp=True: is --precision now"),
        (["python", "${args}", "--test=True"], "command: --test is the search's to set"),
        (["python", "${args}", "--seed", "1"], "command: --seed is the search's to set"),
        (["python", "${args}", "--width=4"], "width: the command has --width too; delete one"),
    ],
)
def test_a_command_that_would_not_do_is_refused(tmp_path, command, message):
    path = write(tmp_path, gan({"width": {"values": [8, 16]}}, command=command))
    assert any(message in said for said in check_sweep(path))


def test_the_commands_own_flags_are_part_of_the_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("PICTURES", "/pictures")
    command = ["python", "x.py", "${args}", "--data_dir=${envvar:PICTURES}", "--epochs", "3"]
    parameters = {"width": {"values": [8, 16]}, "data": {"value": "folder"}}
    path = write(tmp_path, gan(parameters, command=[*command, "--conditional=True", "--key=1"]))
    sweep = read_sweep(path)
    assert sweep.flags == {"data_dir": "/pictures", "epochs": 3, "conditional": True}
    assert sweep.held == {"data": "folder", **sweep.flags}


def test_a_program_that_is_not_there_is_named(tmp_path):
    content = GOOD | {"program": "elsewhere/vae.py"}
    (said,) = check_sweep(write(tmp_path, content))
    assert "program: there is no elsewhere/vae.py here or around" in said
    assert 'write command: ["${env}", genbench, train, vae, "${args}"]' in said
    # which starts no program
    assert read_sweep(write(tmp_path, content), FAMILIES["vae"])


def test_a_command_that_trains_a_family_needs_no_program(tmp_path):
    command = ["${env}", "genbench", "train", "vae", "${args}"]
    content = {key: value for key, value in GOOD.items() if key != "program"}
    sweep = read_sweep(write(tmp_path, content | {"command": command}))
    assert sweep.family is FAMILIES["vae"]
    there = content | {"program": "elsewhere/vae.py", "command": command}  # which it does not start
    assert read_sweep(write(tmp_path, there)).family is FAMILIES["vae"]
    other = content | {"program": "experiments/gan.py", "command": command}
    (said,) = check_sweep(write(tmp_path, other))
    assert "command: trains vae, and program is experiments/gan.py" in said
    (said,) = check_sweep(write(tmp_path, content))
    assert "program: None does not train ae or vae or gan or flow" in said


@pytest.mark.parametrize(
    ("entry", "seeds"),
    [({"value": 42}, (42,)), ({"values": [0, 1, 2]}, (0, 1, 2)), ({"values": [3, 0, 3]}, (3, 0))],
)
def test_seeds_are_repetitions_and_no_parameter(tmp_path, entry, seeds):
    for method in ("grid", "random", "bayes"):
        parameters = {"seed": entry, "latent_dim": {"values": [2, 8]}}
        path = write(tmp_path, GOOD | {"method": method, "parameters": parameters})
        sweep = read_sweep(path)
        assert (sweep.seeds, list(sweep.space), sweep.held) == (seeds, ["latent_dim"], {})


def test_a_command_may_name_its_script_itself(tmp_path):
    content = {key: value for key, value in GOOD.items() if key != "program"}
    command = ["${env}", "python", "experiments/vae.py", "--width", "16", "${args}"]
    path = write(tmp_path, content | {"command": command})
    assert check_sweep(path) == []
    sweep = read_sweep(path)
    assert sweep.family is FAMILIES["vae"]
    assert sweep.flags == {"width": 16}
    launched = ["torchrun", "--nproc_per_node=1", "vae.py", "${args}"]
    assert read_sweep(write(tmp_path, content | {"command": launched})).family is FAMILIES["vae"]
    other = content | {"program": "experiments/gan.py", "command": command}
    (said,) = check_sweep(write(tmp_path, other))
    assert "command: trains vae, and program is experiments/gan.py" in said


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ({"min": 32, "max": 256, "q": 8}, "[32, 40, 56, 80, 104, 144, 192, 256]"),
        ({"min": 0.1, "max": 1, "q": 0.1}, "[0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0]"),
        ({"min": 3, "max": 4, "q": 16}, "[16]"),
    ],
)
def test_rounded_logarithmic_numbers_are_refused_with_values_to_write(entry, values):
    with pytest.raises(UserError) as error:
        to_distribution({"distribution": "q_log_uniform_values"} | entry)
    assert str(error.value).endswith(f"write values: {values}")


def test_a_sweep_file_is_found_by_its_name_unless_another_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "sweeps" / "gan.yaml"
    assert find_sweep("gan") == find_sweep("gan.yaml") == find_sweep("sweeps/gan.yaml") == shipped
    for name in ("gan.yml", "other/gan.yaml", "/gan.yaml", "none", "", ".", "x" * 300):
        assert find_sweep(name) == Path(name)
    Path("sweeps").mkdir()
    for name in ("gan", "sweeps/gan.yaml"):
        Path(name).touch()
        assert find_sweep(name) == Path(name)
    assert find_sweep("gan.yaml") == shipped


def test_every_family_has_a_sweep_file_and_two_experiments():
    for name in FAMILIES:
        sweep = read_sweep(find_sweep(name))
        assert sweep.family.name == name
        assert sweep.command == ("${env}", "genbench", "train", name, "${args}")
        assert (ROOT / sweep.program).is_file()
        assert (ROOT / "experiments" / f"optuna_{name}.py").is_file()


def test_a_program_is_found_from_here_and_around_the_file(tmp_path, monkeypatch):
    for folder in ("experiments", "sweeps"):
        (tmp_path / folder).mkdir()
    (tmp_path / "experiments" / "vae.py").touch()
    path = write(tmp_path / "sweeps", GOOD | {"program": "experiments/vae.py"})
    assert read_sweep(path).program == "experiments/vae.py"  # of the folder of the tests
    monkeypatch.chdir(tmp_path / "sweeps")
    assert read_sweep(path).program == str(tmp_path / "experiments" / "vae.py")


def test_the_gans_sweep_varies_what_matters_around_its_defaults():
    sweep = read_sweep(ROOT / "sweeps" / "gan.yaml")
    wanted = {"lr", "lr_decay", "beta1", "beta2", "ema", "width"}
    assert wanted | {"batch_size"} == set(sweep.space)
    for name, distribution in sweep.space.items():
        assert holds(distribution, getattr(GANConfig(), name)), name
    assert (sweep.metric, sweep.goal) == ("val/kid_lite0_n500", "minimize")
    assert sweep.stopping == Stopping("hyperband", 3, 2)
    assert sweep.run_cap


@pytest.mark.parametrize("name", ["ae", "vae", "gan", "flow"])
def test_the_shipped_sweeps_have_nothing_wrong(name):
    assert check_sweep(ROOT / "sweeps" / f"{name}.yaml") == []
