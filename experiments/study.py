"""The study that reports/ is of: python experiments/study.py --art_dir=PAINTINGS.

A list of steps, each of which may be run by itself (--steps=…). It may be stopped at any time: the
same command goes on. `--scale` makes all of it shorter or longer.
"""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from contest import ContestConfig, Unequal, contest
from optuna.trial import TrialState

from genbench import UserError
from genbench.cli import guard, parse
from genbench.commands import evaluate
from genbench.config import FOLDER, Checked, Count, Device, EvaluateConfig, Positive, WandbMode
from genbench.config import SearchConfig as SearchOptions
from genbench.console import counted, say
from genbench.crew import train_all
from genbench.families import FAMILIES
from genbench.families.gan import DCGAN
from genbench.fields import chosen
from genbench.record import Record, read_runs
from genbench.report import write_report
from genbench.search import plan
from genbench.search.record import show
from genbench.search.search import Search
from genbench.sweep import Stopping, find_sweep, read_sweep

DIGITS, ART, PAINTED = "digits", "art", "synthetic-art"
SIDES = "dcgan,dcgan + ema,default (+ generator: palette),flow"
HALVES = Stopping("hyperband", min_iter=1, eta=2)  # an epoch of MNIST is five of the bundled digits
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
CHOICE = "width 32, batch 16, lr 0.001"  # of the DCGAN: chosen on seed 0 of the contest's pictures


@dataclass(frozen=True)
class StudyConfig(Checked):
    """Answer the lab's questions on digits and on art, and write the report."""

    steps: str = ""  # by commas, which (default: all)
    scale: Annotated[float, Positive] = 1.0  # of trials, epochs and minutes: 0.02 tries it all
    digits: str = "mnist"  # mnist, mnist-mini or fashion-mnist
    data_dir: str = ""  # where the digits lie (default: $GENBENCH_DATA, else the user's cache)
    art_dir: str = ""  # a folder of paintings (default: abstract-art, from Kaggle)
    held_out: int = 300  # of the paintings, for the test
    runs_dir: Annotated[str, FOLDER] = "runs/study"  # the run records go here
    out: str = "reports"  # and the report
    workers: Count = 2  # trainings at a time, each with its share of the cores
    device: Device = "auto"  # auto: cuda, else mps, else cpu
    wandb: WandbMode = "auto"  # auto: online if a key is configured, else offline

    def scaled(self, number: int) -> int:
        """So many trials or epochs, at this scale."""
        return max(1, round(self.scale * number))

    @property
    def sets(self) -> dict[str, dict[str, Any]]:
        """The data sets, as fields of configurations."""
        folder = {"data": "folder", "data_dir": self.art_dir}
        art = folder if self.art_dir else {"data": "abstract-art"}
        return {
            DIGITS: {"data": self.digits, "data_dir": self.data_dir},
            ART: art | {"held_out": self.held_out},
            PAINTED: {"data": "synthetic-art", "images": 256, "held_out": self.held_out},
        }

    @property
    def common(self) -> dict[str, Any]:
        """What all trainings and searches share."""
        return {"runs_dir": self.runs_dir, "device": self.device, "wandb": self.wandb}


@dataclass(frozen=True)
class Searched:
    """A search of a family on the digits, whose best is trained over new seeds."""

    model: str
    trials: int = 60
    epochs: int = 2
    final_epochs: int = 8
    seeds: int = 5

    def run(self, options: StudyConfig) -> None:
        """Add the trials that are missing, and train the best."""
        given = {
            "trials": options.scaled(self.trials),
            "timeout": 1e9,
            "epochs": options.scaled(self.epochs),
            "final_epochs": options.scaled(self.final_epochs),
            "final_seeds": self.seeds,
            "workers": options.workers,
        }
        chosen = SearchOptions(**given | options.sets[DIGITS] | options.common)
        family = FAMILIES.find(self.model, "family")
        sweep = read_sweep(find_sweep(self.model), family, chosen.given)
        search = Search(dataclasses.replace(sweep, stopping=HALVES), chosen)
        done = plan.count(search.study, ENDED) if search.file.exists() else 0
        if (missing := chosen.trials - done) > 0:
            search.options = dataclasses.replace(chosen, trials=missing)
            search.run()
        search.train_best()
        search.write()
        show(search)


@dataclass(frozen=True)
class Trained:
    """Configurations over seeds that the report tells by what differs among them.

    `each` names the families with what is particular to them; `over` a field and its values.
    """

    name: str
    data: str
    each: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Any]
    over: tuple[str, tuple[Any, ...]] = ("", ())
    seeds: int = 3
    epochs: int = 0
    minutes: float = 0.0

    def run(self, options: StudyConfig) -> None:
        """Train what is missing."""
        length: dict[str, Any] = {"epochs": options.scaled(self.epochs)}
        if self.minutes:
            length = {"minutes": options.scale * self.minutes, "epochs": 100_000}
        name, values = self.over
        jobs = []
        for model, own in self.each.items():
            for changed in [{name: value} for value in values] or [{}]:
                for seed in range(1, self.seeds + 1):
                    about = {"seed": seed, "group": self.name, "test": True}
                    fields = options.sets[self.data] | options.common | length | about
                    fields |= dict(self.fields) | dict(own) | changed
                    told = ", ".join(f"{k}={v}" for k, v in (changed | {"seed": seed}).items())
                    title = f"{self.name}: {model}, {told}"
                    jobs.append((FAMILIES[model].config(**fields), title))
        train_all(jobs, 1 if self.minutes else options.workers)  # company costs minutes steps


@dataclass(frozen=True)
class Contested:
    """Named models on equal terms on a data set."""

    data: str
    minutes: float
    seeds: int = 3

    def run(self, options: StudyConfig) -> None:
        """Calibrate and train what is missing; scaled down to less than a few epochs, nothing."""
        own = {"minutes": options.scale * self.minutes, "seeds": self.seeds}
        chosen = {"sides": SIDES, "choice": CHOICE, "workers": options.workers}
        fields = options.sets[self.data] | options.common | own | chosen
        try:
            contest(ContestConfig(**fields))
        except Unequal as error:
            if options.scale >= 1:
                raise
            say(f"scale={options.scale:g}: too small for the contest on {self.data} ({error})")


@dataclass(frozen=True)
class Scored:
    """The chosen trainings of every family on a data set, or of some, by one ruler."""

    data: str
    options: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()  # of these families alone

    def run(self, options: StudyConfig) -> None:
        """Score the runs, unless all of them have been, drawn from as `options` say."""
        data = options.sets[self.data]["data"]
        runs = [run for run in read_runs(options.runs_dir) if self.takes(run, data)]
        chosen = EvaluateConfig(device=options.device, wandb=options.wandb, **self.options)
        if not all(self.is_scored(run, chosen) for run in runs):
            evaluate(tuple(str(run.path) for run in runs), options=chosen)

    def takes(self, run: Record, data: str) -> bool:
        """Whether a run stands in the table of all families."""
        group = run.config.get("group", "")
        chosen = group.endswith("-best") or group.startswith("contest-")
        chosen = chosen or group in (FAMILIES_GROUP, LAB_GAN_GROUP)
        chosen = chosen and run.model in (self.models or FAMILIES)
        return run.status == "finished" and run.tested and run.config["data"] == data and chosen

    def is_scored(self, run: Record, chosen: EvaluateConfig) -> bool:
        """Whether a run has been, drawn from as it is to be, by as many seeds on the same split."""
        family = FAMILIES[run.model]
        sampler = family.sampler(family.fitted(chosen.prior))
        lines = [line for line in run.evaluations() if line["sampler"] == sampler]
        lines = [line for line in lines if len(line.get("seeds", [])) == chosen.seeds]
        lines = [line for line in lines if line.get("whole", True)]
        rulers = [entry["ruler"] for line in lines for entry in line.get("scores", [])]
        return chosen.split in [ruler["split"] for ruler in rulers]


@dataclass(frozen=True)
class Reported:
    """The report of all that is there."""

    def run(self, options: StudyConfig) -> None:
        """Write it; figures of an earlier one are removed."""
        sets = {name: about["data"] for name, about in options.sets.items()}
        ended = {r.config["data"] for r in read_runs(options.runs_dir) if r.status == "finished"}
        if not ended & {*sets.values()}:
            raise UserError(f"runs_dir={options.runs_dir}: no finished run of the study's; train")
        for ending in ("png", "gif"):
            for old in (Path(options.out) / "figures").glob(f"*.{ending}"):
                old.unlink()
        private = sets[ART] if sets[ART] in ended else ""
        page = write_report(options.runs_dir, options.out, ",".join(sets.values()), private=private)
        print(f"Summary:  {page.resolve()}")


FAMILIES_GROUP = "all families"
LAB_GAN_GROUP = "the lab's DCGAN after 25 epochs"
LAB = {"arch": "mlp", "width": 400, "depth": 1, "latent_dim": 20, "activation": "relu"}
LAB |= {"batch_size": 128, "lr": 1e-3, "lr_decay": 0.0}  # PyTorch's example: most start from it
ON_TEST: dict[str, Any] = {"split": "test", "seeds": 1}  # trainings differ more than draws do
PAIR: Mapping[str, Mapping[str, Any]] = {"ae": {}, "vae": {}}
STEPS: Mapping[str, Any] = {
    "search-ae": Searched("ae"),
    "search-vae": Searched("vae"),
    "equal": Trained("equal code and budget", DIGITS, PAIR, {"latent_dim": 16}, seeds=5, epochs=10),
    "two": Trained("a code of two numbers", DIGITS, PAIR, {"latent_dim": 2}, seeds=1, epochs=10),
    "lab": Trained("the lab's networks", DIGITS, PAIR, LAB, epochs=10),
    "beta": Trained(
        "rate and distortion",
        DIGITS,
        {"vae": {}},
        {},
        ("beta", (0.25, 0.5, 1.0, 2.0, 4.0)),
        seeds=2,
        epochs=6,
    ),
    "lab-gan": Trained(LAB_GAN_GROUP, ART, {"gan": DCGAN}, {"eval_every": 5}, epochs=25),
    "contest": Contested(ART, minutes=2),
    "families": Trained(
        FAMILIES_GROUP, DIGITS, {"gan": {}, "flow": {}}, {"eval_every": 0}, minutes=1
    ),
    "families-dcgan": Trained(FAMILIES_GROUP, DIGITS, {"gan": DCGAN}, {"eval_every": 0}, minutes=1),
    "contest-painted": Contested(PAINTED, minutes=1),
    "scores-digits": Scored(DIGITS, ON_TEST | {"n": 1_500, "draws": 1_000}),
    "scores-fitted": Scored(
        DIGITS, ON_TEST | {"n": 1_500, "metrics": "fd,kid,prc", "prior": "mixture"}, models=("vae",)
    ),
    "scores-art": Scored(ART, ON_TEST | {"n": 300, "metrics": "fd,kid,prc,memorization"}),
    "report": Reported(),
}


def chosen_steps(options: StudyConfig) -> dict[str, Any]:
    """The steps that are asked for, in their order.

    Raises:
        UserError: There is no step of such a name.
    """
    return chosen("steps", options.steps, STEPS)


def main() -> None:
    """Take the steps that are missing, and say how long each took."""
    options = parse(StudyConfig)
    steps = chosen_steps(options)
    begun = time.monotonic()
    for i, (name, step) in enumerate(steps.items(), 1):
        say(f"Step {i}/{len(steps)}, {name}")
        step.run(options)
        minutes = (time.monotonic() - begun) / 60
        say(f"{counted(i, 'step')} of {len(steps)} done after {minutes:.1f} min")


if __name__ == "__main__":
    guard(main)
