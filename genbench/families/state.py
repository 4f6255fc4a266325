"""What training changes, and a family's functions over it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from genbench.config import Config
from genbench.losses import Scalars

Shape = tuple[int, int, int]  # (C, H, W) of an image
C = TypeVar("C", bound=Config)


@dataclass
class State(Generic[C]):
    """All that training changes, which a checkpoint owns whole, and what it is trained by."""

    config: C
    modules: nn.ModuleDict
    optimizers: dict[str, torch.optim.Optimizer]
    rng: torch.Generator  # the training noise, apart from torch's global one
    z_shape: tuple[int, ...]  # of one draw from the prior N(0, 1), without the batch
    steps_per_epoch: int
    step: int = 0

    compiled: dict[str, Callable[..., Tensor]] = field(default_factory=dict)

    def net(self, name: str) -> Callable[..., Tensor]:
        """A network: in training as `precision` and `compile` say, but float32 comes out of it."""
        module = self.modules[name]
        if not self.modules.training:
            return module
        net = in_bfloat16(module) if self.config.precision == "bf16" else module
        if self.config.compile != "True":
            return net
        if name not in self.compiled:
            self.compiled[name] = torch.compile(net)
        return self.compiled[name]

    @property
    def epoch(self) -> float:
        """Epochs done, with their fraction."""
        return self.step / self.steps_per_epoch

    @property
    def parameters(self) -> int:
        """How many numbers training changes in the networks."""
        return sum(p.numel() for p in self.modules.parameters() if p.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.modules.parameters()).device

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers only: loads with `weights_only=True`."""
        return {
            "modules": self.modules.state_dict(),
            "optimizers": {k: v.state_dict() for k, v in self.optimizers.items()},
            "generator": self.rng.get_state(),
            "step": self.step,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over everything that `state_dict` gave."""
        self.modules.load_state_dict(saved["modules"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        self.rng.set_state(saved["generator"].cpu())
        self.step = saved["step"]


def in_bfloat16(module: nn.Module) -> Callable[..., Tensor]:
    """The network with its products in bfloat16; its weights and what comes out are float32."""

    def forward(*inputs: Tensor, **more: Tensor | None) -> Tensor:
        with torch.autocast(inputs[0].device.type, torch.bfloat16):
            return module(*inputs, **more).float()

    return forward


@dataclass(frozen=True)
class Steps:
    """A family's functions; the last ones are there if its `can` names them.

    Of a conditional configuration `build` gets the number of classes and each other function
    labels y (B,), as one more argument, the last.

    Where several processes train together, all are given the same batches: see `parallel.split`.

    Images x are (B, C, H, W) in [0, 1]. Codes z of images are (B, D); draws of the prior are
    (B, *state.z_shape), which is (D,) where there are codes of images too.
    """

    build: Callable[..., State]  # config, shape, steps an epoch, device
    train_step: Callable[..., Scalars]  # state, x: one update on it
    eval_step: Callable[..., Scalars]  # state, x, rng: the same scalars of x, and more
    encode: Callable[..., Tensor] | None = None  # state, x -> z (its mean, if it is random)
    decode: Callable[..., Tensor] | None = None  # state, z -> x_hat
    generate: Callable[..., Tensor] | None = None  # state, z drawn from N(0, 1) -> x
    # state, x, noise of N(0, 1) (K, B, *z_shape) -> log p(x, z_k) - log q(z_k|x), (K, B), of the
    # z_k that it makes; the next two may come with it
    log_weights: Callable[..., Tensor] | None = None
    rate: Callable[..., Tensor] | None = None  # state, x -> KL(q(z|x) || p(z)), (B,), nats
    observe: Callable[[Any, Tensor, torch.Generator], Tensor] | None = (
        None  # x -> what p(x|z) is of
    )


def draw_z(state: State, n: int, seed: int) -> Tensor:
    """n draws (n, *z_shape) of the prior N(0, 1): the first ones are the same for any n."""
    return torch.cat(list(z_batches(state, n, seed, n)))


def z_batches(state: State, n: int, seed: int, size: int) -> Iterator[Tensor]:
    """The same, at most `size` at a time: of pictures of noise all at once would be large."""
    rng = torch.Generator(state.device).manual_seed(seed)
    for first in range(0, n, size):
        rows = [
            torch.randn(1, *state.z_shape, generator=rng, device=state.device)
            for _ in range(min(size, n - first))
        ]
        yield torch.cat(rows)
