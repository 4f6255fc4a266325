"""The composition root: one configuration in, its final scalars out."""

import dataclasses
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine

from genbench import UserError, dashboard, environment, parallel
from genbench import handlers as h
from genbench.config import Config
from genbench.console import say
from genbench.data import Batches, load_data
from genbench.engines import make_evaluator, make_trainer, split_scores
from genbench.evaluate.codes import (
    LATENT_IMAGES,
    PROBE_IMAGES,
    code_scores,
    portfolio,
    reconstruction_scores,
    thumbnails,
)
from genbench.evaluate.distances import check_logged, sample_scores, val_distances, val_floors
from genbench.evaluate.gallery import gallery
from genbench.facts import facts
from genbench.families import family_of
from genbench.families.family import CODED
from genbench.metrics.stability import summarise
from genbench.model import Model
from genbench.record import Run, Unwritten
from genbench.resume import another_end, ended_run, stopped_in_group
from genbench.speed import prepare, settle
from genbench.weights import best_weights

if TYPE_CHECKING:
    import optuna


def train(
    config: Config,
    *,
    resume: Path | None = None,
    trial: "optuna.Trial | None" = None,
    prune_on: str = "",
    title: str = "",
    begun: Callable[[Path], None] = lambda folder: None,
) -> dict[str, float]:
    """Train the model that `config` describes; its run folder holds everything that it did.

    Args:
        config: The configuration; its class names the model.
        resume: The folder of a run of this configuration: go on from its last checkpoint, or from
            its start if it has none. On the CPU it is then as if never ended, to the bit.
        trial: An Optuna trial that is told where the record is.
        prune_on: The validation scalar by which the trial may prune the run; empty: never.
        title: What the progress bar says.
        begun: Called with the run's folder before the first step.

    Returns:
        The scalars of the best epoch: `val/...`, with `test=True` also `test/...`.

    Raises:
        UserError: The configuration, the data or the run to go on with cannot be used.
        genbench.handlers.Diverged: A scalar was no longer finite.
        optuna.TrialPruned: The trial said stop.
    """
    config = settle(config, begun=resume)
    check(config)
    if trial:
        environment.check_alone("a search")
    parallel.start(config.device)
    data = parallel.in_turn(lambda: load_data(config, config.device))
    model = Model.build(config, data, config.device)
    batches = Batches(data.splits["train"], config.batch_size, config.seed, config.whole_batches)
    prepare(model, config.epochs * len(batches))
    objective = config.objective(len(data.splits["val"]))
    check_logged(prune_on, min(config.eval_images, len(data.splits["val"])))
    floors = parallel.first(lambda: val_floors(model))  # kept on disk: no part of the run's seconds
    name = f"{config.model}-{config.data}-s{config.seed}"
    with open_run(config, name, resume) as run:
        trainer, evaluator = make_trainer(model), make_evaluator(model)
        checkpoints = attach_handlers(trainer, evaluator, model, run, objective)
        begin_run(run, model, checkpoints, resume, floors)
        begun(run.dir)
        if trial:
            attach_trial(trainer, evaluator, model, run, trial, prune_on)
        h.attach_checkpoints(trainer, evaluator, checkpoints, config.checkpoint_minutes)
        bar = h.progress_bar(trainer, evaluator, objective[0], title or name)
        with passing(checkpoints.folder, config.save), bar:
            with h.signals_between_steps(trainer, checkpoints.write), stability_kept(model, run):
                take_steps(trainer, batches, model.state.step, config.epochs)
            best = parallel.in_turn(lambda: best_weights(checkpoints.folder, config.device))
            scores = finish(model, run, best)
            h.tidy(checkpoints.folder, config.keep_checkpoints)
            return scores


def check(config: Config) -> None:
    """What can be known to be wrong before anything is read, downloaded or made.

    Raises:
        UserError: It is.
    """
    environment.wandb_mode(config.wandb)
    family = family_of(config)
    if config.eval_every and "generate" not in family.can:
        hint = "; `genbench evaluate` fits one to its codes" * (family.can >= CODED)
        raise UserError(
            f"eval_every={config.eval_every}: model {family.name} has no prior to draw from{hint}"
        )
    parallel.check(config.device, config.batch_size)


def train_once(config: Config, title: str, commit: str | None = None) -> dict[str, float] | None:
    """The scores of this configuration and seed, trained now unless a run of it has ended.

    One that was stopped goes on. One that diverges is a result too: it is said, and not repeated.

    Args:
        config: What to train.
        title: What the progress bar says.
        commit: That a run which is there must be of; None: any.

    Returns:
        As `train`; None where it diverged.
    """
    config = settle(config)
    if there := ended_run(config, commit):
        return there.outcome
    try:
        return train(config, resume=stopped_in_group(config, commit), title=title)
    except h.Diverged as error:
        say(f"{title}: {error}")
        return None


def open_run(config: Config, name: str, resume: Path | None) -> Run:
    """The record of a new run, or of the one that goes on; the first process writes it."""
    opened: list[Run] = []

    def open_it() -> Path:
        if resume:
            run = Run.reopen(resume, config.wandb)
        else:
            run = Run(config.runs_dir, name, config.wandb, dashboard.place(config))
        opened.append(run)
        return run.dir

    folder = parallel.first(open_it)
    return opened[0] if opened else Unwritten(folder)


def begin_run(
    run: Run,
    model: Model,
    checkpoints: h.Checkpoints,
    resume: Path | None,
    floors: dict[str, float],
) -> None:
    """Write what the run is, or go on with it."""
    if resume:
        resume_run(run, model, checkpoints, floors)
    else:
        run.begin(dataclasses.asdict(model.config), **facts(model, floors))


def resume_run(
    run: Run, model: Model, checkpoints: h.Checkpoints, floors: dict[str, float]
) -> None:
    """Put everything where the run's last checkpoint left it; without one, where it began."""
    about, before = facts(model, floors), run.about()
    if (known := before["data_hash"]) != about["data_hash"]:
        raise UserError(
            f"{run.dir}: its data have changed (hash {known[:8]}, now {about['data_hash'][:8]}); "
            "name those it began with by --data_dir"
        )
    if not checkpoints.go_on():
        run.load_state_dict({"bytes": 0, "seconds": 0.0, "events": {}})
    about |= another_end(before, model.config, model.state.epoch)
    run.go_on(model.state.step, dataclasses.asdict(model.config), **about)


def take_steps(trainer: Engine, batches: Batches, done: int, epochs: int) -> None:
    """Take the steps that are left after those that are done, in mid-epoch too."""
    if done < epochs * len(batches):
        batches.go_to(done)
        place = {"iteration": done, "epoch_length": len(batches), "max_epochs": epochs}
        trainer.load_state_dict(place)
        trainer.run(batches)


def attach_handlers(
    trainer: Engine, evaluator: Engine, model: Model, run: Run, objective: tuple[str, str]
) -> h.Checkpoints:
    """All that happens beside the steps of any training; what a family can do decides.

    Returns:
        What writes and reads checkpoints of all that remembers something.
    """
    config = model.config
    means = h.attach_training_log(trainer, run, model.state, config.log_every)
    clock = h.attach_time_limit(trainer, config.minutes)
    h.attach_costs(trainer, run, model.state)
    h.attach_lr_decay(trainer, model.state, clock)
    if model.family.adversarial:
        h.attach_health(trainer, evaluator, model, run)
    h.attach_scores(trainer, evaluator, model)
    h.attach_validation(trainer, evaluator, model, run)
    if config.save:
        h.attach_pictures(trainer, model, run)
    stopper = h.attach_early_stopping(trainer, evaluator, objective, config.patience)
    parts: dict[str, h.Part] = {"means": means, "clock": clock, "run": run, "stopper": stopper}
    return h.Checkpoints(run.dir / "checkpoints", model.state, h.Best(objective), parts)


def attach_trial(
    trainer: Engine, evaluator: Engine, model: Model, run: Run, trial: "optuna.Trial", prune_on: str
) -> None:
    """What a search adds: the trial knows its run, and may stop it."""
    from genbench.handlers.pruning import attach_giving_up, attach_pruning

    trial.set_user_attr("run", run.id)
    if prune_on:
        attach_pruning(trainer, evaluator, run, trial, prune_on)
    if prune_on and model.family.adversarial:
        attach_giving_up(trainer, evaluator, run, trial)


@contextmanager
def stability_kept(model: Model, run: Run) -> Iterator[None]:
    """Have an adversarial training's stability in the summary, however the block ends."""
    try:
        yield
    finally:
        if model.family.adversarial:
            run.summary["stability"] = summarise(run.rows)


def finish(model: Model, run: Run, best: dict[str, Any]) -> dict[str, float]:
    """Score the best epoch and record it: the validation split, and the test split if asked."""
    state, config = model.state, model.config
    step, epoch = state.step, state.epoch  # of the end, where the rows of the scores stand
    state.load_state_dict(best)
    evaluator = make_evaluator(model)
    scores: dict[str, float] = {}
    splits: list[str] = [name for name in ("val", "test") if name in model.data.splits]
    for split in splits:
        scores |= split_scores(evaluator, model, split)
    scores |= {f"val/{name}": value for name, value in val_distances(model).items()}
    if config.test and (model.family.judged_by_samples or config.eval_every):
        scores |= sample_scores(model)
    if config.save:
        scores |= parallel.first(lambda: keep_pictures(model, run, splits, step))
    if config.test:
        tested = {k.removeprefix("test/"): v for k, v in scores.items() if k.startswith("test/")}
        run.log("test", tested, step, epoch)
    run.summary |= {"best_epoch": math.ceil(state.epoch), "scores": scores}
    return scores


def keep_pictures(model: Model, run: Run, splits: list[str], step: int) -> dict[str, float]:
    """Leave what the report draws, in pictures.npz and latents.npz; scores of both."""
    can, scores = model.family.can, dict[str, float]()
    if model.family.judged_by_samples:
        run.arrays("pictures", **gallery(model))
    if "encode" in can:
        training = model.codes("train", PROBE_IMAGES)
        for split in splits:
            z, labels = model.codes(split)
            if model.data.classes and training[1].min() < training[1].max():
                scores |= code_scores(model, training, (z, labels), split)
            if "decode" in can:
                scores |= reconstruction_scores(model, model.data.splits[split], split)
        part = model.data.splits[split]
        index = part.spread(LATENT_IMAGES)
        z, labels = z[index.cpu()], labels[index.cpu()]
        kept = part.take(index)
        run.latents(z, labels, split, step, thumbnails(kept))
        if "decode" in can:
            run.arrays("pictures", **portfolio(model, (z, labels), kept))
    return scores


@contextmanager
def passing(folder: Path, keep: bool) -> Iterator[None]:
    """Remove the checkpoints at the end, unless they are to be kept or a signal ended the run."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        keep = True
        raise
    finally:
        if not (keep or parallel.rank()):
            shutil.rmtree(folder, ignore_errors=True)
