"""A study of one sweep under one budget: its trials, and the final trainings of its winner."""

import dataclasses
import functools
import gc
import itertools
import math
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from genbench import UserError, environment, signals
from genbench.config import Config, SearchConfig
from genbench.console import counted, say
from genbench.crew import train_all
from genbench.files import writable, write_json
from genbench.record.provenance import git
from genbench.search import plan, proposals
from genbench.search import study as studies
from genbench.search.record import study_name, to_record
from genbench.search.trial import run_trial
from genbench.speed import settle
from genbench.sweep import Sweep, holds
from genbench.sweep.parameters import corners

AGAIN_SEED = 4  # after the search's own, of the trials that are trained again
AGAIN = "again-"  # of the study: the value of that training, by the trial's number


@dataclasses.dataclass
class Search:
    """A study of one sweep under one budget; `run` adds trials, `train_best` ends it.

    Args:
        sweep: What to search.
        options: With which means.
        launched: Start each trial by the sweep file's command, as W&B's agent does.
        crew: Of a worker, the name that its search has given all of its trials.
        begun: Of a worker, since when the time limit counts.
    """

    sweep: Sweep
    options: SearchConfig
    launched: bool = False
    crew: str = ""
    begun: float = 0.0

    def __post_init__(self) -> None:
        """Name the study; a `UserError` if the sweep and the options contradict each other."""
        environment.check_alone("a search")
        o, sweep = self.options, self.sweep
        if sweep.engine not in ("", "optuna"):
            raise UserError(
                f"{sweep.path}: scheduler: engine {sweep.engine} runs in `wandb sweep-scheduler` "
                "alone; write engine: optuna"
            )
        self.family = sweep.family
        size = self.family.small
        if o.pareto and size != "seconds" and size not in sweep.space:
            raise UserError(f"pareto: {sweep.path} does not vary {size}")
        self.objectives = [sweep.metric] + ([size] if o.pareto else [])
        if (inside := sweep.flags.get("runs_dir", o.runs_dir)) != o.runs_dir:
            raise UserError(f"command: has --runs_dir={inside}; give the search the same")
        self.chosen: dict[str, str] = {"compile": "False"}  # each trial is another network
        self.chosen["precision"] = settle(self._base()).precision  # whatever the trials vary
        self.base = self._base()
        self.name = study_name(self.base, sweep, o.pareto)
        self.file = Path(o.runs_dir) / "studies" / f"{self.name}.json"
        self.is_worker = bool(self.crew)

    @functools.cached_property
    def study(self) -> optuna.Study:
        """Optuna's study, opened when it is first needed; a `UserError` if it cannot be."""
        o, sweep = self.options, self.sweep
        with writable(o.runs_dir):
            self.file.parent.mkdir(parents=True, exist_ok=True)
        url = studies.database(o.runs_dir, o.storage)
        directions = [sweep.goal] + (["minimize"] if o.pareto else [])
        study = studies.open_study(self.name, url, directions, self._enqueue)
        if not self.is_worker:
            plan.retry_failed(study, grid=sweep.method == "grid")
        # A sampler seeded alike proposes the same points again when a study goes on.
        seed = (o.seed * 100_003 + len(study.get_trials(deepcopy=False))) % 2**32
        crowded = self.is_worker or bool(o.storage)
        study.sampler = proposals.make_sampler(sweep.method, seed, crowded)
        study.pruner = proposals.make_pruner(None if o.pareto else sweep.stopping)
        return study

    def _base(self) -> Config:
        """The model's defaults; where they contradict the file, the first point that does not."""
        seed = 0 if self.launched else self.options.seed
        for params in itertools.chain([{}], corners(self.sweep.space)):
            with suppress(UserError):
                return self.make_config(params, seed=seed)
        return self.make_config({}, seed=seed)  # raises why not

    def _enqueue(self, study: optuna.Study) -> None:
        """What is tried first: the whole grid, else the model's defaults.

        With the defaults tried, the best is never worse than they.
        """
        if self.sweep.method == "grid":
            plan.enqueue_grid(study, self.sweep.space)  # type: ignore[arg-type]
            return
        defaults = {name: getattr(self.base, name) for name in self.sweep.space}
        if defaults == {name: getattr(self.family.config(), name) for name in defaults} and all(
            holds(d, defaults[name]) for name, d in self.sweep.space.items()
        ):
            study.enqueue_trial(defaults, user_attrs={"defaults": True}, skip_if_exists=True)

    def make_config(self, params: dict[str, Any], **more: Any) -> Config:
        """The configuration of a trial: the defaults, the file's constants, `params`, the flags."""
        o = self.options
        names = ("device", "wandb", "runs_dir", "project", "entity", "tags")
        runtime = {name: getattr(o, name) for name in names}
        asked = {n: v for n, v in runtime.items() if v != getattr(SearchConfig, n)}
        asked["runs_dir"] = o.runs_dir
        fields = self.chosen | runtime | self.sweep.held | params | o.given | asked | more
        return self.family.config(**fields)

    @signals.noted()
    @studies.reachable()
    def run(self) -> None:
        """Add `options.trials` trials; a failed one is recorded and does not end the study.

        Raises:
            UserError: Bad input, if no trial was completed yet; or the database is gone.
        """
        plan.check_pictures(self)
        todo = plan.trials_to_add(self)
        self.crew, self.begun = secrets.token_hex(4), time.monotonic()
        if self.options.workers > 1 and todo:
            from genbench.search.workers import run_workers

            run_workers(self, todo)
        else:
            self.work(todo)
        self.write()

    @signals.noted()
    @studies.reachable()
    def work(self, todo: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Run trials until `todo` have begun in all processes of this search, or one says stop."""
        gc.collect()
        gc.freeze()  # what is there now outlives all trials: collections after them skip it
        while not stop():
            signals.check()
            with studies.turn(self.file) as turn:
                studies.fail_stale(self.study)
                done = plan.count(self.study, plan.BEGUN, self.crew)
                if done >= todo or not plan.goes_on(self, done):
                    return
                run_trial(self, f"{self.family.name} trial {done + 1}/{todo}", turn)

    @signals.noted()
    @studies.reachable()
    def elsewhere(self) -> int:
        """How many trials other processes were running when this search was done with its own.

        Waits until each has ended or its process is known to be dead: such a trial is not counted,
        and one that waits is run here in its place.
        """

        def running() -> set[int]:
            trials = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            return {trial.number for trial in trials}

        numbers = running()
        if not numbers:
            return 0
        others = counted(len(numbers), "trial")
        say(f"{self.name}: {others} begun elsewhere; looking whether that process lives")
        deadline = time.monotonic() + studies.GRACE + studies.HEARTBEAT
        while numbers & running() and time.monotonic() < deadline:
            signals.sleep(1)
            with studies.turn(self.file):
                studies.fail_stale(self.study)
        title = f"{self.family.name} trial in place of one whose process died"
        waiting = plan.waiting(self.study)
        for _ in range(sum(studies.first_try(trial) is not None for trial in waiting)):
            signals.check()
            with studies.turn(self.file) as turn:  # the longest waiting first
                run_trial(self, title, turn)
        ended = self.study.get_trials(deepcopy=False)
        return sum(ended[number].state != TrialState.FAIL for number in numbers)

    @studies.reachable()
    def completed(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that ran to their end."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    @studies.reachable()
    def best(self) -> optuna.trial.FrozenTrial:
        """The best trial; of several objectives the front's trial nearest to the ideal point."""
        if not self.completed():
            raise UserError(f"{self.name}: no trial was completed; run again with more trials")
        leading, twice = self.leading, self.confirmed
        if leading and all(trial.number in twice for trial in leading):
            return min(leading, key=lambda trial: self.sign * twice[trial.number])
        if not self.options.pareto:
            return self.study.best_trial
        return studies.nearest_to_ideal(self.study)

    @property
    def defaults(self) -> dict[str, Any]:
        """The parameters that are no trial's: the model's own, or the nearest that can be."""
        return {name: getattr(self.base, name) for name in self.sweep.space}

    @property
    def sign(self) -> int:
        """1 where less of the metric is better, -1 where more is."""
        return 1 if self.sweep.goal == "minimize" else -1

    @property
    def seeds(self) -> tuple[int, ...]:
        """Over which every trial is trained: the file's, else the search's own one."""
        return self.sweep.seeds or (self.options.seed,)

    @property
    def again(self) -> int:
        """How many of the best trials are trained again, where one seed chose them."""
        noisy = self.family.adversarial and len(self.seeds) == 1
        usual = 3 * noisy if self.options.again < 0 else self.options.again
        return 0 if self.options.pareto else usual

    @property
    def leading(self) -> list[optuna.trial.FrozenTrial]:
        """The best trials, as many as are trained again."""
        if not self.again:
            return []
        return sorted(self.completed(), key=lambda t: self.sign * t.values[0])[: self.again]

    @property
    def confirmed(self) -> dict[int, float]:
        """Of the trials that were trained again, by number, the mean of both values."""
        again = {k: v for k, v in self.study.user_attrs.items() if k.startswith(AGAIN)}
        values = {trial.number: trial.values[0] for trial in self.completed()}
        numbers = {int(name.removeprefix(AGAIN)): value for name, value in again.items()}
        return {n: (values[n] + value) / 2 for n, value in numbers.items() if n in values}

    @signals.noted()
    @studies.reachable()
    def confirm(self) -> None:
        """Train the best trials again, with another seed.

        The best of many noisy values is mostly a lucky one: its own seed cannot tell.
        """
        about = {"seed": max(self.seeds) + AGAIN_SEED, "job_type": "trial"}
        about["group"] = f"{self.name}-again"
        jobs = {}
        for i, trial in enumerate(self.leading, 1):
            if f"{AGAIN}{trial.number}" not in self.study.user_attrs:
                title = f"{self.family.name} trial {trial.number} again, {i}/{self.again}"
                jobs[trial.number] = self.make_config(trial.params, **about), title
        found = train_all([*jobs.values()], self.options.workers, git("rev-parse", "HEAD"))
        for number, scores in zip(jobs, found, strict=True):
            value = scores[self.sweep.metric] if scores else self.sign * math.inf
            self.study.set_user_attr(f"{AGAIN}{number}", value)
        self.write()

    @signals.noted()
    def train_best(self) -> list[dict[str, float]]:
        """The test scores of the best trial's configuration, trained over new seeds.

        The hyper-parameters were chosen on other seeds. What is there already is not trained again,
        and one that was stopped goes on.
        """
        return self._finals("best", self.best().params)

    def train_defaults(self) -> list[dict[str, float]]:
        """The same of the defaults: what the search has gained."""
        return self._finals("defaults", self.defaults)

    @signals.noted()
    def _finals(self, name: str, params: dict[str, Any]) -> list[dict[str, float]]:
        first, n = max(self.seeds), self.options.final_seeds
        new = [first + i for i in range(1, n + 2) if not (self.again and i == AGAIN_SEED)]
        titles = [f"{self.family.name} {name}, seed {i}/{n}" for i in range(1, n + 1)]
        configs = [self.final_config(seed, params, name) for seed in new[:n]]
        jobs = list(zip(configs, titles, strict=True))
        scores = train_all(jobs, self.options.workers, git("rev-parse", "HEAD"))
        return [score for score in scores if score]

    def final_config(self, seed: int, params: dict[str, Any], name: str = "best") -> Config:
        """A configuration as the final trainings run it."""
        longer = 2 * int(params.get("epochs", self.base.epochs))
        epochs, group = self.options.final_epochs or longer, f"{self.name}-{name}"
        more = {"epochs": epochs, "test": True, "group": group, "job_type": "final"}
        return self.make_config(params, seed=seed, **more)

    def write(self) -> None:
        """Write the study to <runs_dir>/studies/<name>.json, for the report."""
        write_json(self.file, to_record(self))
