"""A model of any family as one object: in training, or trained and loaded from its run."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import UserError
from genbench.classes import Classes
from genbench.config import Config
from genbench.data import Data, count_classes, load_data, steps_per_epoch
from genbench.families import Family, family_of
from genbench.families.family import CODED
from genbench.families.state import Shape, State, Steps, draw_z, z_batches
from genbench.images import to_bytes
from genbench.parallel import split
from genbench.prior import Prior, check_draw, fit_prior, great_circle, straight_lines, truncated

BATCH = 100  # images made at once
FITTED = 10_000  # at most so many training codes tell an autoencoder's prior


class Model:
    """A family with its state, and the data that it is trained on.

    Methods take and give images (N, C, H, W) in [0, 1] and codes (N, D), on the CPU, without
    gradients, from networks in evaluation mode; the networks compute on `model.device`. A model of
    classes wants their labels y (N,) beside images and codes; others ignore them.

    >>> import genbench
    >>> model = genbench.load("runs/RUN")
    >>> pictures = model.sample(64, seed=0)
    """

    def __init__(
        self,
        family: Family,
        state: State,
        shape: Shape,
        data: Data | None = None,
        classes: Mapping[str, int] | None = None,
    ):
        """Of `classes` the training pictures are counted by name; None: it learned no classes."""
        self.family, self.state, self.shape = family, state, shape
        self.classes = Classes(classes or {})
        self.steps: Steps = family.steps
        self.fitted = family.fitted()  # to its codes, to draw from: "", `mixture` or `gaussian`
        self._data = data
        self._priors: dict[str, Prior] = {}

    @classmethod
    def build(cls, config: Config, data: Data, device: str) -> "Model":
        """A new model of a configuration, to be trained on `data`."""
        family = family_of(config)
        per_epoch = steps_per_epoch(len(data.splits["train"]), config)
        classes = count_classes(data) if config.conditional else {}
        state = family.build(config, data.shape, per_epoch, device, len(classes))
        return cls(family, state, data.shape, data, classes)

    @property
    def config(self) -> Any:
        """Its configuration."""
        return self.state.config

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return self.state.device

    @property
    def data(self) -> Data:
        """What it is trained on; of a loaded run it is read now.

        Raises:
            UserError: It is no longer there.
        """
        if self._data is None:
            self._data = load_data(self.config, str(self.device))
        return self._data

    @data.setter
    def data(self, data: Data) -> None:
        self._data = data

    @property
    def sampler(self) -> str:
        """What samples are drawn from: the family, by what is fitted to its codes if that is so."""
        return self.family.sampler(self.fitted)

    def sample(
        self, n: int, seed: int = 0, truncation: float = 0.0, y: Tensor | None = None
    ) -> Tensor:
        """n new images (n, C, H, W); the first ones are the same for any n.

        A family without a prior (an autoencoder), and any whose `fitted` says so, is drawn from by
        a density that is fitted to the codes of its training images (Ghosh et al. 2020,
        arXiv:1903.12436, section 4); its samples as a whole depend on n.

        Args:
            n: How many.
            seed: Of the codes.
            truncation: Codes of N(0, 1) are cut off beyond plus and minus this; 0: they are not.
            y: Labels (n,), of a model of classes; None: as often as in the training split.

        Raises:
            UserError: The family has nothing to draw from, or n or truncation cannot be.
        """
        return torch.cat(list(self._drawn(n, seed, truncation, y)))

    def sample_bytes(
        self, n: int, seed: int = 0, truncation: float = 0.0, y: Tensor | None = None
    ) -> np.ndarray:
        """The same as `uint8`."""
        parts = [to_bytes(part) for part in self._drawn(n, seed, truncation, y)]
        return np.concatenate(parts)

    def _drawn(self, n: int, seed: int, truncation: float, y: Tensor | None) -> Iterator[Tensor]:
        codes, by = self._codes(n, seed, truncation)
        return self._images(codes, by, self.classes.draw(n, seed) if y is None else y)

    def _codes(self, n: int, seed: int, truncation: float) -> tuple[Iterator[Tensor], str]:
        """n codes of the prior or of what stands for it, in batches; which function draws them."""
        check_draw(n, seed, truncation)
        if not self.fitted:
            parts = z_batches(self.state, n, seed, BATCH)
            return (truncated(z, truncation) if truncation else z for z in parts), "generate"
        if truncation:
            raise UserError(
                f"truncation={truncation}: the codes of {self.family.title} have no prior to be "
                "cut off; leave it at 0"
            )
        return iter(torch.from_numpy(self.prior.sample(n, seed)).split(BATCH)), "decode"

    @property
    def prior(self) -> Prior:
        """The density fitted to the codes of training images, once.

        Raises:
            UserError: The family has no codes to fit one to, or the data are no longer there.
        """
        if not self.family.can >= CODED:
            raise UserError(
                f"model {self.family.name}: cannot be drawn from; it has no prior, and does not "
                "both encode and decode, so that one could be fitted to its codes"
            )
        if self.fitted not in self._priors:
            codes, _ = self.codes("train", FITTED)
            self._priors[self.fitted] = fit_prior(codes, self.fitted)
        return self._priors[self.fitted]

    @torch.no_grad()
    def encode(self, x: Tensor | np.ndarray, y: Tensor | None = None) -> Tensor:
        """Codes (N, D) of images x, in [0, 1] or `uint8`; of a random code its mean.

        Raises:
            UserError: The family has no encoder.
            ValueError: The images have another shape than those it was trained on.
        """
        encode = self._able("encode")
        parts = self._with_labels(self._batches(x), y)
        return torch.cat([split(partial(encode, self.state), *part) for part in parts]).cpu()

    def decode(self, z: Tensor | np.ndarray, y: Tensor | None = None) -> Tensor:
        """Images of codes z (N, D).

        Raises:
            UserError: The family has no decoder.
        """
        codes = torch.as_tensor(z, dtype=torch.float32).split(BATCH)
        return torch.cat(list(self._images(iter(codes), "decode", y)))

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Images of draws z (N, *z_shape) from the prior N(0, 1).

        Raises:
            UserError: The family has no prior.
        """
        return torch.cat(list(self._images(iter(z.split(BATCH)), "generate", y)))

    def reconstruct(self, x: Tensor | np.ndarray, y: Tensor | None = None) -> Tensor:
        """x_hat, each image decoded from its own code."""
        return self.decode(self.encode(x, y), y)

    def interpolate(
        self, start: Tensor, end: Tensor, steps: int = 9, y: Tensor | None = None
    ) -> Tensor:
        """Images (N, steps, C, H, W) on straight lines between codes, ends included.

        Args:
            start: (N, D), codes of images.
            end: (N, D).
            steps: Images on a line.
            y: Labels (N,) of the lines.

        Raises:
            UserError: The family has no decoder.
        """
        y = None if y is None else y.repeat_interleave(steps)
        return self.decode(straight_lines(start, end, steps), y).unflatten(0, (len(start), steps))

    def interpolate_samples(
        self,
        n: int,
        seed: int = 0,
        steps: int = 9,
        truncation: float = 0.0,
        y: Tensor | None = None,
    ) -> Tensor:
        """Images (n, steps, C, H, W) on the way from one sample to another, ends included.

        Draws of a prior are joined by great circles (`great_circle`); codes of an autoencoder's
        fitted density by straight lines. A line keeps its class. Arguments and errors are those of
        `sample`.
        """
        y = self.classes.draw(n, seed) if y is None else y
        parts, by = self._codes(2 * n, seed, truncation)
        ends = torch.cat(list(parts))
        if by == "decode":
            return self.interpolate(ends[0::2], ends[1::2], steps, y)
        y = None if y is None else y.repeat_interleave(steps)
        paths = [great_circle(a, b, steps) for a, b in zip(ends[0::2], ends[1::2], strict=True)]
        return self.generate(torch.cat(paths), y).unflatten(0, (n, steps))

    def draw_z(self, n: int, seed: int) -> Tensor:
        """n draws (n, *z_shape) of the prior N(0, 1): the first ones are the same for any n."""
        return draw_z(self.state, n, seed).cpu()

    def codes(self, split: str, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Codes (N, D) `float32` and labels (N,) of a split, of at most so many of it, spread."""
        part = self.data.splits[split]
        part = part if most is None else part.take(part.spread(most))
        chunks = [part.take(slice(i, i + BATCH)) for i in range(0, len(part), BATCH)]
        z = torch.cat([self.encode(chunk.images, chunk.labels) for chunk in chunks])
        return z.numpy(), part.labels.cpu().numpy()

    def given(self, y: Tensor | None) -> tuple[Tensor, ...]:
        """What the family's functions want as their last arguments: labels y (B,), or nothing.

        Raises:
            ValueError: They are missing.
        """
        if not self.config.conditional:
            return ()
        if y is None:
            raise ValueError("a model of classes needs the labels y")
        return (y.to(self.device),)

    def eval_scalars(self, x: Tensor, y: Tensor, seed: int) -> dict[str, float]:
        """The evaluation scalars of one batch."""
        self.state.modules.eval()
        rng = torch.Generator(self.device).manual_seed(seed)
        with torch.no_grad():
            scalars = self.steps.eval_step(self.state, x, rng, *self.given(y))
        return {name: float(value) for name, value in scalars.items()}

    def _able(self, capability: str) -> Any:
        """One of the family's functions, with the networks in evaluation mode."""
        if capability not in self.family.can:
            raise UserError(
                f"model {self.family.name}: cannot {capability}; it can "
                f"{', '.join(sorted(self.family.can))}"
            )
        self.state.modules.eval()
        return getattr(self.steps, capability)

    def _images(self, codes: Iterator[Tensor], by: str, y: Tensor | None) -> Iterator[Tensor]:
        """Images of batches of codes by the family's `decode` or `generate`."""
        draw = self._able(by)
        for part in self._with_labels(codes, y):
            with torch.no_grad():
                images = split(partial(draw, self.state), *part)
            yield images.cpu()

    def _with_labels(
        self, parts: Iterator[Tensor], y: Tensor | None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Batches on the device, each with its labels where the family's functions want them."""
        done = 0
        for part in parts:
            labels = None if y is None else y[done : done + len(part)]
            done += len(part)
            yield part.to(self.device), *self.given(labels)

    def _batches(self, x: Tensor | np.ndarray) -> Iterator[Tensor]:
        x = torch.as_tensor(x)
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"images must be (N, {', '.join(map(str, self.shape))}), not {x.shape}"
            )
        for part in x.split(BATCH):
            images = part.to(self.device)
            yield images.float() / 255 if images.dtype == torch.uint8 else images.float()
