"""Precision and compilation: settled before step 0, recorded, and the same for who goes on."""

import dataclasses
import json

import pytest
import torch
from test_resume import assert_equal_runs, config_of, interrupt_at, only

from genbench import UserError, speed
from genbench.data import load_data
from genbench.families.ae import AEConfig
from genbench.families.flow import FlowConfig
from genbench.families.gan import GANConfig
from genbench.families.gan.features import load_eyes
from genbench.families.vae import VAEConfig
from genbench.model import Model
from genbench.resume import goes_on, read_config
from genbench.speed import pays, prepare, settle
from genbench.sweep import check_sweep
from genbench.train import train


@pytest.fixture
def has(monkeypatch):
    """Say whether the machine multiplies in bfloat16."""
    return lambda answer: monkeypatch.setattr(speed, "has_bfloat16", lambda device: answer)


def small(**fields):
    return VAEConfig(
        **{"width": 16, "latent_dim": 2, "device": "cpu", "wandb": "disabled"} | fields
    )


def model_of(config):
    return Model.build(config, load_data(config), "cpu")


# --- precision ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (VAEConfig(), "bf16"),
        (VAEConfig(width=128), "fp32"),
        (AEConfig(arch="conv"), "fp32"),
        (GANConfig(), "bf16"),
        (GANConfig(loss="bce"), "fp32"),
        (FlowConfig(), "bf16"),
        (VAEConfig(precision="fp32"), "fp32"),
        (VAEConfig(width=16, precision="bf16"), "bf16"),
    ],
)
def test_auto_is_bf16_where_machine_and_model_gain_by_it(has, config, expected):
    config = dataclasses.replace(config, device="cpu")
    has(True)
    assert settle(config).precision == expected
    has(False)
    assert settle(config).precision == (config.precision if config.precision != "auto" else "fp32")


def test_runs_of_a_sweep_are_settled_alike_whatever_is_searched(has, monkeypatch):
    has(True)
    monkeypatch.setenv("WANDB_SWEEP_ID", "local-1")
    narrow = [settle(VAEConfig(device="cpu", width=width)).precision for width in (16, 512)]
    assert narrow == ["bf16", "bf16"]


def test_the_key_knows_of_bf16_alone():
    """So that runs of before there was a precision keep theirs, which were fp32."""
    keys = [VAEConfig(precision=choice).key for choice in ("auto", "fp32", "bf16")]
    assert keys[0] == keys[1] != keys[2]
    assert VAEConfig(compile="True").key == keys[0]
    assert {VAEConfig(precision="bf16", seed=seed).key for seed in (0, 1)} == {keys[2]}


def test_a_wide_layer_computes_in_bf16_and_what_comes_out_of_a_network_is_float32():
    state = model_of(small(precision="bf16")).state
    x = torch.rand(8, 1, 28, 28)
    state.modules.train()
    mixed = state.net("encoder")(x)
    state.modules.eval()
    full = state.net("encoder")(x)
    assert mixed.dtype == full.dtype == torch.float32
    assert torch.equal(mixed, mixed.bfloat16().float())
    assert torch.equal(full, state.modules["encoder"](x))
    assert 0 < (mixed - full).abs().max() < 0.02


def test_what_is_seen_in_bf16_is_what_is_seen_and_the_gradient_nearly_so():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1
    seen, gradients = [], []
    for bf16 in (False, True):
        x = pictures.clone().requires_grad_()
        features = torch.cat(load_eyes("cpu", bf16)(x), 1)
        assert features.dtype == torch.float32
        features[:, -100:].sum().backward()
        seen.append(features.detach())
        gradients.append(x.grad.flatten())
    away = (seen[0] - seen[1]).norm(dim=1).mean()
    assert 0 < away < 0.1 * seen[0].norm(dim=1).mean()
    assert torch.cosine_similarity(*gradients, dim=0) > 0.5


def test_a_run_of_amp_is_read(tmp_path):
    values = {k: v for k, v in dataclasses.asdict(GANConfig()).items() if k != "precision"}
    for amp, precision in ((True, "bf16"), (False, "fp32")):
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"model": "gan", "config": values | {"amp": amp}}))
        assert read_config(file).precision == precision


def test_a_sweep_of_amp_is_told_what_stands_in_its_place(tmp_path):
    text = """
        program: gan.py
        method: random
        metric: {name: val/kid_lite0_n500, goal: minimize}
        parameters: {width: {values: [8, 16]}, amp: {value: true}}
    """
    (tmp_path / "gan.yaml").write_text(text)
    said = "\n".join(check_sweep(tmp_path / "gan.yaml"))
    assert "amp: is precision now; write precision: {value: bf16}" in said


# --- what is recorded -----------------------------------------------------------------------------


def test_what_was_settled_is_recorded_and_gone_on_with(tmp_path, monkeypatch, has):
    has(True)
    fields = {"width": 256, "epochs": 2}
    train(config_of(tmp_path, folder="whole", **fields))
    whole = only(tmp_path, "whole")
    assert (whole.config["precision"], whole.config["compile"]) == ("bf16", "False")
    interrupt_at(monkeypatch, 20)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tmp_path, **fields))
    folder = only(tmp_path).path
    assert goes_on(only(tmp_path), config_of(tmp_path, **fields))
    assert not goes_on(only(tmp_path), config_of(tmp_path, precision="fp32", **fields))
    has(False)  # another machine
    train(config_of(tmp_path, **fields), resume=folder)
    assert_equal_runs(only(tmp_path), whole)


# --- compilation ----------------------------------------------------------------------------------


def test_a_compilation_that_fails_is_said_and_ends_nothing(monkeypatch, capsys):
    def refuse(function):
        raise RuntimeError("No working C++ compiler found\nand much more")

    monkeypatch.setattr(torch, "compile", refuse)
    model = model_of(small(precision="fp32", compile="True"))
    before = {k: v.clone() for k, v in model.state.modules.state_dict().items()}
    noise = torch.get_rng_state()
    prepare(model, 100)
    assert model.config.compile == "False"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "compile=True: failed (No working C++ compiler found)" in said
    assert all(torch.equal(v, before[k]) for k, v in model.state.modules.state_dict().items())
    assert torch.equal(torch.get_rng_state(), noise)
    assert model.state.step == 0


def test_only_a_long_training_is_compiled(monkeypatch):
    flow = {"data": "mnist-mini", "width": 8, "device": "cpu"}
    model = model_of(FlowConfig(**flow))
    assert not pays(model, 1_000)
    assert pays(model, 10_000_000)
    assert not pays(model_of(FlowConfig(**flow, minutes=5)), 10_000_000)
    assert not pays(model_of(small()), 10_000_000)  # which gains nothing by it
    monkeypatch.setenv("WANDB_SWEEP_ID", "local-1")
    assert not pays(model, 10_000_000)


@pytest.mark.filterwarnings("default")  # of the compiler's own
def test_a_compiled_training_is_that_of_the_same_networks_and_goes_on_to_the_bit(
    tmp_path, monkeypatch
):
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        pytest.skip("no C++ compiler")
    fields = {"compile": "True", "epochs": 2, "kl_warmup": 0.0, "binarize": "none"}
    train(config_of(tmp_path, folder="whole", **fields))
    train(config_of(tmp_path, folder="eager", **fields | {"compile": "False"}))
    whole, eager = only(tmp_path, "whole"), only(tmp_path, "eager")
    assert whole.config["compile"] == "True"
    assert whole.about["key"] == eager.about["key"]
    assert whole.scores["val/elbo"] == pytest.approx(eager.scores["val/elbo"], rel=1e-4)
    interrupt_at(monkeypatch, 20)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tmp_path, **fields))
    train(config_of(tmp_path, **fields | {"compile": "auto"}), resume=only(tmp_path).path)
    assert_equal_runs(only(tmp_path), whole)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="precision='fp16': choose one of auto, fp32, bf16"):
        VAEConfig(precision="fp16")
    assert VAEConfig(compile=True).compile == "True"
