"""What a search has still to run: its queue of waiting trials, and its budget."""

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from genbench import UserError
from genbench.console import counted, say
from genbench.data import load_data
from genbench.device import pick_device
from genbench.search.study import REPEATS, WORKER, first_try, kept
from genbench.sweep.metric import FOLDERS

if TYPE_CHECKING:
    from genbench.search.search import Search

PICTURES = "data_hash"  # of a study: of the pictures that it was begun on
MOST_TRIES = 3  # of a point whose trials all fail, over all calls
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
BEGUN = (*ENDED, TrialState.RUNNING)


def point(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, also before it runs."""
    return trial.system_attrs.get("fixed_params") or trial.params


def _key(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def enqueue_grid(study: optuna.Study, space: dict[str, CategoricalDistribution]) -> None:
    """Enqueue every combination of the choices; one that is there already is left out."""
    there = {_key(point(trial)) for trial in study.get_trials(deepcopy=False)}
    points = list(itertools.product(*(distribution.choices for distribution in space.values())))
    for values in tqdm(points, "enqueueing the grid", leave=False, disable=None, delay=1):
        params = dict(zip(space, values, strict=True))
        if _key(params) not in there:
            study.enqueue_trial(params)


def retry_failed(study: optuna.Study, grid: bool) -> None:
    """Enqueue again the defaults, or points of the grid, all of whose trials failed."""
    tried: dict[str, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        if grid or trial.user_attrs.get("defaults"):
            tried.setdefault(_key(point(trial)), []).append(trial)
    for trials in tried.values():
        failed = all(trial.state == TrialState.FAIL for trial in trials)
        if failed and len(trials) < MOST_TRIES:
            study.enqueue_trial(point(trials[0]), user_attrs=kept(trials[0]))


def waiting(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that nobody runs yet."""
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def repeated(study: optuna.Study, number: int) -> bool:
    """Whether another trial of a grid has this one's point, or it is no point of the grid's queue.

    Two machines that ask at once for the last point get it and one that the sampler made up; two
    that complete the queue of a third at once may leave a point there twice.
    """
    *before, trial = study.get_trials(deepcopy=False)[: number + 1]
    lives = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    twins = [other for other in before if other.state in lives and point(other) == point(trial)]
    return bool(twins) or "fixed_params" not in trial.system_attrs


def count(study: optuna.Study, states: tuple[TrialState, ...], crew: str = "") -> int:
    """How many trials of a search are in these states; with no name of one, of all machines.

    Those that are run again or repeated a point do not count.
    """
    trials = study.get_trials(deepcopy=False)
    again = {first_try(trial) for trial in trials}
    return sum(
        trial.state in states
        and trial.number not in again
        and REPEATS not in trial.user_attrs
        and trial.user_attrs.get(WORKER, "").startswith(crew)
        for trial in trials
    )


def check_pictures(search: "Search") -> None:
    """Refuse to go on with a study of other pictures: where they lie is no part of its name.

    Raises:
        UserError: They are others than those it was begun on.
    """
    if search.base.data not in FOLDERS:
        return
    found = load_data(search.base, pick_device(search.base.device)).content_hash
    if search.study.user_attrs.get(PICTURES, found) != found:
        raise UserError(f"{search.name}: was begun on other pictures; name another --runs_dir")
    search.study.set_user_attr(PICTURES, found)


def trials_to_add(search: "Search") -> int:
    """As many as asked for, within the file's run_cap."""
    asked, cap, done = search.options.trials, search.sweep.run_cap, count(search.study, ENDED)
    if done:
        say(f"{search.name}: {counted(done, 'trial')} so far, adding {asked}")
    todo = asked if cap is None else min(asked, max(0, cap - done))
    if todo < asked:
        say(f"{search.name}: run_cap {cap} leaves {counted(todo, 'trial')} to run")
    return todo


def goes_on(search: "Search", done: int) -> bool:
    """Whether another trial may start after `done`; if not, the reason is said."""
    timeout, cap = search.options.timeout, search.sweep.run_cap
    why = ""
    if time.monotonic() - search.begun > timeout:
        why = f"{timeout:g} s are over after {counted(done, 'trial')}; run again for more"
    elif cap is not None and count(search.study, BEGUN) >= cap:  # of all machines
        why = f"run_cap {cap} is reached"
    elif search.sweep.method == "grid" and not waiting(search.study):
        why = "every point of the grid is tried or being tried"
    elif _reached(search):
        why = f"the target {search.sweep.target:g} is reached"
    if why and not search.is_worker:  # whose parent says it, once
        say(f"{search.name}: {why}")
    return not why


def _reached(search: "Search") -> bool:
    """Whether a trial's metric is as good as the file's `target`."""
    target = search.sweep.target
    sign = 1 if search.sweep.goal == "maximize" else -1
    return target is not None and any(
        sign * trial.values[0] >= sign * target for trial in search.completed()
    )
