"""A study of one sweep under one budget: its trials, and the final trainings of its winner."""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState

from genbench import UserError
from genbench.config import Config, SearchConfig
from genbench.console import first_line, say
from genbench.files import writable, write_json
from genbench.handlers import Diverged
from genbench.record import finished, read_run
from genbench.record.provenance import git
from genbench.search import proposals
from genbench.search import study as studies
from genbench.search.launch import launch
from genbench.search.record import show_params, study_name, to_record
from genbench.sweep import Sweep, holds
from genbench.sweep.parameters import corners
from genbench.train import train

FINAL_SEEDS = 3
MOST_TRIES = 3  # of a point whose trials all fail, over all calls


@dataclasses.dataclass
class Search:
    """A study of one sweep under one budget; `run` adds trials, `train_best` ends it.

    Args:
        sweep: What to search.
        options: With which means.
        launched: Start each trial by the sweep file's command, as W&B's agent does.
        crowded: Others add to the study at the same time.
    """

    sweep: Sweep
    options: SearchConfig
    launched: bool = False
    crowded: bool = False

    def __post_init__(self) -> None:
        """Open or continue the study; its name says what its scores depend on.

        Raises:
            UserError: `runs_dir` or the storage cannot be used.
        """
        o, sweep = self.options, self.sweep
        self.family = sweep.family
        size = self.family.small
        if o.pareto and size != "seconds" and size not in sweep.space:
            raise UserError(f"pareto: {sweep.path} does not vary {size}")
        self.objectives = [sweep.metric] + ([size] if o.pareto else [])
        inside = sweep.flags.get("runs_dir", o.runs_dir)
        if self.launched and inside != o.runs_dir:
            raise UserError(f"command: has --runs_dir={inside}; give genbench sweep the same")
        self.base = self._base()
        self.name = study_name(self.base, sweep, o.pareto)
        folder = Path(o.runs_dir) / "studies"
        self.file = folder / f"{self.name}.json"
        with writable(o.runs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        url = o.storage or f"sqlite:///{o.runs_dir}/optuna.db"
        directions = [sweep.goal] + (["minimize"] if o.pareto else [])
        self.study = studies.open_study(self.name, url, directions, self._enqueue)
        self._retry_failed()
        # A sampler seeded alike proposes the same points again when a study goes on.
        done = len(self.study.get_trials(deepcopy=False))
        seed = (o.seed * 100_003 + done) % 2**32
        self.study.sampler = proposals.make_sampler(
            sweep.method, seed, self.crowded or bool(o.storage)
        )
        self.study.pruner = proposals.make_pruner(None if o.pareto else sweep.stopping)
        self._begun = time.monotonic()

    def _base(self) -> Config:
        """The model's defaults; where they contradict the file, the first point that does not."""
        seed = 0 if self.launched else self.options.seed
        first: UserError | None = None
        for params in itertools.chain([{}], corners(self.sweep.space)):
            try:
                return self.make_config(params, seed=seed)
            except UserError as error:
                first = first or error
        assert first
        raise first

    def _enqueue(self, study: optuna.Study) -> None:
        """What is tried first: the whole grid, else the model's defaults.

        With the defaults tried, the best is never worse than they.
        """
        if self.sweep.method == "grid":
            proposals.enqueue_grid(study, self.sweep.space)  # type: ignore[arg-type]
            return
        defaults = {name: getattr(self.base, name) for name in self.sweep.space}
        if defaults == {name: getattr(self.family.config(), name) for name in defaults} and all(
            holds(d, defaults[name]) for name, d in self.sweep.space.items()
        ):
            study.enqueue_trial(defaults, user_attrs={"defaults": True}, skip_if_exists=True)

    def _retry_failed(self) -> None:
        """Enqueue again the defaults, or points of the grid, all of whose trials failed."""
        tried: dict[str, list[optuna.trial.FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if self.sweep.method == "grid" or trial.user_attrs.get("defaults"):
                tried.setdefault(json.dumps(studies.point(trial), sort_keys=True), []).append(trial)
        for trials in tried.values():
            failed = all(trial.state == TrialState.FAIL for trial in trials)
            if failed and len(trials) < MOST_TRIES:
                attrs = {k: v for k, v in trials[0].user_attrs.items() if k == "defaults"}
                self.study.enqueue_trial(studies.point(trials[0]), user_attrs=attrs)

    def make_config(self, params: dict[str, Any], **more: Any) -> Config:
        """The configuration of a trial: the defaults, the file's constants, `params`, the flags."""
        o = self.options
        runtime = {"device": o.device, "wandb": o.wandb, "runs_dir": o.runs_dir}
        return self.family.config(**self.sweep.held | params | o.given | runtime | more)

    @studies.reachable()
    def run(self) -> None:
        """Add `options.trials` trials; a failed one is recorded and does not end the study.

        Raises:
            UserError: Bad input, if no trial was completed yet; or the database is gone.
            KeyboardInterrupt: Ctrl-C, after the study was written.
        """
        todo = self._todo()
        self._begun = time.monotonic()
        if self.options.workers > 1 and todo:
            from genbench.search.workers import share

            share(self, todo)
        else:
            for i in range(todo):
                if not self.goes_on(i):
                    break
                self.run_trial(f"{self.family.name} trial {i + 1}/{todo}")
        self.write()

    def _todo(self) -> int:
        """How many trials to add: as many as asked for, within the file's run_cap."""
        asked, cap, done = self.options.trials, self.sweep.run_cap, self._begun_trials(_ENDED)
        if done:
            say(f"{self.name}: {done} trials so far, adding {asked}")
        todo = asked if cap is None else min(asked, max(0, cap - done))
        if todo < asked:
            say(f"{self.name}: run_cap {cap} leaves {todo} trials to run")
        return todo

    def _begun_trials(self, states: tuple[TrialState, ...]) -> int:
        """How many have begun, without those that are run again or repeated a point."""
        trials = self.study.get_trials(deepcopy=False)
        again = {trial.user_attrs.get(studies.RETRIED) for trial in trials}
        return sum(
            trial.state in states
            and trial.number not in again
            and studies.REPEATS not in trial.user_attrs
            for trial in trials
        )

    def goes_on(self, done: int) -> bool:
        """Whether another trial may start after `done`; if not, the reason is said."""
        o = self.options
        if time.monotonic() - self._begun > o.timeout:
            say(f"{self.name}: {o.timeout:g} s are over after {done} trials; run again for more")
            return False
        studies.fail_stale(self.study)
        cap = self.sweep.run_cap  # counts the trials of all machines
        if cap is not None and self._begun_trials((*_ENDED, TrialState.RUNNING)) >= cap:
            say(f"{self.name}: run_cap {cap} is reached")
            return False
        if self.sweep.method == "grid" and not self._waiting():
            say(f"{self.name}: every point of the grid is tried or being tried")
            return False
        if self._reached():
            say(f"{self.name}: the target {self.sweep.target:g} is reached")
            return False
        return True

    def _waiting(self) -> int:
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _reached(self) -> bool:
        """Whether a trial's metric is as good as the file's `target`."""
        target = self.sweep.target
        if target is None:
            return False
        values = [trial.values[0] for trial in self.completed()]
        sign = 1 if self.sweep.goal == "maximize" else -1
        return any(sign * value >= sign * target for value in values)

    @studies.reachable()
    def elsewhere(self) -> int:
        """How many trials other processes were running when this search was done with its own.

        Waits until each has ended or its process is known to be dead: such a trial is not counted,
        and one that waits is run here in its place.
        """
        numbers = self._running()
        if not numbers:
            return 0
        say(f"{self.name}: {len(numbers)} trials run elsewhere; looking whether they live")
        deadline = time.monotonic() + studies.GRACE + studies.HEARTBEAT
        while set(numbers) & set(self._running()) and time.monotonic() < deadline:
            time.sleep(1)
            studies.fail_stale(self.study)
        for _ in range(self._retries()):  # the longest waiting first
            self.run_trial(f"{self.family.name} trial in place of one whose process died")
        ended = self.study.get_trials(deepcopy=False)
        return sum(ended[number].state != TrialState.FAIL for number in numbers)

    def _retries(self) -> int:
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return sum(studies.RETRIED in trial.user_attrs for trial in waiting)

    def _running(self) -> list[int]:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial.number for trial in running]

    @studies.reachable()
    def run_trial(self, title: str, told: Callable[[int], None] = lambda number: None) -> None:
        """Run the next trial.

        Args:
            title: What the progress bar says.
            told: Called with the trial's number before it runs.
        """
        trial = studies.ask(self.study, self.sweep.space)
        told(trial.number)
        if self.sweep.method == "grid" and proposals.taken(self.study, trial):
            studies.end(self.study, trial, TrialState.FAIL, None, {studies.REPEATS: True})
            return
        state, values = TrialState.FAIL, None
        notes: dict[str, Any] = {}
        start = time.monotonic()
        try:
            with studies.heartbeat(self.study, trial):
                values = self._values(trial, title)
            state = TrialState.COMPLETE
        except (optuna.TrialPruned, Diverged) as ended:
            state, notes = TrialState.PRUNED, {"pruned": str(ended)}
        except (StorageInternalError, KeyboardInterrupt, SystemExit):
            raise
        except UserError as error:
            notes = {"error": str(error)}
            if not self.completed():  # else it is this trial's values that will not do
                raise
        except UpdateFinishedTrialError:
            notes = {"error": _TAKEN}
        except Exception as error:
            notes = {"error": f"{type(error).__name__}: {first_line(error)}"}
        finally:
            notes["seconds"] = round(time.monotonic() - start, 2)
            ours = studies.end(self.study, trial, state, values, notes)
            self.write()
        if not ours:
            state, values, notes = TrialState.FAIL, None, {"error": _TAKEN}
        self._say_trial(title, trial, state, values, notes)

    def _values(self, trial: optuna.Trial, title: str) -> list[float]:
        """Train as the trial says; its objectives."""
        try:
            config = self.make_config(
                trial.params, seed=self.options.seed, group=self.name, save=False
            )
        except UserError as error:  # the flags and the file are good: two drawn values are not
            raise ValueError(error) from error
        if self.launched:
            scores = launch(self.sweep, trial, self.name, self.options.runs_dir, config.epochs)
        else:
            # Trial.report raises in a study of several objectives
            metric = "" if self.options.pareto else self.sweep.metric.removeprefix("val/")
            scores = train(config, trial=trial, prune_on=metric, title=title)
        if self.sweep.metric not in scores:
            known = ", ".join(scores)
            raise UserError(f"metric: {self.sweep.metric} is never logged; known: {known}")
        values = [scores[self.sweep.metric]]
        if self.options.pareto:
            record = read_run(Path(self.options.runs_dir) / trial.user_attrs["run"])
            assert record
            sizes = {"seconds": record.summary["seconds"]} | trial.params
            values.append(float(sizes[self.objectives[1]]))
        return values

    def _say_trial(
        self,
        title: str,
        trial: optuna.Trial,
        state: TrialState,
        values: list[float] | None,
        notes: dict[str, Any],
    ) -> None:
        outcome = state.name.lower()
        if values:
            outcome = f"{self.sweep.metric} {values[0]:.5g}"
        elif state == TrialState.FAIL:
            outcome = f"failed: {notes.get('error')}"
        print(f"{title}: {outcome}  ({show_params(trial.params)})", flush=True)

    @studies.reachable()
    def completed(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that ran to their end."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    @studies.reachable()
    def best(self) -> optuna.trial.FrozenTrial:
        """The best trial; of several objectives the front's trial nearest to the ideal point.

        Raises:
            UserError: No trial was completed.
        """
        if not self.completed():
            raise UserError(f"{self.name}: no trial was completed; run again with more trials")
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
            there = finished(config.runs_dir, config.key, config.seed, commit)
            title = f"{self.family.name} best, seed {i}/{FINAL_SEEDS}"
            scores.append(there.scores if there else train(config, title=title))
        return scores

    def final_config(self, seed: int) -> Config:
        """The best trial's configuration as the final trainings run it."""
        epochs = self.options.final_epochs or 2 * self.base.epochs
        group = f"{self.name}-best"
        params = self.best().params
        return self.make_config(params, epochs=epochs, seed=seed, test=True, group=group)

    def write(self) -> None:
        """Write the study to <runs_dir>/studies/<name>.json, for the report."""
        write_json(self.file, to_record(self))


_TAKEN = (
    f"no sign of life for {studies.GRACE} s (was the machine asleep?): another process took it "
    "for dead and runs it again"
)
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _unit(values: list[float]) -> list[float]:
    """Scaled to [0, 1]."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]
