import dataclasses
import math
import typing

import pytest

from genbench import UserError
from genbench.config import SearchConfig, roles
from genbench.families import FAMILIES
from genbench.families.ae import AEConfig
from genbench.families.vae import VAEConfig


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (VAEConfig, "latent_dim", 0, "latent_dim=0: must be at least 1"),
        (VAEConfig, "beta", -1.0, "beta=-1.0: must be at least 0"),
        (VAEConfig, "lr", 0.0, "lr=0.0: must be above 0"),
        (VAEConfig, "lr", math.nan, "lr=nan: must be finite"),
        (VAEConfig, "lr", "1e-3", "lr='1e-3': must be float, not str"),
        (VAEConfig, "latent_dim", 8.0, "latent_dim=8.0: must be int, not float"),
        (VAEConfig, "latent_dim", True, "latent_dim=True: must be int, not bool"),
        (VAEConfig, "depth", 9, "depth=9: must be at least 1 and at most 8"),
        (AEConfig, "arch", "resnet", "arch='resnet': choose one of mlp, conv"),
        (SearchConfig, "trials", 0, "trials=0: must be at least 1"),
        (VAEConfig, "seed", 2**40, f"seed={2**40}: must be at least 0 and at most {2**31 - 1}"),
        (VAEConfig, "runs_dir", "", "runs_dir: is empty; name a folder"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(kind, field, value, message):
    with pytest.raises(UserError) as error:
        kind(**{field: value})
    assert str(error.value) == message


def test_fields_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match="binarize=dynamic needs likelihood=bernoulli"):
        VAEConfig(likelihood="gaussian", binarize="dynamic")


def test_whole_numbers_serve_as_floats():
    assert VAEConfig(beta=2) == VAEConfig(beta=2.0)
    assert VAEConfig(beta=2).key == VAEConfig(beta=2.0).key


def test_the_key_tells_experiments_apart_and_nothing_else():
    key = VAEConfig().key
    assert VAEConfig(seed=7, runs_dir="elsewhere", device="cpu").key == key
    assert VAEConfig(log_every=7, test=True).key == key
    others = [VAEConfig(beta=2.0), VAEConfig(epochs=3), VAEConfig(data="mnist")]
    assert len({key, *(other.key for other in others)}) == 4
    assert AEConfig().key != VAEConfig().key


@pytest.mark.parametrize("kind", [AEConfig, VAEConfig, SearchConfig])
def test_every_field_is_a_scalar(kind):
    """W&B passes lists in a form that the command line rejects."""
    for field in dataclasses.fields(kind):
        assert type(field.default) in (int, float, str, bool), field.name


def test_a_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert VAEConfig(runs_dir="~/runs").runs_dir == "/somewhere/runs"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_each_fields_role_says_what_others_may_do_with_it(family):
    found = roles(family.config)
    assert list(found) == [field.name for field in dataclasses.fields(family.config)]
    where_and_how = {"data_dir", "device", "wandb", "runs_dir", "group", "save", "test"}
    where_and_how |= {"log_every", "checkpoint_minutes", "seed", "wandb_artifacts"}
    where_and_how |= {"pictures_every", "keep_checkpoints", "compile"}
    where_and_how |= {"project", "entity", "name", "tags", "notes", "job_type"}
    assert {name for name, role in found.items() if not role.key} == where_and_how
    assert {name for name, role in found.items() if not role.shown} == where_and_how
    assert {n for n, role in found.items() if role.sweep == "own"} == {
        "seed",
        "test",
        "group",
        "job_type",
    }
    assert found["data"].compare
    assert typing.get_type_hints(family.config)["epochs"] is int


def test_minus_zero_is_zero():
    plus, minus = (VAEConfig(lr_decay=zero) for zero in (0.0, -0.0))
    assert str(minus.lr_decay) == "0.0"
    assert minus.key == plus.key


def test_checkpoints_that_are_uploaded_are_kept():
    with pytest.raises(UserError, match="keep_checkpoints=none: wandb_artifacts uploads"):
        VAEConfig(wandb_artifacts=True, keep_checkpoints="none")
