"""What the files of a run and of a search hold."""

from typing import Literal, NewType, NotRequired, Required, TypedDict

Status = Literal["running", "finished", "pruned", "failed"]
Below = NewType("Below", str)  # a path below the run's folder
Value = NewType("Value", object)  # of a configuration's field


class Settings(TypedDict, total=False):
    """Fields of a configuration that others look at; the rest are its family's."""

    data: str
    seed: int
    crops: int
    latent_dim: int
    epochs: int
    minutes: float
    group: str
    eval_images: int
    test: bool


class Dashboard(TypedDict, total=False):
    """What W&B is told of a run beside its record.

    name: Unless the user has another.
    tags: Beside the user's.
    fields: Of the configuration, those that identify the run.
    better: minimize or maximize, by the validation scalars of which one is better.
    floors: Of scores while training, what real pictures get against others.
    hidden: Scalars that are in no chart that W&B makes by itself.
    """

    name: str
    tags: list[str]
    fields: list[str]
    better: dict[str, str]
    floors: dict[str, float]
    hidden: list[str]


class Resumed(TypedDict, total=False):
    """When a run went on, and by which code."""

    step: int
    created: str


class About(TypedDict, total=False):
    """config.json."""

    id: str
    model: str
    key: str
    objective: str
    direction: Literal["minimize", "maximize"]
    data_hash: str
    images: dict[str, int]
    sources: dict[str, int]
    shape: list[int]
    classes: dict[str, int]
    parameters: int
    hardware: str
    threads: int
    processes: int
    extractor: str | None
    extractor_weights: str | None
    resumed: list[Resumed]
    restarted: list[float]
    config: Required[Settings]
    sweep: str
    wandb_run: str
    wandb: dict[str, str | None]
    dashboard: Dashboard
    created: str
    command: list[str]
    commit: str | None
    dirty: bool
    versions: dict[str, str]
    platform: str


class Stability(TypedDict, total=False):
    """How steady a GAN's training was (`metrics.stability.summarise`)."""

    oscillation_d: float
    oscillation_g: float
    saturated_epochs: float
    spread: float
    nearest: float
    diverged: bool
    collapsed: bool


class Summary(TypedDict, total=False):
    """summary.json."""

    status: Status
    seconds: float
    best_epoch: int
    scores: dict[str, float]
    stability: Stability
    events: dict[str, int]
    error: str


class Ruler(TypedDict):
    """How samples were scored: the fields of `metrics.protocol.Protocol`, no other."""

    extractor: str
    weights: str
    reals: str
    split: Literal["train", "val", "test", "folder"]
    size: int
    n: int


class Scores(TypedDict, total=False):
    """Scores by one protocol, a value a draw of samples."""

    ruler: Required[Ruler]
    kid_subset: int
    values: Required[dict[str, list[float]]]
    errors: Required[dict[str, float]]
    floor: Required[dict[str, float]]


class Copies(TypedDict, total=False):
    """The test for copies of training pictures."""

    copies: Required[float]
    expected: Required[float]
    p: float
    visible: float
    alarm: Required[bool]
    originals: int
    searched: int
    extractor: str
    picture: Below


class Likelihood(TypedDict, total=False):
    """-log p(x) of held-out pictures and what it was measured with."""

    p: str
    binarize: str
    given: str
    pictures: int
    draws: int
    nll: float
    nll_error: float
    nll_few: float
    nll_bias: float
    elbo: float
    elbo_gap: float
    rate: float
    distortion: float
    active_units: float
    posterior_collapse: float


class OfClass(TypedDict):
    """Scores of samples of one class against real pictures of it."""

    label: str
    n: int
    values: dict[str, float]
    floor: dict[str, float]


class Evaluation(TypedDict, total=False):
    """A line of evaluations.jsonl."""

    created: str
    commit: str | None
    versions: dict[str, str]
    device: str
    weights: str
    sampler: Required[str]
    whole: bool
    seeds: list[int]
    scores: list[Scores]
    logged: dict[str, float]
    memorization: Copies
    likelihood: Likelihood
    classes: list[OfClass]
    samples: Below


class Trial(TypedDict, total=False):
    """A trial of a search."""

    number: Required[int]
    state: Required[Literal["RUNNING", "WAITING", "COMPLETE", "PRUNED", "FAIL"]]
    values: Required[list[float] | None]
    params: Required[dict[str, Value]]
    intermediate: Required[dict[str, float]]
    retry_of: int | None
    defaults: bool
    run: str
    seconds: float


class Rung(TypedDict):
    """A side of a contest: its budget, and its untrained network's scores."""

    key: str
    model: str
    epochs: int
    steps: int
    milliseconds: float
    parameters: int
    untrained: dict[str, float]


class Contest(TypedDict):
    """Models on equal terms: <runs_dir>/contests/<name>.json.

    choice: What was chosen for the DCGAN.
    milliseconds: Of a step, by side and by what was tried for the choice.
    """

    name: str
    data: str
    minutes: float
    held_out: int
    data_hash: str
    hardware: str
    threads: int
    choice: str
    milliseconds: dict[str, float]
    sides: dict[str, Rung]


class Study(TypedDict):
    """A search: <runs_dir>/studies/<name>.json."""

    name: str
    model: str
    data: str
    epochs: int
    objectives: list[str]
    directions: list[Literal["minimize", "maximize"]]
    space: dict[str, str]
    base: Settings
    best: int | None
    final_key: NotRequired[str | None]
    defaults_key: NotRequired[str | None]
    wandb: NotRequired[dict[str, str]]
    again: NotRequired[dict[str, float]]
    trials: list[Trial]
