"""The report's tables, as rows of text."""

from collections.abc import Sequence

from genbench.report.select import C, Chapter, Column, Selection

# name, title, digits after the point
MEASURES = (
    ("bce", "Reconstruction, BCE (nats an image) ↓", 2),
    ("mse", "Reconstruction, MSE (a pixel) ↓", 5),
    ("psnr", "Reconstruction, PSNR (dB) ↑", 2),
    ("elbo", "ELBO (nats an image) ↑", 2),
    ("kl", "KL (nats an image)", 2),
    ("active_units", "Active units", 1),
    ("knn_accuracy", "k-NN accuracy of the code ↑", 4),
    ("probe_accuracy", "Linear-probe accuracy of the code ↑", 4),
    ("best_epoch", "Best epoch", 1),
    ("seconds", "Seconds a training", 1),
)
NOT_SHOWN = {"runs_dir", "data_dir", "wandb", "device", "group", "save", "test", "log_every"}


def scores(chapter: Chapter) -> list[list[str]]:
    """A header and a row a measure: its title, then each model's mean ± std over seeds."""
    entries = chapter.entries
    rows = [score_row(entries, name, title, digits) for name, title, digits in MEASURES]
    return [*heads(entries), *filter(None, rows), parameters(entries)]


def heads(entries: Sequence[Column]) -> list[list[str]]:
    """The columns' titles, and over how many trainings the means are."""
    return [
        ["", *(entry.title for entry in entries)],
        ["Training seeds", *(str(len(entry.runs)) for entry in entries)],
    ]


def score_row(entries: Sequence[Column], name: str, title: str, digits: int) -> list[str]:
    """A measure's title and its score in each column; empty where no column has one."""
    found = [entry.score(name) for entry in entries]
    shown = [one.show(digits) if one else "—" for one in found]
    return [title, *shown] if any(found) else []


def parameters(entries: Sequence[Column]) -> list[str]:
    """How many weights are trained."""
    return ["Parameters", *(f"{entry.about['parameters']:,}" for entry in entries)]


def hyperparameters(entries: Sequence[Column]) -> list[list[str]]:
    """A header and a row a hyper-parameter, `(searched)` behind those the search chose."""
    rows = [["", *(entry.title for entry in entries)]]
    names = {name: None for entry in entries for name in entry.config}
    for name in names:
        if name in NOT_SHOWN or name == "seed":
            continue
        cells = []
        for entry in entries:
            value = entry.config.get(name, "—")
            text = f"{value:.4g}" if isinstance(value, float) else str(value) or "none"
            searched = entry.chosen_by and name in entry.chosen_by["space"]
            cells.append(f"{text} (searched)" if searched else text)
        rows.append([name, *cells])
    return rows


def notes(chapter: Chapter) -> list[str]:
    """What the scores depend on, for the lines under the table."""
    config = chapter.entries[0].config
    binarized = "" if config.get("binarize", "none") == "none" else ", pixels binarised dynamically"
    seeds = max(len(entry.runs) for entry in chapter.entries)
    once = ", scored once; searches never see the test split" if chapter.split == "test" else ""
    return [
        f"Mean ± standard deviation over training seeds (up to {seeds}), each at its best epoch by "
        f"validation{once}.",
        f"Likelihood {config['likelihood']}{binarized}. Sums over pixels and latent dimensions, "
        "means over images, in nats. ELBO and KL take one draw of z an image; BCE, MSE and PSNR "
        "are of the image decoded from the code's mean. Of grey pixels "
        "the least possible BCE is above 0.",
        "k-NN (k = 5) and linear probe learn from up to 10,000 training codes. Active units: "
        "dimensions whose mean code has a variance above 0.01 (Burda et al. 2016).",
        *provenance(chapter, "images"),
    ]


def provenance(chapter: Selection[C], what: str) -> list[str]:
    """Which data, code and machines the scores come from, and what was left out."""
    runs = [run for entry in chapter.entries for run in entry.runs + entry.failed]
    images, versions = runs[0].about["images"], runs[0].about["versions"]
    commits = sorted({str(run.about.get("commit"))[:9] for run in runs})
    machines = sorted({f"{r.about['hardware']} ({r.about['threads']} threads)" for r in runs})
    counts = ", ".join(f"{n} {status}" for status, n in sorted(chapter.counts.items()))
    return [
        f"Data {chapter.data}: {images['train']} training, {images['val']} validation and "
        f"{images.get('test', 'no')} test {what}, SHA-256 {runs[0].about['data_hash'][:12]}….",
        f"Made at commit {', '.join(commits)} with genbench {versions['genbench']}, torch "
        f"{versions['torch']} on {', '.join(machines)}. Runs in the folder: {counts}.",
        *(f"Left out: {what}." for what in chapter.left_out),
    ]
