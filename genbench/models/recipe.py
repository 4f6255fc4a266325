"""What a family of models gives to the engines: one explicit state and pure steps over it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genbench.losses import Scalars

Shape = tuple[int, int, int]


@dataclass
class State:
    """All that training changes; a checkpoint owns it whole."""

    modules: nn.ModuleDict
    optimizers: dict[str, torch.optim.Optimizer]
    generator: torch.Generator  # the training noise, apart from torch's global one
    steps_per_epoch: int
    step: int = 0

    @property
    def epoch(self) -> float:
        """Epochs done, with their fraction."""
        return self.step / self.steps_per_epoch

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.modules.parameters()).device

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers only: loads with `weights_only=True`."""
        return {
            "modules": self.modules.state_dict(),
            "optimizers": {k: v.state_dict() for k, v in self.optimizers.items()},
            "generator": self.generator.get_state(),
            "step": self.step,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over everything that `state_dict` gave."""
        self.modules.load_state_dict(saved["modules"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        self.generator.set_state(saved["generator"].cpu())
        self.step = saved["step"]


@dataclass(frozen=True)
class Recipe:
    """A model family as functions; None where a family has no such thing.

    Images x are (B, C, H, W) in [0, 1], codes z are (B, D).
    """

    config: type
    build: Callable[[Any, Shape, int, str], State]  # config, shape, steps an epoch, device
    train_step: Callable[[State, Any, Tensor], Scalars]  # one update
    eval_step: Callable[[State, Any, Tensor, torch.Generator], Scalars]  # the same scalars, more
    encode: Callable[[State, Tensor], Tensor] | None = None  # x -> z (its mean, if it is random)
    decode: Callable[[State, Tensor], Tensor] | None = None  # z -> logits
    generate: Callable[[State, Tensor], Tensor] | None = None  # z drawn from N(0, 1) -> x
    # x, K -> log p(x, z_k) - log q(z_k|x), (K, B)
    log_weights: Callable[[State, Any, Tensor, int, torch.Generator], Tensor] | None = None


def draw_z(state: State, config: Any, n: int, seed: int) -> Tensor:
    """n codes (n, latent_dim) of the prior N(0, 1): the first ones are the same for any n."""
    generator = torch.Generator(state.device).manual_seed(seed)
    rows = [
        torch.randn(1, config.latent_dim, generator=generator, device=state.device)
        for _ in range(n)
    ]
    return torch.cat(rows)
