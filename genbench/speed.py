"""How fast a training computes: its precision, and whether it is compiled, settled before step 0.

What is settled is recorded, so that whoever goes on with a run computes as it did. `auto` looks at
the configuration and the machine alone, never at a measured time: repetitions of one experiment on
one machine are settled alike. Only networks in training are concerned (`State.net`); losses,
averages, evaluation and scores stay in float32.
"""

import copy
import dataclasses
from pathlib import Path
from typing import TypeVar

import torch

from genbench import environment
from genbench.config import Config, Precision
from genbench.console import first_line, say_once
from genbench.device import pick_device
from genbench.model import Model
from genbench.record import read_run

C = TypeVar("C", bound=Config)
PAYS = {"cpu": 600.0, "cuda": 300.0}  # seconds of training, from which compiling takes a small part
RATE = {"cpu": 5e10, "cuda": 1e13}  # operations a second, of the CPU a core, that a network gets
OVERHEAD = {"cpu": 1e-3, "cuda": 5e-3}  # seconds of a step, at least


def settle(config: C, begun: Path | None = None) -> C:
    """The configuration with its device and precision by name.

    The runs of a sweep, each of which knows itself alone, are settled as their family's defaults
    are: what is searched does not decide.

    Args:
        config: What is to be trained.
        begun: The folder of the run that goes on: its choices stand in place of `auto`.
    """
    device = pick_device(config.device)
    config = dataclasses.replace(config, device=device)
    if begun and (record := read_run(begun)):
        before = type(config).of_record(record.config)
        chosen = {n: getattr(before, n) for n in ("precision", "compile")}
        open_ = {n: v for n, v in chosen.items() if getattr(config, n) == "auto"}
        config = dataclasses.replace(config, **open_)
    if config.precision != "auto":
        return config
    judged = type(config)() if environment.wandb_sweep() else config
    gains = device == "cuda" or "bf16" in judged.gains
    precision: Precision = "bf16" if gains and has_bfloat16(device) else "fp32"
    return dataclasses.replace(config, precision=precision)


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies in bfloat16 itself: else that is up to 20 times as slow."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device == "cpu" and bool(known())


def prepare(model: Model, steps: int) -> None:
    """Settle whether the model is compiled, compile it where it is, and say what was chosen.

    A compilation that fails, for want of a C++ compiler or for whatever reason, ends nothing: the
    training is then not compiled. The model is left as it was.

    Args:
        model: Before its first step, or where it goes on.
        steps: Of the whole training.
    """
    asked = model.config.compile
    if asked == "auto":
        _choose(model, "False")
        _choose(model, "True" if pays(model, steps) else "False")
    if model.config.compile == "True":
        torch._dynamo.reset()  # what it compiled for another training
        try:
            rehearse(model)
        except Exception as error:  # of whatever compiler
            reason = first_line(getattr(error, "inner_exception", error))
            say_once(f"compile={asked}: failed ({reason}); training goes on without")
            _choose(model, "False")
    words = [model.config.precision] + ["compiled"] * (model.config.compile == "True")
    if words != ["fp32"]:
        say_once(f"networks in training: {', '.join(words)}; losses and scores: fp32")


def _choose(model: Model, compile: str) -> None:
    model.state.config = dataclasses.replace(model.config, compile=compile)
    model.state.compiled = {}


def pays(model: Model, steps: int) -> bool:
    """Whether so many steps of a model take long enough for compiling to pay, by its operations."""
    config, device = model.config, model.device.type
    if device not in PAYS or not (device == "cuda" or "compile" in config.gains):
        return False
    if environment.wandb_sweep():  # each of its runs would compile another network
        return False
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        rehearse(model)
    cores = torch.get_num_threads() if device == "cpu" else 1
    seconds = steps * max(OVERHEAD[device], counter.get_total_flops() / RATE[device] / cores)
    return min(seconds, 60 * config.minutes or seconds) >= PAYS[device]


def rehearse(model: Model) -> None:
    """Take a step and take it back, whatever it raises: weights, optimisers and noise."""
    state, split = model.state, model.data.splits["train"]
    batch = split.take(slice(model.config.batch_size))
    before = copy.deepcopy(state.state_dict())
    devices = [state.device] if state.device.type == "cuda" else []
    training = state.modules.training
    with torch.random.fork_rng(devices):
        try:
            state.modules.train()
            model.steps.train_step(state, batch.images.float() / 255, *model.given(batch.labels))
        finally:
            state.load_state_dict(before)
            state.modules.train(training)
