"""Trainings of all families for some steps, in as many processes as torchrun has started.

    torchrun --nproc_per_node=2 together.py OUT

The first process saves OUT: of each case the scalars of all steps and of an evaluation, and the
weights. All is in float64, so that what differs is not rounding. Of the pretrained network whose
features a GAN learns from, which is slow in float64, only the first blocks are there.
"""

import sys
from typing import Any

import torch

from genbench import parallel
from genbench.families import FAMILIES
from genbench.families.gan.features import LEVELS, load_eyes
from genbench.families.state import State

STEPS, SIDE, CLASSES = 10, 16, 3
PICTURES = {"data": "synthetic-art", "image_size": 16}
SMALL = {"width": 4, "image_size": 16, "latent_dim": 4}
DCGAN = {"arch": "dcgan", "loss": "bce", "r1": 0.3, "r2": 0.3, "penalty_every": 3, "beta1": 0.5}
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {  # family, pictures a batch, configuration
    "ae mlp": ("ae", 6, {"width": 8, "latent_dim": 2}),
    "ae conv, uneven": ("ae", 5, {"width": 16, "latent_dim": 2, "arch": "conv"}),
    "ae conv, one picture": ("ae", 1, {"width": 16, "latent_dim": 2, "arch": "conv"}),
    "ae gaussian": ("ae", 5, {"width": 8, "likelihood": "gaussian", **PICTURES}),
    "vae": ("vae", 6, {"width": 8, "latent_dim": 3, "free_bits": 0.02, "kl_warmup": 2.0}),
    "vae, classes": (
        "vae",
        5,
        {"width": 8, "conditional": True, "importance_samples": 3, "binarize": "dynamic"},
    ),
    "flow": ("flow", 6, {"width": 8, "image_size": 16}),
    "flow, classes, uneven": ("flow", 5, {"width": 8, "image_size": 16, "conditional": True}),
    "gan": ("gan", 6, SMALL),
    "gan, classes, uneven": ("gan", 5, {**SMALL, "conditional": True, "diffaugment": "color"}),
    "dcgan": ("gan", 6, {**SMALL, **DCGAN}),
    "dcgan, uneven": ("gan", 5, {**SMALL, **DCGAN, "loss": "wgan-gp", "d_steps": 2}),
    "r3": (
        "gan",
        6,
        {
            **SMALL,
            **{"loss": "r3", "penalty_every": 2, "ada_target": 0.1},
            "diffaugment": "color,translation,cutout",
        },
    ),
    "hinge, classes": (
        "gan",
        5,
        {**SMALL, "loss": "hinge", "spectral_norm": True, "conditional": True},
    ),
}


def in_float64() -> None:
    """Everything from now on; what is said to be `float` too."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    eyes = load_eyes("cpu", False)
    eyes.blocks = eyes.blocks[: LEVELS[0] + 1]


def built(case: str) -> State:
    """The untrained state of a case."""
    name, _, fields = CASES[case]
    family = FAMILIES[name]
    channels = 1 if name in ("ae", "vae") else 3
    return family.build(family.config(**fields), (channels, SIDE, SIDE), 5, "cpu", CLASSES)


def trained(case: str) -> dict[str, Any]:
    """What becomes of a case."""
    name, n, _ = CASES[case]
    steps, state = FAMILIES[name].steps, built(case)
    state.modules.train()
    noise = torch.Generator().manual_seed(7)
    channels = 1 if name in ("ae", "vae") else 3
    rows = []
    for _ in range(STEPS):
        x = torch.rand(n, channels, SIDE, SIDE, generator=noise)
        y = torch.randint(CLASSES, (n,), generator=noise)
        given = (y,) if state.config.conditional else ()
        rows.append(steps.train_step(state, x, *given))
    state.modules.eval()
    with torch.inference_mode():
        rows.append(steps.eval_step(state, x, noise, *given))
    scalars = [{name: float(value) for name, value in row.items()} for row in rows]
    return {"scalars": scalars, "weights": state.modules.state_dict()}


def all_trained() -> dict[str, dict[str, Any]]:
    """What becomes of all cases."""
    in_float64()
    return {case: trained(case) for case in CASES}


if __name__ == "__main__":
    torch.set_num_threads(1)
    parallel.start("cpu")
    found = all_trained()
    if parallel.rank() == 0:
        torch.save(found, sys.argv[1])
