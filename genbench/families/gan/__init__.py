"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661)."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from genbench import UserError
from genbench.config import Count, PictureConfig, Positive, Range
from genbench.families.family import Family
from genbench.scalars import MEASURED, Scalar

AUGMENTATIONS = ("color", "translation", "cutout")


@dataclass(frozen=True)
class GANConfig(PictureConfig):
    """Train a GAN on pictures (Goodfellow et al. 2014, arXiv:1406.2661)."""

    model: ClassVar[str] = "gan"

    lr: Annotated[float, Positive] = 1e-3  # Adam's learning rate, of the generator
    arch: Literal["dcgan", "palette"] = "palette"  # as published in 2015, or for a small budget
    width: Annotated[int, Range(2)] = 16  # scales the channels of both networks
    latent_dim: Count = 128  # numbers in z
    # drift: the discriminator is computed, of what a pretrained network sees, and not trained
    loss: Literal["drift", "bce", "lsgan", "hinge", "wgan-gp", "r3"] = "drift"
    r1: Annotated[float, Range(0)] = 0.3  # weight of the gradient penalty at reals (0: none)
    r2: Annotated[float, Range(0)] = 0.3  # weight of the gradient penalty at fakes (0: none)
    gp: Annotated[float, Range(0)] = 10.0  # wgan-gp: weight of its penalty
    penalty_every: Count = 16  # steps between penalties, each then so many times as heavy
    spectral_norm: bool = False  # of the discriminator's weights
    label_smoothing: Annotated[float, Range(0, 0.5)] = 0.0  # bce: reals' target is 1 minus this
    diffaugment: str = ""  # any of color,translation,cutout, for what the discriminator sees
    ada_target: Annotated[float, Range(0, 1)] = 0.0  # r_t that steers diffaugment (0: always on)
    ema: Annotated[float, Range(0, 1)] = 0.998  # decay of the generator's average (0: none)
    d_steps: Count = 1  # discriminator's steps for one of the generator
    lr_ratio: Annotated[float, Positive] = 1.0  # discriminator's learning rate / generator's
    beta1: Annotated[float, Range(0, 0.999)] = 0.0  # Adam's decay of the gradient's mean
    beta2: Annotated[float, Range(0, 0.9999)] = 0.99  # and of its square

    def __post_init__(self) -> None:
        """Raise `UserError` also for a policy or a pair of fields that cannot be."""
        super().__post_init__()
        for name in self.diffaugment.split(","):
            if self.diffaugment and name not in AUGMENTATIONS:
                choices = ", ".join(AUGMENTATIONS)
                raise UserError(f"diffaugment={self.diffaugment!r}: any of {choices}, by commas")
        if self.ada_target and not self.diffaugment:
            raise UserError(f"ada_target={self.ada_target} steers diffaugment: name its policies")
        if self.label_smoothing and self.loss != "bce":
            raise UserError(f"label_smoothing={self.label_smoothing} needs loss=bce")
        if self.loss == "drift":
            for name in ("ada_target", "spectral_norm", "d_steps"):
                value = getattr(self, name)
                if value != getattr(GANConfig, name):
                    raise UserError(
                        f"{name}={value!r} is of a discriminator that is trained; that of "
                        "loss=drift is computed: name another --loss"
                    )

    @property
    def gains(self) -> frozenset[str]:
        """The network that looks for loss=drift: not those that are trained."""
        return frozenset({"bf16"} if self.loss == "drift" else ())

    def objective(self, n_val: int) -> tuple[str, str]:
        """KID: a GAN's losses say little of its pictures."""
        return self.sample_distance(n_val)


# Radford et al. 2015, section 4, with the loss of Goodfellow et al. 2014. Width and batch are free:
# the published 64 to 512 channels are hopeless in minutes on a CPU.
DCGAN: dict[str, Any] = {
    "arch": "dcgan",
    "loss": "bce",
    "latent_dim": 100,
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "lr_ratio": 1.0,
    "lr_decay": 0.0,
    "d_steps": 1,
    "r1": 0.0,
    "r2": 0.0,
    "ema": 0.0,
    "spectral_norm": False,
    "label_smoothing": 0.0,
    "diffaugment": "",
    "ada_target": 0.0,
}
SCALARS = {
    "loss_d": Scalar(title="Discriminator's loss", depends=("loss", "label_smoothing")),
    "loss_g": Scalar(title="Generator's loss", depends=("loss",)),
    "d_real": Scalar(title="D's probability for real pictures"),
    "d_fake": Scalar(title="D's probability for generated pictures"),
    "logit_real": Scalar(title="D's logit of real pictures"),
    "logit_fake": Scalar(title="D's logit of generated pictures"),
    "accuracy": Scalar(title="D's ROC AUC"),
    "r_t": Scalar(title="Sign of D at real pictures"),
    "js_bound": Scalar(
        title="Jensen-Shannon divergence, lower bound", unit="nats, at most 0.69", digits=3
    ),
    "accuracy_train": Scalar(title="D's ROC AUC on training pictures"),
    "accuracy_ratio": Scalar(title="D's ROC AUC on training / held-out pictures", digits=2),
    "spread": MEASURED["spread"],
    "nearest": MEASURED["nearest"],
    "histogram_kl": Scalar(
        title="KL of the colour histograms", unit="nats a pixel", better="minimize", digits=3
    ),
}
FAMILY = Family(
    config=GANConfig,
    title="GAN",
    implementation="genbench.families.gan.steps:STEPS",
    can=frozenset({"generate"}),
    scalars=SCALARS,
    small="seconds",
    conditional=True,
    baseline=DCGAN,
)
