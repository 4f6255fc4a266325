"""Flow matching's steps (Lipman et al. 2023, arXiv:2210.02747).

A picture x_1 and noise x_0 are joined by the straight path x_t = (1 - t) x_0 + t x_1, whose
velocity is x_1 - x_0 (section 4.1, the optimal transport path with sigma_min = 0). The network
learns the mean of that velocity at each x_t; samples follow it from noise at t = 0 to pictures at
t = 1.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genbench.families.ema import update_ema
from genbench.families.flow import FlowConfig
from genbench.families.flow.unet import UNet
from genbench.families.labels import given
from genbench.families.state import Shape, State, Steps
from genbench.losses import Scalars
from genbench.parallel import backward, split

LARGEST_GRADIENT = 1.0  # norm; longer ones are shortened to it

Velocity = Callable[[Tensor, Tensor], Tensor]  # x_t (B, C, H, W), t (B,) -> (B, C, H, W)


def build(
    config: FlowConfig, shape: Shape, steps_per_epoch: int, device: str, classes: int = 0
) -> State[FlowConfig]:
    """A new U-Net, its average and its optimiser, seeded."""
    torch.manual_seed(config.seed)
    channels, size, _ = shape
    network = UNet(channels, size, config.width, classes)
    modules = nn.ModuleDict({"network": network})
    if config.ema:
        modules["ema"] = copy.deepcopy(network).requires_grad_(False)
    modules.to(device)
    modules.to(memory_format=torch.channels_last)
    parameters = modules["network"].parameters()
    optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=device != "mps")
    noise = torch.Generator(device).manual_seed(config.seed)
    return State(config, modules, {"adam": optimizer}, noise, shape, steps_per_epoch)


def matching_loss(velocity: Velocity, x: Tensor, rng: torch.Generator) -> Tensor:
    """The flow-matching loss (eq. 14) of pictures x (B, C, H, W) in [-1, 1]: a mean over pixels.

    Times are spread evenly over [0, 1], one an image, from a random start: the mean over t varies
    less from batch to batch than with independent ones (Kingma et al. 2021, section I.1).
    """
    noise = torch.randn(x.shape, generator=rng, device=x.device)
    start = torch.rand((), generator=rng, device=x.device)
    t = (start + torch.arange(len(x), device=x.device) / len(x)) % 1
    x_t = torch.lerp(noise, x, t.view(-1, 1, 1, 1))
    return (velocity(x_t, t) - (x - noise)).square().mean()


def velocity_of(network: Callable[..., Tensor], y: Tensor | None) -> Velocity:
    """What a network says of pictures with the labels y (B,), where there are classes."""
    return lambda x_t, t: split(network, x_t, t, *given(y))


def train_step(state: State[FlowConfig], x: Tensor, y: Tensor | None = None) -> Scalars:
    """One update on x (B, C, H, W) in [0, 1]."""
    network, optimizer = state.modules["network"], state.optimizers["adam"]
    images = (2 * x - 1).contiguous(memory_format=torch.channels_last)
    loss = matching_loss(velocity_of(state.net("network"), y), images, state.rng)
    optimizer.zero_grad()
    backward(loss, network.parameters())
    norm = nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
    optimizer.step()
    if "ema" in state.modules:
        update_ema(state.modules["ema"], network, state.config.ema, state.step)
    state.step += 1
    return {"loss": loss.detach(), "grad_norm": norm.detach()}


def averaged(state: State[FlowConfig]) -> nn.Module:
    """The network that samples and scores are of: the average, where there is one."""
    return state.modules["ema" if "ema" in state.modules else "network"]


def eval_step(
    state: State[FlowConfig], x: Tensor, rng: torch.Generator, y: Tensor | None = None
) -> Scalars:
    """The same loss of held-out x (B, C, H, W) in [0, 1], of the averaged network."""
    return {"loss": matching_loss(velocity_of(averaged(state), y), 2 * x - 1, rng)}


def generate(state: State[FlowConfig], z: Tensor, y: Tensor | None = None) -> Tensor:
    """Noise z (B, C, H, W) -> x (B, C, H, W) in [0, 1]."""
    x = integrate(
        velocity_of(averaged(state), y), z, state.config.sample_steps, state.config.solver
    )
    return ((x + 1) / 2).clamp(0, 1)


def integrate(velocity: Velocity, x: Tensor, steps: int, solver: str) -> Tensor:
    """Follow a velocity from x at t = 0 to t = 1 in so many equal steps.

    euler: x += h v(x, t). midpoint: x += h v(x + h/2 v(x, t), t + h/2), whose error falls with the
    square of the steps.
    """
    h = 1 / steps
    for k in range(steps):
        t = torch.full((len(x),), k * h, device=x.device)
        slope = velocity(x, t)
        if solver == "midpoint":
            slope = velocity(x + h / 2 * slope, t + h / 2)
        x = x + h * slope
    return x


STEPS = Steps(build, train_step, eval_step, generate=generate)
