"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114)."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from genbench import UserError
from genbench.config import ART, MEANING, Count, Range
from genbench.families.ae import DENSITY, NATS, RECONSTRUCTION_SCALARS, AEConfig
from genbench.families.family import Family
from genbench.scalars import Scalar


@dataclass(frozen=True)
class VAEConfig(AEConfig):
    """Train a variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114)."""

    model: ClassVar[str] = "vae"

    beta: Annotated[float, Range(0)] = 1.0  # weight of the KL in the loss (Higgins et al. 2017)
    kl_warmup: Annotated[float, Range(0)] = 0.0  # epochs over which beta rises linearly from 0
    free_bits: Annotated[float, Range(0)] = 0.0  # nats of KL a latent dimension has for free
    # pixels drawn as 0 or 1, anew each time (dynamic), or once, of digits (static)
    binarize: Annotated[Literal["none", "dynamic", "static"], MEANING] = "none"
    importance_samples: Count = 1  # draws of z an image; more: trains on the IWAE bound

    def __post_init__(self) -> None:
        """Raise `UserError` also where two fields contradict each other."""
        super().__post_init__()
        if self.binarize != "none" and self.likelihood != "bernoulli":
            raise UserError(
                f"binarize={self.binarize} needs likelihood=bernoulli, not {self.likelihood}"
            )
        if self.binarize == "static" and self.data in ART:
            raise UserError(f"binarize=static: is for digits, not for {self.data}; use dynamic")
        if self.importance_samples > 1 and (self.beta, self.kl_warmup, self.free_bits) != (1, 0, 0):
            raise UserError(
                f"importance_samples={self.importance_samples}: the bound has no separate KL; "
                "leave beta at 1, kl_warmup and free_bits at 0"
            )

    def objective(self, n_val: int) -> tuple[str, str]:
        """The ELBO, whatever beta is."""
        return "elbo", "maximize"


WEIGHTED = (*DENSITY, "beta", "free_bits", "importance_samples")
LOSS = replace(RECONSTRUCTION_SCALARS["loss"], depends=WEIGHTED)
FAMILY = Family(
    config=VAEConfig,
    title="VAE",
    implementation="genbench.families.vae.steps:STEPS",
    can=frozenset({"encode", "decode", "generate", "log_weights"}),
    scalars=RECONSTRUCTION_SCALARS
    | {
        "loss": LOSS,
        "elbo": Scalar(
            title="ELBO",
            unit=NATS,
            better="maximize",
            digits=2,
            depends=(*DENSITY, "conditional"),
        ),
        "kl": Scalar(title="KL", unit=NATS, digits=2),
    },
    small="latent_dim",
    conditional=True,
)
