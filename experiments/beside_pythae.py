"""pythae's VAE with networks of ours: what `make reproduce` and the benchmark train beside ours."""

from typing import Any

from genbench import UserError

import torch  # after genbench, which tells its threads how to wait  # isort: skip
from torch import Tensor, nn


def wrapped(encoder: nn.Module, decoder: nn.Module, shape: tuple[int, ...], codes: int) -> Any:
    """pythae's VAE of these networks, on Bernoulli pixels.

    Args:
        encoder: (B, *shape) -> mu and logvar side by side, (B, 2 * codes).
        decoder: (B, codes) -> logits (B, *shape).
        shape: (C, H, W) of an image.
        codes: Latent dimensions.

    Raises:
        UserError: pythae is not installed.
    """
    try:
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
    except ImportError as error:
        raise UserError(
            f"pythae: not installed ({error}); pip install 'genbench[bench]', or name --rows"
        ) from error

    class Encoder(BaseEncoder):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Any:
            mu, logvar = self.net(x).chunk(2, 1)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    about = VAEConfig(shape, codes, reconstruction_loss="bce")
    return VAE(about, Encoder(encoder), Decoder(decoder))


def fit(vae: Any, train: Tensor, val: Tensor | None, folder: str, **options: Any) -> None:
    """Train by pythae's BaseTrainer, which writes into a folder.

    Args:
        vae: As `wrapped` gave it.
        train: Images (N, C, H, W) in [0, 1].
        val: The same, by which it validates after every pass; None: it does not.
        folder: Where pythae writes.
        options: Of its BaseTrainerConfig.
    """
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    sides = [x if x is None else BaseDataset(x, torch.zeros(len(x))) for x in (train, val)]
    chosen = BaseTrainerConfig(output_dir=folder, per_device_eval_batch_size=500, **options)
    BaseTrainer(vae, *sides, chosen).train()
