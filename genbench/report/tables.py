"""The report's tables, as rows of text."""

from genbench.report.select import Chapter

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
    rows = [["", *(entry.title for entry in chapter.entries)]]
    rows.append(["Training seeds", *(str(len(entry.runs)) for entry in chapter.entries)])
    for name, title, digits in MEASURES:
        found = [entry.score(name) for entry in chapter.entries]
        if any(found):
            rows.append([title, *(one.show(digits) if one else "—" for one in found)])
    sizes = [f"{entry.runs[0].about['parameters']:,}" for entry in chapter.entries]
    rows.append(["Parameters", *sizes])
    return rows


def hyperparameters(chapter: Chapter) -> list[list[str]]:
    """A header and a row a hyper-parameter, `(searched)` behind those the search chose."""
    rows = [["", *(entry.title for entry in chapter.entries)]]
    names = {name: None for entry in chapter.entries for name in entry.runs[0].config}
    for name in names:
        if name in NOT_SHOWN or name == "seed":
            continue
        cells = []
        for entry in chapter.entries:
            value = entry.runs[0].config.get(name, "—")
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            searched = entry.chosen_by and name in entry.chosen_by["space"]
            cells.append(f"{text} (searched)" if searched else text)
        rows.append([name, *cells])
    return rows


def notes(chapter: Chapter) -> list[str]:
    """What the scores depend on, for the lines under the table."""
    run = chapter.entries[0].runs[0]
    images, config, versions = run.about["images"], run.config, run.about["versions"]
    binarized = "" if config.get("binarize", "none") == "none" else ", pixels binarised dynamically"
    commits = sorted({str(r.about.get("commit"))[:9] for e in chapter.entries for r in e.runs})
    seeds = max(len(entry.runs) for entry in chapter.entries)
    once = ", scored once; searches never see the test split" if chapter.split == "test" else ""
    counts = ", ".join(f"{n} {status}" for status, n in sorted(chapter.counts.items()))
    lines = [
        f"Mean ± standard deviation over training seeds (up to {seeds}), each at its best epoch by "
        f"validation{once}.",
        f"Likelihood {config['likelihood']}{binarized}. Sums over pixels and latent dimensions, "
        "means over images, in nats. ELBO and KL take one draw of z an image; BCE, MSE and PSNR "
        "are of the image decoded from the code's mean. Of grey pixels "
        "the least possible BCE is above 0.",
        "k-NN (k = 5) and linear probe learn from up to 10,000 training codes. Active units: "
        "dimensions whose mean code has a variance above 0.01 (Burda et al. 2016).",
        f"Data {chapter.data}: {images['train']} training, {images['val']} validation and "
        f"{images.get('test', 'no')} test images, SHA-256 {run.about['data_hash'][:12]}….",
        f"Made at commit {', '.join(commits)} with genbench {versions['genbench']}, torch "
        f"{versions['torch']} on {run.about['hardware']} ({run.about['threads']} threads). "
        f"Runs in the folder: {counts}.",
    ]
    return lines + [f"Left out: {what}." for what in chapter.left_out]
