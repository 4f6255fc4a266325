"""`scheduler` of a sweep file, and W&B's own reading of it as the oracle of ours."""

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from wandb.sdk.sweeps.scheduler.optuna import sweep_parameter_to_distribution

from genbench import UserError
from genbench.config import SearchConfig
from genbench.search.search import Search
from genbench.sweep import check_sweep, read_sweep
from genbench.sweep.distributions import NUMERIC, to_distribution
from genbench.sweep.scheduler import NOT_OF_ITS_OPTUNA

SWEEP = f"""\
program: {ROOT}/experiments/vae.py
method: bayes
metric: {{name: val/elbo, goal: maximize}}
scheduler: SCHEDULER
parameters:
  lr: ENTRY
"""
VALUES = "{distribution: log_uniform_values, min: 0.001, max: 0.01}"


@pytest.fixture
def write(tmp_path):
    def write(scheduler, entry=VALUES):
        path = tmp_path / "sweep.yaml"
        path.write_text(SWEEP.replace("SCHEDULER", scheduler).replace("ENTRY", entry))
        return path

    return write


@pytest.mark.parametrize("engine", ["optuna", "ax", "wandb"])
def test_each_engine_is_read_and_optunas_alone_is_run_here(write, engine, tmp_path, script):
    path = write(f"{{engine: {engine}}}")
    assert check_sweep(path) == []
    sweep = read_sweep(path)
    assert sweep.engine == engine
    options = SearchConfig(runs_dir=str(tmp_path / "runs"))
    if engine == "optuna":
        assert Search(sweep, options, launched=True).name.startswith("vae-mnist-mini-")
        return
    with pytest.raises(UserError, match=f"engine {engine} runs in `wandb sweep-scheduler` alone"):
        Search(sweep, options, launched=True)
    done = script("genbench", "sweep", str(path))
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path}: scheduler: engine {engine} runs in `wandb sweep-scheduler` alone; "
        "write engine: optuna\n"
    )
    assert not (tmp_path / "runs").exists()


def test_without_a_scheduler_there_is_no_engine(write):
    assert read_sweep(write("~")).engine == ""


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("{}", "4: scheduler: engine must be optuna or ax or wandb"),
        ("optuna", "4: scheduler: engine must be optuna or ax or wandb"),
        ("{engine: hyperopt}", "4: scheduler: engine must be optuna or ax or wandb"),
        ("{engine: [optuna]}", "4: scheduler: engine must be optuna or ax or wandb"),
        ("{engine: optuna, job: x}", "4: unknown key of scheduler 'job'; known: engine"),
        ("\n  engine: optuna\n  source: x.py", "6: scheduler: source names your own code"),
        ("\n  engine: optuna\n  search_space: f", "6: scheduler: search_space names your own code"),
        ("\n  engine: ax\n  optimizer: f", "6: scheduler: optimizer names your own code"),
    ],
)
def test_what_names_code_or_no_engine_is_refused_at_its_line(write, scheduler, message):
    path = write(scheduler)
    (said,) = check_sweep(path)
    assert said.startswith(f"{path}:{message}")


EXPONENTS = {"log_uniform": (-7, -5), "inv_log_uniform": (5, 7), "q_log_uniform": (1, 3)}


@pytest.mark.parametrize("kind", sorted(NOT_OF_ITS_OPTUNA))
def test_a_distribution_that_wandbs_optuna_does_not_know_is_named(write, kind):
    low, high = EXPONENTS.get(kind, (0.001, 0.01))
    entry = {"distribution": kind, "min": low, "max": high} | ({"q": 1} if kind[0] == "q" else {})
    with pytest.raises(ValueError, match="has no optuna equivalent"):
        sweep_parameter_to_distribution(entry)
    parameter = "width" if kind[0] == "q" else "lr"
    written = yaml.safe_dump(entry, default_flow_style=True).strip()
    path = write("{engine: optuna}")
    path.write_text(path.read_text().replace(f"lr: {VALUES}", f"{parameter}: {written}"))
    assert any(
        f"W&B's engine optuna does not know {kind}; write" in said for said in check_sweep(path)
    )
    path.write_text(path.read_text().replace("engine: optuna", "engine: wandb"))
    assert not any("W&B's engine" in said for said in check_sweep(path))


NUMERIC_KINDS = sorted(set(NUMERIC) - NOT_OF_ITS_OPTUNA)
BOUNDS = st.integers(1, 50) | st.sampled_from([0.5, 0.125, 2.5, 1e-3, 40.0])


@st.composite
def ranges(draw):
    """A parameter's minimum, maximum and perhaps distribution and step."""
    kind = draw(st.sampled_from([*NUMERIC_KINDS, None]))
    q = draw(st.sampled_from([1, 2, 5, 0.5, 0.25, None]))
    unit = 1
    if kind == "q_uniform":  # W&B's server rounds to multiples of q, its scheduler counts from min
        unit = q or 1
    if kind == "q_log_uniform_values":  # other steps it drops, with a warning
        q = draw(st.sampled_from([1, None]))
    whole = kind in ("q_uniform", "q_log_uniform_values", "int_uniform")
    bounds = st.integers(1, 50).map(lambda n: n * unit) if whole else BOUNDS
    low, high = sorted(draw(st.lists(bounds, min_size=2, max_size=2, unique=True)))
    entry = {"min": low, "max": high} | ({"distribution": kind} if kind else {})
    return entry | ({"q": q} if q and kind and kind.startswith("q_") else {})


@given(ranges())
@settings(deadline=None)
def test_a_range_is_the_distribution_that_wandb_makes_of_it(entry):
    assert to_distribution(entry) == sweep_parameter_to_distribution(entry)


@given(
    st.lists(st.integers(-9, 9) | st.sampled_from(["mlp", "conv", ""]), min_size=1, unique=True),
    st.booleans(),
)
def test_choices_and_constants_are_those_that_wandb_makes_of_them(values, named):
    entry = {"values": values} | ({"distribution": "categorical"} if named else {})
    assert to_distribution(entry) == sweep_parameter_to_distribution(entry)
    constant = {"value": values[0]} | ({"distribution": "constant"} if named else {})
    theirs = sweep_parameter_to_distribution(constant)
    assert theirs == CategoricalDistribution([to_distribution(constant)])
