"""Memory that is too short for a trial: it fails, what it held is free, and the search goes on."""

import dataclasses
import gc
import weakref

import pytest
import torch
from test_workers import open_search, write_sweep

from genbench.families.vae import steps as vae
from genbench.record import read_runs, read_studies

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nDetails follow")
CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 GB")


@pytest.fixture
def models(monkeypatch, few_digits):
    """Weak references to the modules that were built, and how many lived when each was built."""
    built, living = [], []

    def build(*args, **more):
        living.append(sum(reference() is not None for reference in built))
        state = vae.build(*args, **more)
        built.append(weakref.ref(state.modules))
        return state

    def short_at(number, error):
        def train_step(state, x):
            if len(built) == number:
                raise type(error)(*error.args)  # one that nobody else holds
            return vae.train_step(state, x)

        steps = dataclasses.replace(vae.STEPS, build=build, train_step=train_step)
        monkeypatch.setattr(vae, "STEPS", steps)

    short_at.built, short_at.living = built, living
    gc.disable()  # nobody else is to free them
    yield short_at
    gc.enable()


@pytest.mark.parametrize(
    "error", [CUDA, CPU, MemoryError("3 GB for an array")], ids=["cuda", "cpu", "numpy"]
)
def test_a_trial_that_runs_out_of_memory_fails_alone_and_leaves_none_behind(
    tmp_path, models, monkeypatch, capsys, error
):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(len(models.built)))
    models(2, error)
    path = write_sweep(tmp_path, {"latent_dim": {"values": [2, 3, 4]}})
    search = open_search(path, tmp_path / "runs", trials=3)
    search.run()
    (record,) = read_studies(tmp_path / "runs")
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE", "FAIL", "COMPLETE"]
    first, _, _ = str(error).partition("\n")
    assert record["trials"][1]["error"] == f"out of memory: {first}"
    assert f"trial 2/3: failed: out of memory: {first}  (latent_dim=3)" in capsys.readouterr().out
    assert sorted(run.status for run in read_runs(tmp_path / "runs")) == [
        "failed",
        "finished",
        "finished",
    ]
    assert models.living == [0, 0, 0]  # when the next one was built
    assert [reference() for reference in models.built] == [None] * 3
    assert emptied == [1, 2, 3]
