"""Hand-made run folders and studies, as a training and a search leave them."""

import json

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from PIL import Image

from genbench.families.gan import GANConfig
from genbench.files import write_json
from genbench.record import read_runs, read_studies
from genbench.report import make_pages

CONFIG = {
    **{"data": "mnist-mini", "epochs": 4, "likelihood": "bernoulli", "binarize": "none"},
    **{"latent_dim": 8, "lr": 0.001, "seed": 0, "save": True, "runs_dir": "runs"},
}
SCORES = {
    **{"reconstruction": 80.0, "bce": 80.0, "mse": 0.01, "psnr": 20.0},
    **{"knn_accuracy": 0.9, "probe_accuracy": 0.8},
}
ELBO = {"kl": 20.0, "elbo": -100.0, "active_units": 8.0}


GAN_SCORES = {
    **{"val/loss_d": 0.5, "val/kid_lite0_n500": 0.03, "val/fd_lite0_n500": 200.0},
    **{"test/fd_lite0_n1500": 150.0, "test/floor_fd_lite0_n1500": 50.0},
    **{"test/kid_lite0_n1500": 0.02, "test/floor_kid_lite0_n1500": 0.001},
    **{"train/fd_lite0_n1000": 160.0, "train/floor_fd_lite0_n1000": 60.0},
    **{"train/kid_lite0_n1000": 0.021, "train/floor_kid_lite0_n1000": 0.0015},
}
STABILITY = {
    **{"oscillation_d": 0.1, "oscillation_g": 0.5, "saturated_epochs": 0.0, "diverged": False},
    **{"spread": 0.9, "nearest": 0.8, "collapsed": False},
}
FAILURE = {
    "status": "failed",
    "error": "Diverged: train/loss_d is nan at step 50; try a smaller --lr",
}
KIDS = [0.09, 0.08, 0.06, 0.05, 0.03, 0.03]  # of the epochs


def tile(epoch, k, side=16):
    """Sample k after an epoch: its own colour, one pixel apart from all others."""
    picture = np.full((side, side, 3), (10 * epoch, 3 * k, 128), np.uint8)
    picture[2, 3] = 0
    return picture


def grid(tiles):
    """64 pictures as a run saves them: a white pixel around each."""
    side = len(tiles[0]) + 2
    whole = np.full((8 * side, 8 * side, *tiles[0].shape[2:]), 255, np.uint8)
    for k, picture in enumerate(tiles):
        y, x = side * (k // 8) + 1, side * (k % 8) + 1
        whole[y : y + len(picture), x : x + len(picture)] = picture
    return whole


class Records:
    """Writes run folders and studies as a training would."""

    def __init__(self, folder):
        self.folder, self.n = folder, 0

    def pages(self, data=""):
        """The parts of a report on these records, with what its sections say."""
        return make_pages(read_runs(self.folder), read_studies(self.folder), data)

    def part(self, data=""):
        """The first part."""
        return self.pages(data)[0][0]

    def last_part(self):
        """The last part, and its conclusion."""
        part, contents = self.pages()[-1]
        return part, [said for content in contents for said in content.sentences if said]

    def said(self, *texts):
        """The sentences of all conclusions that hold all of these texts."""
        contents = [content for _, contents in self.pages() for content in contents]
        sentences = [said for content in contents for said in content.sentences if said]
        return [said for said in sentences if all(text in said for text in texts)]

    def content(self, heading):
        """The section whose heading begins so."""
        contents = [content for _, contents in self.pages() for content in contents]
        return next(content for content in contents if content.heading.startswith(heading))

    def rows(self, *headings):
        """The tables of these sections as one: row by title."""
        return {row[0]: row[1:] for heading in headings for row in self.content(heading).table}

    def run(self, model, seed=0, split="test", key="k", status="finished", **more):
        self.n += 1
        path = self.folder / f"run-{self.n:03d}"
        path.mkdir(parents=True)
        config = CONFIG | {"seed": seed} | more.pop("config", {})
        base = SCORES | (ELBO if model == "vae" else {}) | more.pop("scores", {})
        found = {f"{part}/{name}": v for part in {"val", split} for name, v in base.items()}
        objective = (
            ("val/elbo", "maximize") if model == "vae" else ("val/reconstruction", "minimize")
        )
        about = {
            **{"id": path.name, "created": f"{self.n:03d}", "model": model, "key": key},
            **{"objective": objective[0], "direction": objective[1], "parameters": 1234},
            **{"data_hash": "abc" * 20, "commit": "f" * 40, "hardware": "cpu", "threads": 2},
            **{
                "images": {"train": 90, "val": 10, "test": 20},
                "versions": {"genbench": "1", "torch": "2"},
            },
        }
        write_json(path / "config.json", about | {"config": config})
        summary = {"status": status, "seconds": 10.0, "best_epoch": 4, "scores": found}
        write_json(path / "summary.json", summary | more)
        rows = [
            {"step": 10 * e, "epoch": e, "split": part, "loss": 100 - e + gap, **base}
            | {"reconstruction": 100 - e + gap, "elbo": -100 + e - gap}
            for e in range(1, 5)
            for part, gap in (("train", 0), ("val", 1.5))
        ]
        timed(rows, config, summary | more)
        (path / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(40, config["latent_dim"])).astype(np.float32)
        np.savez(path / "latents.npz", z=z, labels=np.arange(40) % 10, split=np.array(split))
        image = rng.integers(0, 255, (16, 6, 6), dtype=np.uint8)
        pictures = {
            "originals": image,
            "reconstructions": image,
            "interpolations": np.stack([image[:9]] * 6),
            "manifold": np.stack([image[:15]] * 15),
            "manifold_extent": np.array([-2.0, 2.0, -1.0, 1.0]),
        }
        if model == "vae":
            pictures["samples"] = np.concatenate([image] * 4)
        np.savez(path / "pictures.npz", **pictures)
        return path

    def study(self, model, values, **more):
        space = {
            "lr": FloatDistribution(0.001, 1.0, log=True),
            "latent_dim": IntDistribution(2, 64),
        }
        rng = np.random.default_rng(0)
        trials = [
            {
                "number": 2 * i,  # there are gaps: repeated points of a grid
                "state": "COMPLETE" if value is not None else "FAIL",
                "values": None if value is None else [value],
                "params": {"lr": 0.01 * (i + 1), "latent_dim": int(rng.integers(2, 64))},
                "intermediate": {"1": value} if value else {},
                "defaults": i == 0,
            }
            for i, value in enumerate(values)
        ]
        done = [t for t in trials if t["values"]]
        maximize = model == "vae"
        best = (max if maximize else min)(done, key=lambda t: t["values"][0])["number"]
        record = {
            **{"name": f"{model}-study", "model": model, "data": "mnist-mini", "epochs": 4},
            "objectives": ["val/elbo" if maximize else "val/reconstruction"],
            "directions": ["maximize" if maximize else "minimize"],
            "space": {name: distribution_to_json(d) for name, d in space.items()},
            **{"base": CONFIG, "best": best, "final_key": "k", "trials": trials},
        }
        (self.folder / "studies").mkdir(exist_ok=True)
        write_json(self.folder / "studies" / f"{model}.json", record | more)
        return record

    def gan(self, seed=0, key="g", tested=True, grey=False, kids=KIDS, **more):
        """A GAN's run; `config`, `scores`, `stability`, `images` and summary keys at will."""
        self.n += 1
        path = self.folder / f"run-{self.n:03d}"
        (path / "samples").mkdir(parents=True)
        failed = more.get("status") == "failed"
        config = vars(GANConfig(seed=seed, loss="r3", epochs=len(kids))) | more.pop("config", {})
        about = {
            **{"id": path.name, "created": f"{self.n:03d}", "model": "gan", "key": key},
            **{"objective": "val/kid_lite0_n500", "direction": "minimize", "parameters": 4321},
            **{"data_hash": more.pop("data_hash", "abc" * 20), "commit": "f" * 40},
            **{"hardware": "cpu", "threads": 1, "shape": [3, 16, 16]},
            "images": {"train": 6000, "val": 1500, "test": 1500},
            "versions": {"genbench": "1", "torch": "2"},
        }
        write_json(path / "config.json", about | {"config": config})
        scores = {k: v for k, v in GAN_SCORES.items() if tested or k.startswith("val/")}
        scores |= more.pop("scores", {})
        summary = {
            **{"status": "finished", "seconds": 10.0, "events": more.pop("events", {})},
            "stability": STABILITY | {"diverged": failed} | more.pop("stability", {}),
            **({} if failed else {"best_epoch": len(kids) - 1, "scores": scores}),
        }
        write_json(path / "summary.json", summary | more)
        rows = [row for epoch, kid in enumerate(kids, 1) for row in gan_rows(epoch, kid)]
        timed(rows, config, summary | more)
        if failed:
            rows = [*rows[:-2], rows[-2] | {"loss_d": "NaN"}]
        (path / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
        for epoch in range(1, len(kids) + 1 - failed):
            tiles = [tile(epoch, k) for k in range(64)]
            whole = grid([one[:, :, 0] for one in tiles] if grey else tiles)
            Image.fromarray(whole).save(path / "samples" / f"epoch-{epoch:04d}.png")
        if not failed:
            np.savez(path / "pictures.npz", **gan_pictures(seed, grey))
        return path


def timed(rows, config, summary):
    """Say in rows of training how fast it was: its steps took half of the run's seconds."""
    rate = rows[-1]["step"] * config.get("batch_size", 0) / (summary["seconds"] / 2)
    for row in rows:
        if row["split"] == "train" and rate:
            row["images_per_second"] = rate


def gan_rows(epoch, kid):
    """What a GAN logs in an epoch of 20 steps."""
    scalars = {
        **{"loss_d": 0.6, "loss_g": 0.9, "d_real": 0.7, "d_fake": 0.3, "accuracy": 0.8},
        **{"logit_real": 1.0, "logit_fake": -1.0, "r_t": 0.5, "js_bound": 0.1 + epoch / 100},
    }
    last = {
        **{"accuracy_train": 0.88, "accuracy_ratio": 1.05, "spread": 0.9, "nearest": 0.8},
        **{"histogram_kl": 1 / epoch, "kid_lite0_n500": kid, "fd_lite0_n500": 5000 * kid},
    }
    step = {"step": 20 * epoch, "epoch": epoch}
    yield step | {"split": "train", "grad_norm_d": 1.0, "grad_norm_g": 1.0} | scalars
    yield step | {"split": "val"} | scalars | last


def gan_pictures(seed, grey):
    """What a finished GAN leaves in pictures.npz, of 16 x 16 pixels."""
    rng = np.random.default_rng(seed)
    shapes = {"originals": (64,), "samples": (64,), "neighbours": (8, 4), "interpolations": (6, 9)}
    ends = (16, 16) if grey else (16, 16, 3)
    return {
        name: rng.integers(0, 255, (*shape, *ends), dtype=np.uint8)
        for name, shape in shapes.items()
    }
