"""Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661), any loss of losses.py.

One step updates the discriminator, then the generator through the same fakes, then the generator's
moving average `ema`, which is what samples and scores are drawn from.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from genbench.families.ema import update_ema
from genbench.families.gan import GANConfig
from genbench.families.gan.augment import augment
from genbench.families.gan.memory import Memory, look
from genbench.families.gan.nets import make_discriminator, make_generator
from genbench.families.labels import given
from genbench.families.state import Shape, State, Steps
from genbench.losses import (
    Scalars,
    discriminator_loss,
    gan_scores,
    generator_loss,
    input_gradients,
    js_bound,
)
from genbench.parallel import backward, complete, split

ADA_IMAGES = 20_000  # reals over which the augmentation's probability can rise from 0 to 1
LOOK_EVERY = 4  # steps between two looks at reals once the memory is full of them
EVAL_PIXELS = 2**21  # drawn at once without a gradient: 512 pictures of 64 px


class Augment(nn.Module):
    """The probability `p` of the augmentation: 1, or found by `adapt`."""

    p: Tensor

    def __init__(self, p: float):
        super().__init__()
        self.register_buffer("p", torch.tensor(p))


def build(
    config: GANConfig, shape: Shape, steps_per_epoch: int, device: str, classes: int = 0
) -> State[GANConfig]:
    """New networks and one Adam for each, seeded."""
    torch.manual_seed(config.seed)
    channels, size, _ = shape
    net = (channels, size, config.width)
    generator = make_generator(config.arch, config.latent_dim, *net, classes)
    modules = nn.ModuleDict({"generator": generator})
    if config.loss == "drift":
        modules["memory"] = Memory(device, classes)
    else:
        modules["discriminator"] = make_discriminator(
            config.arch, *net, config.spectral_norm, classes
        )
        modules["augment"] = Augment(0.0 if config.ada_target else 1.0)
    if config.ema:
        modules["ema"] = copy.deepcopy(generator).requires_grad_(False)
    modules.to(device)
    modules.to(memory_format=torch.channels_last)  # up to 1.7 times as fast, measured on a CPU
    betas, fused = (config.beta1, config.beta2), device != "mps"
    rates = {"generator": config.lr, "discriminator": config.lr * config.lr_ratio}
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam(modules[name].parameters(), lr, betas, fused=fused)
        for name, lr in rates.items()
        if name in modules
    }
    noise = torch.Generator(device).manual_seed(config.seed)
    return State(config, modules, optimizers, noise, (config.latent_dim,), steps_per_epoch)


def train_step(state: State[GANConfig], x: Tensor, y: Tensor | None = None) -> Scalars:
    """One update of the discriminator and, every `d_steps` steps, of generator and average.

    The fakes are of the classes y (B,) of x, where there are classes.
    """
    reals = (2 * x - 1).contiguous(memory_format=torch.channels_last)
    z = torch.randn(len(x), state.config.latent_dim, generator=state.rng, device=x.device)
    fakes = split(state.net("generator"), z, *given(y))
    update = drifting_step if state.config.loss == "drift" else adversarial_step
    scalars = update(state, reals, fakes, y)
    state.step += 1
    updates, rest = divmod(state.step, state.config.d_steps)
    if "ema" in state.modules and not rest:
        update_ema(state.modules["ema"], state.modules["generator"], state.config.ema, updates - 1)
    return {name: value.detach() for name, value in scalars.items()}


def drifting_step(
    state: State[GANConfig], reals: Tensor, fakes: Tensor, y: Tensor | None = None
) -> Scalars:
    """One update of the generator through `fakes`, which hold its graph; all are remembered.

    What is seen of reals does not age: once the memory is full of them, they are looked at, and
    judged beside the fakes, more rarely.
    """
    memory = the_memory(state)
    looks = not memory.is_full or state.step % LOOK_EVERY == 0
    see = partial(look, bf16=state.config.precision == "bf16")
    of_fakes = split(see, augmented(state, fakes))
    if looks:
        of_reals = split(see, augmented(state, reals))
        memory.remember(of_reals, False, y)
    scalars = {"grad_norm_g": descend(state, "generator", memory.loss(of_fakes, y))}
    memory.remember(of_fakes, True, y)
    if looks:
        d_real, d_fake = memory.judge(of_reals, y), memory.judge(of_fakes.detach(), y)
        scalars |= verdict(state.config, d_real, d_fake)
    return scalars


def the_memory(state: State[GANConfig]) -> Memory:
    """What stands in for a trained discriminator."""
    memory = state.modules["memory"]
    assert isinstance(memory, Memory)
    return memory


def adversarial_step(
    state: State[GANConfig], reals: Tensor, fakes: Tensor, y: Tensor | None = None
) -> Scalars:
    """One update of the discriminator and, where it is due, of the generator through `fakes`."""
    scalars = discriminator_step(state, reals, fakes.detach(), y)
    if (state.step + 1) % state.config.d_steps == 0:
        scalars |= generator_step(state, reals, fakes, y)
    return scalars


def discriminator_step(
    state: State[GANConfig], reals: Tensor, fakes: Tensor, y: Tensor | None = None
) -> Scalars:
    """One update of the discriminator's weights alone; reals, fakes (B, C, H, W) in [-1, 1]."""
    d_real, d_fake = (discriminate(state, images, y) for images in (reals, fakes))
    loss = discriminator_loss(state.config.loss, d_real, d_fake, state.config.label_smoothing)
    scalars = {"loss_d": loss} | describe(state.config, d_real, d_fake)
    if state.step % state.config.penalty_every == 0:
        penalties = gradient_penalties(state, reals, fakes, y)
        scalars |= penalties
        loss = loss + state.config.penalty_every * sum(penalties.values(), torch.zeros_like(loss))
    scalars["grad_norm_d"] = descend(state, "discriminator", loss)
    if state.config.ada_target:
        adapt(state, scalars["r_t"], len(reals))
        scalars["augment_p"] = state.modules["augment"].get_buffer("p").clone()
    return scalars


def generator_step(
    state: State[GANConfig], reals: Tensor, fakes: Tensor, y: Tensor | None = None
) -> Scalars:
    """One update of the generator's weights alone, through `fakes`, which hold its graph."""
    with frozen(state.modules["discriminator"]):
        d_fake = discriminate(state, fakes, y)
        relative = state.config.loss == "r3"
        d_real = discriminate(state, reals, y) if relative else d_fake.detach()
        loss = generator_loss(state.config.loss, d_fake, d_real)
        return {"loss_g": loss, "grad_norm_g": descend(state, "generator", loss)}


def discriminate(state: State[GANConfig], images: Tensor, y: Tensor | None = None) -> Tensor:
    """Logits (B,) of images (B, C, H, W) in [-1, 1], augmented by the policy."""
    if state.config.loss == "drift":
        return the_memory(state).judge(split(look, images), y)
    return split(state.net("discriminator"), augmented(state, images), *given(y))


def augmented(state: State[GANConfig], images: Tensor) -> Tensor:
    """Images (B, C, H, W) by the policy while training, else as they are."""
    if not state.config.diffaugment or not state.modules.training:
        return images
    p = float(state.modules["augment"].get_buffer("p")) if state.config.ada_target else 1.0
    return augment(images, state.config.diffaugment, p, state.rng)


def gradient_penalties(
    state: State[GANConfig], reals: Tensor, fakes: Tensor, y: Tensor | None = None
) -> dict[str, Tensor]:
    """The configured penalties on the discriminator's gradient by its input, weights included.

    r1, r2: gamma/2 E|grad D|^2 at reals, at fakes (Mescheder et al. 2018, eq. 9 and 10).
    gradient_penalty: gp E(|grad D| - 1)^2 between the two (Gulrajani et al. 2017, eq. 3).
    """

    def norms(images: Tensor) -> Tensor:
        images = images.detach().requires_grad_()
        return complete(input_gradients(discriminate(state, images, y), images))

    penalties = {}
    if state.config.r1:
        penalties["r1_penalty"] = state.config.r1 / 2 * norms(reals).square().mean()
    if state.config.r2:
        penalties["r2_penalty"] = state.config.r2 / 2 * norms(fakes).square().mean()
    if state.config.loss == "wgan-gp":
        mix = torch.rand(len(reals), 1, 1, 1, generator=state.rng, device=reals.device)
        between = norms(torch.lerp(reals, fakes, mix))
        penalties["gradient_penalty"] = state.config.gp * (between - 1).square().mean()
    return penalties


def verdict(config: GANConfig, d_real: Tensor, d_fake: Tensor) -> Scalars:
    """Both losses by the discriminator's logits (B,), and what it thinks (`describe`)."""
    return {
        "loss_d": discriminator_loss(config.loss, d_real, d_fake, config.label_smoothing),
        "loss_g": generator_loss(config.loss, d_fake, d_real),
    } | describe(config, d_real, d_fake)


def describe(config: GANConfig, d_real: Tensor, d_fake: Tensor) -> Scalars:
    """What the discriminator thinks, from its logits (B,).

    d_real, d_fake: mean probabilities (`gan_scores`); logit_real, logit_fake: mean logits.
    accuracy: share of pairs in which the real has the larger logit, whatever the loss: the area
    under the ROC curve, 0.5 by chance.
    r_t: E[sign D(real)], over-fitting's indicator (Karras et al. 2020, arXiv:2006.06676, eq. 1);
    where only differences of logits mean anything, of D(real) - E D(fake).
    js_bound: lower bound on the Jensen-Shannon divergence of reals and fakes, nats (`js_bound`).
    """
    p_real, p_fake = gan_scores(config.loss, d_real, d_fake)
    origin = d_fake.mean() if config.loss in ("wgan-gp", "r3") else 0.5 * (config.loss == "lsgan")
    return {
        "d_real": p_real.mean(),
        "d_fake": p_fake.mean(),
        "logit_real": d_real.mean(),
        "logit_fake": d_fake.mean(),
        "accuracy": (d_real[:, None] > d_fake[None, :]).float().mean(),
        "r_t": torch.sign(d_real - origin).mean(),
        "js_bound": js_bound(d_real, d_fake),
    }


def adapt(state: State[GANConfig], r_t: Tensor, n: int) -> None:
    """Move the augmentation's probability up while r_t is above its target, else down."""
    p = state.modules["augment"].get_buffer("p")
    p.add_(torch.sign(r_t.detach() - state.config.ada_target) * n / ADA_IMAGES).clamp_(0, 1)


def descend(state: State[GANConfig], name: str, loss: Tensor) -> Tensor:
    """One step of a network's optimiser down the gradient of `loss`; the gradient's norm."""
    optimizer = state.optimizers[name]
    optimizer.zero_grad()
    backward(loss, state.modules[name].parameters())
    gradients = [p.grad for p in state.modules[name].parameters() if p.grad is not None]
    optimizer.step()
    return nn.utils.get_total_norm(gradients)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradient for the module's weights inside: a third of its backward pass saved."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def eval_step(
    state: State[GANConfig], x: Tensor, rng: torch.Generator, y: Tensor | None = None
) -> Scalars:
    """Losses and scores of held-out x (B, C, H, W) in [0, 1] against as many fakes, of its classes.

    The fakes are the live generator's: it is what the discriminator knows.
    """
    z = torch.randn(len(x), state.config.latent_dim, generator=rng, device=x.device)
    d_real = discriminate(state, 2 * x - 1, y)
    most = max(1, EVAL_PIXELS // x[0, 0].numel())
    parts = zip(*(each.split(most) for each in (z, *given(y))), strict=True)
    fakes = torch.cat([split(state.modules["generator"], *part) for part in parts])
    return verdict(state.config, d_real, discriminate(state, fakes, y))


def generate(state: State[GANConfig], z: Tensor, y: Tensor | None = None) -> Tensor:
    """z (B, D) -> x (B, C, H, W) in [0, 1], by the averaged generator where there is one."""
    name = "ema" if "ema" in state.modules else "generator"
    return ((state.modules[name](z, *given(y)) + 1) / 2).clamp(0, 1)


STEPS = Steps(build, train_step, eval_step, generate=generate)
