"""Networks that turn pictures into features, by name. Scores by different ones do not compare.

efficientnet-lite0: ImageNet (Tan & Le 2019, arXiv:1905.11946); needs no network: the default.
lenet-digits: our small classifier of digits (lenet.py), for data like MNIST.
inception-v3-compat, clip-..., dinov2-..., vgg16: torch-fidelity's; weights are downloaded once, or
read from a file (theirs.py).
`FID` is the name of the distance by Inception alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from genbench import UserError, efficientnet
from genbench.console import first_line
from genbench.metrics import dinov2, lenet, theirs
from genbench.metrics.cache import Cache, KeyPart, source_hash
from genbench.metrics.features import Features
from genbench.metrics.theirs import load_theirs, published_clip
from genbench.parallel import split
from genbench.weights import read_tensors

DEFAULT = "efficientnet-lite0"
INCEPTION = "inception-v3-compat"
LENET = "lenet-digits"
BATCH = 64
SMALLEST = 128  # smaller pictures are enlarged: below it the floor drowns what should be seen

Network = Callable[[Tensor], tuple[Tensor, Tensor]]  # pictures -> features (B, D), logits (B, K)


@dataclass(frozen=True)
class Extractor:
    """A network with fixed weights; `weights` is the start of their SHA-256."""

    name: str
    weights: str
    network: Network
    device: str

    @torch.inference_mode()
    def __call__(self, images: Tensor | np.ndarray, title: str = "") -> Features:
        """Features of pictures (N, 1 or 3, H, W) `uint8`; a title shows progress.

        Raises:
            TypeError: The pictures are not `uint8`: floats would be scored without complaint.
        """
        images = torch.as_tensor(images)
        if images.dtype != torch.uint8:
            raise TypeError(f"features are taken of uint8 pictures, not {images.dtype}")
        features, logits = split(partial(self._look, title), images)
        return Features(features.numpy(), logits.numpy())

    def _look(self, title: str, images: Tensor) -> tuple[Tensor, ...]:
        """Features (N, D) and logits (N, K) of pictures (N, 1 or 3, H, W) `uint8`."""
        parts = []
        silent = None if title else True
        bar = tqdm(total=len(images), desc=title, unit="picture", leave=False, disable=silent)
        with bar:
            for batch in images.split(BATCH):
                outputs = self.network(batch.to(self.device).expand(-1, 3, -1, -1))
                parts.append(tuple(part.float().cpu() for part in outputs))
                bar.update(len(batch))
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def cached(self, images: Tensor | np.ndarray, files: Cache, title: str = "") -> Features:
        """The same, read back if the cache has it; the key is the pixels and the weights."""
        images = torch.as_tensor(images)

        def make() -> dict[str, np.ndarray]:
            seen = self(images, title)
            return {"features": seen.features, "logits": seen.logits}

        folded = efficientnet.__file__
        code = source_hash(__file__, folded, lenet.__file__, theirs.__file__, dinov2.__file__)
        key: list[KeyPart] = [self.weights, code, version("torch-fidelity"), self.device]
        return Features(**files.get(f"features-{self.name}", [*key, images.cpu().numpy()], make))


def names() -> tuple[str, ...]:
    """All extractors, ours first."""
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    return (DEFAULT, LENET, *FEATURE_EXTRACTORS_REGISTRY)


@cache
def load_extractor(name: str = DEFAULT, weights: str = "", device: str = "cpu") -> Extractor:
    """An extractor by name, kept for the next call.

    Args:
        name: One of `names()`.
        weights: File with its weights (a state dict); empty: those shipped, else downloaded once.
        device: Where it computes.

    Raises:
        UserError: The name is unknown, or the weights cannot be had, read or used.
    """
    check_extractor(name, weights)
    state = _read_weights(name, weights) if weights else None
    try:
        own: dict[str, Callable[[Any], nn.Module]] = {DEFAULT: Lite0, LENET: lenet.load_lenet}
        net = own.get(name, partial(load_theirs, name, weights))(state)
    except UserError:
        raise
    except Exception as error:  # torch's, the network's and torch-fidelity's, whatever they are
        reason = first_line(error)
        if weights:
            raise UserError(
                f"extractor_weights={weights}: not weights of {name} ({reason})"
            ) from error
        raise UserError(
            f"extractor={name}: its weights cannot be had ({reason}); name a file that you have: "
            f"--extractor={name} --extractor_weights=FILE"
        ) from error
    net.eval().requires_grad_(False).to(device)
    weights_hash = hash_weights(net)
    if isinstance(net, Lite0):
        efficientnet.fold(net.net)
    return Extractor(name, weights_hash, net, device)


def check_extractor(name: str, weights: str = "") -> None:
    """Refuse a name that is unknown, or a file that is not there, before anything is loaded.

    Raises:
        UserError: It is so.
    """
    if name not in names():
        raise UserError(f"extractor={name!r}: unknown; choose one of {', '.join(names())}")
    if weights and not Path(weights).expanduser().is_file():
        raise UserError(f"extractor_weights={weights}: cannot be read (no such file)")


def _read_weights(name: str, path: str) -> dict[str, Tensor]:
    """A state dict from a file that is no program: torch-fidelity would unpickle anything.

    OpenAI's files of CLIP are programs; one that is the published file, to the bit, is taken.
    """
    file = Path(path).expanduser()
    try:
        state = published_clip(name, file) or read_tensors(file)
    except OSError as error:
        raise UserError(f"extractor_weights={path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(
            f"extractor_weights={path}: no file of weights, or damaged ({error})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"extractor_weights={path}: holds no state dict")
    return state


def hash_weights(net: nn.Module) -> str:
    """SHA-256 of a network's weights and buffers: its first 12 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


class Lite0(nn.Module):
    """EfficientNet-Lite0: 1,280 features, pooled over the picture, and 1,000 ImageNet logits."""

    def __init__(self, state: dict[str, Tensor] | None):
        super().__init__()
        self.net = efficientnet.load_lite(0, state).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, H, W) `uint8` -> features (B, 1280), logits (B, 1000)."""
        x = images.float()
        if x.shape[-1] < SMALLEST:
            x = nn.functional.interpolate(x, SMALLEST, mode="bilinear", align_corners=False)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        features = self.net.extract_features(x).mean((2, 3))
        return features, self.net._fc(features)
