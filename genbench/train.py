"""The composition root: one configuration in, its final scalars out."""

import dataclasses
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from genbench import handlers as h
from genbench.config import Config, GANConfig
from genbench.data import Batches, Data, load_data
from genbench.engines import make_evaluator, make_trainer, pick_device
from genbench.evaluate import best_weights, split_scores
from genbench.evaluate.codes import (
    LATENT_IMAGES,
    PROBE_IMAGES,
    code_scores,
    encode_all,
    portfolio,
)
from genbench.evaluate.samples import gallery, sample_scores
from genbench.metrics.extractors import load_extractor
from genbench.metrics.stability import summarise
from genbench.models import MODELS, Recipe, State
from genbench.record import Record
from genbench.run import Run

if TYPE_CHECKING:
    import optuna


def train(
    config: Config, *, trial: "optuna.Trial | None" = None, prune_on: str = "", title: str = ""
) -> dict[str, float]:
    """Train the model that `config` describes; its run folder holds everything that it did.

    Args:
        config: The configuration; its class names the model.
        trial: An Optuna trial that is told where the record is.
        prune_on: The validation scalar by which the trial may prune the run; empty: never.
        title: What the progress bar says.

    Returns:
        The scalars of the best epoch: `val/...`, with `test=True` also `test/...`.

    Raises:
        UserError: The configuration or the data cannot be used.
        genbench.handlers.Diverged: A scalar was no longer finite.
        optuna.TrialPruned: The trial said stop.
    """
    recipe = MODELS[config.model]
    device = pick_device(config.device)
    data = load_data(config, device)
    batches = Batches(data.splits["train"], config.batch_size, config.seed, config.whole_batches)
    state = recipe.build(config, data.shape, len(batches), device)
    objective = config.objective(len(data.splits["val"]))
    h.check_logged(prune_on, min(config.eval_images, len(data.splits["val"])))
    if recipe.generate:
        h.val_features(config, data)  # kept on disk: the run's seconds are without them
    name = f"{config.model}-{config.data}-s{config.seed}"

    with Run(config.runs_dir, name, config.wandb, config.group) as run:
        run.begin(dataclasses.asdict(config), **facts(config, data, state))
        if trial:
            trial.set_user_attr("run", run.id)
        trainer = make_trainer(recipe, state, config)
        evaluator = make_evaluator(recipe, state, config)
        h.attach_training_log(trainer, run, state, config.log_every)
        if isinstance(config, GANConfig):
            used = h.attach_time_limit(trainer, config.minutes)
            h.attach_lr_decay(trainer, state, config.lr_decay, used)
            h.attach_health(trainer, evaluator, recipe, state, config, data, run)
        h.attach_scores(trainer, evaluator, recipe, state, config, data)
        h.attach_validation(trainer, evaluator, data.splits["val"], run, state)
        h.attach_early_stopping(trainer, evaluator, objective, config.patience)
        if config.save:
            h.attach_pictures(trainer, recipe, state, config, data.splits["val"], run)
        if trial and prune_on:
            h.attach_pruning(trainer, evaluator, run, trial, prune_on)
            if isinstance(config, GANConfig):
                h.attach_giving_up(trainer, evaluator, run, trial)
        bar = h.progress_bar(trainer, evaluator, objective[0], title or name)
        with checkpoint_folder(run, config.save) as folder, h.signals_between_steps(trainer), bar:
            h.attach_checkpoints(trainer, evaluator, state, objective, folder)
            try:
                trainer.run(batches, max_epochs=config.epochs)
            finally:
                if isinstance(config, GANConfig):
                    run.summary["stability"] = summarise(Record(run.dir, {}, {}).metrics())
            best = best_weights(folder, device)
        return finish(recipe, state, config, data, run, best)


def finish(
    recipe: Recipe, state: State, config: Config, data: Data, run: Run, best: dict[str, Any]
) -> dict[str, float]:
    """Score the best epoch and record it: the validation split, and the test split if asked."""
    step, epoch = state.step, state.epoch  # of the end, where the rows of the scores stand
    state.load_state_dict(best)
    evaluator = make_evaluator(recipe, state, config)
    scores: dict[str, float] = {}
    splits = [name for name in ("val", "test") if name in data.splits]
    for split in splits:
        scores |= split_scores(evaluator, data, split)
    if config.eval_every:
        ours = h.val_distances(recipe, state, config, data)
        scores |= {f"val/{name}": value for name, value in ours.items()}
    if isinstance(config, GANConfig):
        if config.test:
            scores |= sample_scores(recipe, state, config, data)
        if config.save:
            run.arrays("pictures", **gallery(recipe, state, config, data))
    elif config.save:
        teachers = encode_all(recipe, state, data.splits["train"].take(slice(PROBE_IMAGES)))
        for split in splits:
            z, labels = encode_all(recipe, state, data.splits[split])
            scores |= code_scores(recipe, teachers, (z, labels), split)
        run.latents(z[:LATENT_IMAGES], labels[:LATENT_IMAGES], split, step)
        pictured = z[:LATENT_IMAGES], data.splits[split]
        run.arrays("pictures", **portfolio(recipe, state, config, *pictured))
    if config.test:
        tested = {k.removeprefix("test/"): v for k, v in scores.items() if k.startswith("test/")}
        run.log("test", tested, step, epoch)
    run.summary |= {"best_epoch": math.ceil(state.epoch), "scores": scores}
    return scores


def facts(config: Config, data: Data, state: State) -> dict[str, Any]:
    """What config.json says beside the configuration."""
    device = state.device
    objective, direction = config.objective(len(data.splits["val"]))
    scored = config.eval_every or (config.test and isinstance(config, GANConfig))
    extractor = load_extractor(device=str(device)) if scored else None
    return {
        "model": config.model,
        "key": config.experiment,
        "objective": f"val/{objective}",
        "direction": direction,
        "data_hash": data.content_hash,
        "images": {name: len(split) for name, split in data.splits.items()},
        "shape": list(data.shape),
        "parameters": sum(p.numel() for p in state.modules.parameters() if p.requires_grad),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "extractor": extractor and extractor.name,
        "extractor_weights": extractor and extractor.weights,
    }


@contextmanager
def checkpoint_folder(run: Run, keep: bool) -> Iterator[Path]:
    """The run's folder for checkpoints, removed at the end unless they are to be kept."""
    folder = run.dir / "checkpoints"
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
