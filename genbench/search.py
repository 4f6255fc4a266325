"""Optuna studies over a sweep file's space, and the final trainings of their winner."""

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState

from genbench import UserError
from genbench.config import Config, SearchConfig
from genbench.records import finished
from genbench.run import first_line, git, say, writable, write_json
from genbench.sweep import Sweep, holds
from genbench.train import train

FINAL_SEEDS = 3
SIZE = "latent_dim"  # the second objective of --pareto, to be minimised


@dataclasses.dataclass
class Search:
    """A study of one sweep under one budget; `run` adds trials, `train_best` ends it."""

    kind: type[Config]
    sweep: Sweep
    options: SearchConfig

    def __post_init__(self) -> None:
        """Open or continue the study; its name says what its scores depend on.

        Raises:
            UserError: `runs_dir` or the storage cannot be used.
        """
        if self.options.pareto and SIZE not in self.sweep.space:
            raise UserError(f"pareto: {self.sweep.path} does not vary {SIZE}")
        self.base = self.make_config({}, epochs=self.options.epochs, seed=self.options.seed)
        self.name = study_name(self.base, self.sweep, self.options.pareto)
        folder = Path(self.options.runs_dir) / "studies"
        self.file = folder / f"{self.name}.json"
        with writable(self.options.runs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.study = self._open_study()

    def _open_study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions: Any = [self.sweep.goal] + (["minimize"] if self.options.pareto else [])
        url = self.options.storage or f"sqlite:///{self.options.runs_dir}/optuna.db"
        try:
            study = optuna.create_study(
                storage=url, study_name=self.name, directions=directions, load_if_exists=True
            )
        except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
            reason = first_line(error)
            raise UserError(f"storage={url}: cannot be opened ({reason})") from error
        # A sampler seeded alike proposes the same points again when a study goes on.
        done = len(study.get_trials(deepcopy=False))
        seed = (self.options.seed * 100_003 + done) % 2**32
        study.sampler = make_sampler(self.sweep.method, seed)
        study.pruner = make_pruner(None if self.options.pareto else self.sweep.halving)
        self._enqueue_defaults(study)
        return study

    def _enqueue_defaults(self, study: optuna.Study) -> None:
        """The first trial is the model's defaults, so that the best is never worse than they."""
        defaults = {name: getattr(self.base, name) for name in self.sweep.space}
        tried = study.get_trials(deepcopy=False)
        if any(t.user_attrs.get("defaults") and t.state != TrialState.FAIL for t in tried):
            return
        if all(holds(d, defaults[name]) for name, d in self.sweep.space.items()):
            study.enqueue_trial(defaults, user_attrs={"defaults": True})

    def make_config(self, params: dict[str, Any], **more: Any) -> Config:
        """The configuration of a trial: the defaults, the file's constants, `params`, the flags."""
        o = self.options
        runtime = {
            "data": o.data,
            "data_dir": o.data_dir,
            "device": o.device,
            "wandb": o.wandb,
            "runs_dir": o.runs_dir,
        }
        return self.kind(**self.sweep.fixed | params | runtime | more)

    def run(self) -> None:
        """Add `options.trials` trials; a failed one is recorded and does not end the study.

        Raises:
            UserError: What makes every trial fail.
            KeyboardInterrupt: Ctrl-C, after the study was written.
        """
        o = self.options
        start = time.monotonic()
        done = len(self.study.get_trials(deepcopy=False, states=_ENDED))
        if done:
            say(f"{self.name}: {done} trials so far, adding {o.trials}")
        cap = self.sweep.run_cap
        todo = o.trials if cap is None else min(o.trials, max(0, cap - done))
        if todo < o.trials:
            say(f"{self.name}: run_cap {cap} leaves {todo} trials to run")
        for i in range(todo):
            if time.monotonic() - start > o.timeout:
                say(f"{self.name}: {o.timeout:g} s are over after {i} trials; run again for more")
                break
            self._run_trial(f"{self.kind.model} trial {i + 1}/{todo}")

    def _run_trial(self, title: str) -> None:
        trial = self.study.ask(self.sweep.space)
        config = self.make_config(
            trial.params,
            epochs=self.options.epochs,
            seed=self.options.seed,
            group=self.name,
            save=False,
        )
        state, values = TrialState.FAIL, None
        start = time.monotonic()
        try:
            # Trial.report raises in a study of several objectives
            metric = "" if self.options.pareto else self.sweep.metric.removeprefix("val/")
            scores = train(config, trial=trial, prune_on=metric, title=title)
            if self.sweep.metric not in scores:
                known = ", ".join(scores)
                raise UserError(f"metric: {self.sweep.metric} is never logged; known: {known}")
            values = [scores[self.sweep.metric]]
            if self.options.pareto:
                values.append(float(trial.params[SIZE]))
            state = TrialState.COMPLETE
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except (UserError, KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
        finally:
            trial.set_user_attr("seconds", round(time.monotonic() - start, 2))
            self.study.tell(trial, values, state=state)
            self.write()
        self._say_trial(title, self.study.get_trials(deepcopy=False)[trial.number])

    def _say_trial(self, title: str, trial: optuna.trial.FrozenTrial) -> None:
        outcome = trial.state.name.lower()
        if trial.state == TrialState.COMPLETE:
            outcome = f"{self.sweep.metric} {trial.values[0]:.2f}"
        elif trial.state == TrialState.FAIL:
            outcome = f"failed: {trial.user_attrs.get('error')}"
        print(f"{title}: {outcome}  ({show_params(trial.params)})", flush=True)

    def completed(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that ran to their end."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def best(self) -> optuna.trial.FrozenTrial:
        """The best trial; of several objectives the front's trial nearest to the ideal point.

        Raises:
            UserError: No trial was completed.
        """
        if not self.completed():
            raise UserError(f"{self.name}: no trial was completed; run again with more --trials")
        if not self.options.pareto:
            return self.study.best_trial
        front = self.study.best_trials
        scaled = [_unit([trial.values[i] for trial in front]) for i in range(2)]
        if self.sweep.goal == "maximize":
            scaled[0] = [1 - value for value in scaled[0]]
        distance = [a * a + b * b for a, b in zip(*scaled, strict=True)]
        return front[distance.index(min(distance))]

    def train_best(self) -> list[dict[str, float]]:
        """Train the best trial's configuration over new seeds and score each once on the test.

        The hyper-parameters were chosen on the trials' seed, so the finals use others. What is
        there already is not trained again.

        Returns:
            The scores of each seed.
        """
        scores = []
        for i in range(1, FINAL_SEEDS + 1):
            config = self.final_config(self.options.seed + i)
            commit = git("rev-parse", "HEAD")
            there = finished(config.runs_dir, config.experiment, config.seed, commit)
            title = f"{self.kind.model} best, seed {i}/{FINAL_SEEDS}"
            scores.append(there.scores if there else train(config, title=title))
        return scores

    def final_config(self, seed: int) -> Config:
        """The best trial's configuration as the final trainings run it."""
        epochs = self.options.final_epochs or 2 * self.options.epochs
        group = f"{self.name}-best"
        params = self.best().params
        return self.make_config(params, epochs=epochs, seed=seed, test=True, group=group)

    def write(self) -> None:
        """Write the study to <runs_dir>/studies/<name>.json, for the report."""
        trials = self.study.get_trials(deepcopy=False)
        best: dict[str, Any] = {"best": None, "final_key": None}
        if self.completed():
            best = {"best": self.best().number, "final_key": self.final_config(0).experiment}
        record = {
            "name": self.name,
            "model": self.kind.model,
            "data": self.options.data,
            "epochs": self.options.epochs,
            "objectives": [self.sweep.metric] + ([SIZE] if self.options.pareto else []),
            "directions": [direction.name.lower() for direction in self.study.directions],
            "space": {k: distribution_to_json(d) for k, d in self.sweep.space.items()},
            "base": dataclasses.asdict(self.base),
            **best,
            "trials": [_describe(trial) for trial in trials],
        }
        write_json(self.file, record)


_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _describe(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "intermediate": trial.intermediate_values,
        **trial.user_attrs,
    }


def _unit(values: list[float]) -> list[float]:
    """Scaled to [0, 1]."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]


def study_name(base: Config, sweep: Sweep, pareto: bool) -> str:
    """The study's name, with a hash of all that its scores depend on: space, data, budget."""
    space = {name: distribution_to_json(d) for name, d in sweep.space.items()}
    parts = [base.key(), space, sweep.metric, sweep.goal, pareto]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]
    return f"{base.model}-{base.data}-{base.epochs}ep{'-pareto' if pareto else ''}-{digest}"


def make_sampler(method: str, seed: int) -> optuna.samplers.BaseSampler:
    """TPE for `bayes` (Bergstra et al. 2011), else uniform random."""
    if method == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8)


def make_pruner(halving: tuple[int, int] | None) -> optuna.pruners.BasePruner:
    """Asynchronous successive halving (Li et al. 2020): W&B's `hyperband` early termination."""
    if halving is None:
        return optuna.pruners.NopPruner()
    min_iter, eta = halving
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=min_iter, reduction_factor=eta)


def show_params(params: dict[str, Any]) -> str:
    """Hyper-parameters on one line."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    )
