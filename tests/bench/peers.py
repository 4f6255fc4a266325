"""The same work as people would write it by hand, or have it done by another package."""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.tasks import VAE, painted, task
from genbench.data import Batches, load_data
from genbench.data.digits import read_mini
from genbench.families.ae.nets import make_decoder, make_encoder
from genbench.families.gan.nets import make_discriminator, make_generator
from genbench.families.vae import VAEConfig

EXAMPLES_SAMPLES = 64  # fakes that ignite's example draws after an epoch


def vae_nets(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of the bench's VAE."""
    config = VAEConfig(**VAE | {"seed": seed})
    torch.manual_seed(config.seed)
    net = (config.width, config.depth, config.activation)
    shape = (1, 28, 28)
    encoder = make_encoder(config.arch, shape, 2 * config.latent_dim, *net)
    return encoder, make_decoder(config.arch, shape, config.latent_dim, *net)


def vae_loss(encoder: nn.Module, decoder: nn.Module, x: Tensor) -> Tensor:
    """Negative ELBO, nats an image, mean of the batch x (B, 1, 28, 28)."""
    mu, logvar = encoder(x).chunk(2, 1)
    logits = decoder(mu + torch.randn_like(mu) * (0.5 * logvar).exp())
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return (bce + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()) / len(x)


@task
def bare_vae(epochs: int, seed: int = 0) -> dict[str, Any]:
    """A hand-written loop over tensors: the fastest that one would write without tricks."""
    started = time.perf_counter()
    config = VAEConfig(**VAE)
    data = load_data(config)
    encoder, decoder = vae_nets(seed)
    torch.manual_seed(seed)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=True)
    batches = Batches(data.splits["train"], config.batch_size, seed)
    curve = []
    for _ in range(epochs):
        for x, _ in batches:
            optimizer.zero_grad()
            vae_loss(encoder, decoder, x).backward()
            optimizer.step()
        with torch.inference_mode():
            held_out = Batches(data.splits["val"], 500)
            elbo = -statistics.mean(vae_loss(encoder, decoder, x).item() for x, _ in held_out)
        curve.append((time.perf_counter() - started, elbo))
    return {"seconds": time.perf_counter() - started, "curve": curve}


class Pictures(Dataset[Tensor]):
    """Digits as torchvision's MNIST gives them: a PIL image each, transformed when asked for."""

    def __init__(self, images: np.ndarray):
        from torchvision import transforms

        self.images, self.transform = images, transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[i]))


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Training and validation digits (N, 28, 28) `uint8`, as many as genbench takes."""
    images = read_mini(Path(), "train")[0].reshape(-1, 28, 28)
    n = len(images) // 10
    return images[n:], images[:n]


@task
def ignite_vae(epochs: int) -> dict[str, Any]:
    """Engines of PyTorch-Ignite over DataLoaders with a transform an image, as its VAE example."""
    from ignite.engine import Engine
    from ignite.metrics import Average

    started = time.perf_counter()
    encoder, decoder = vae_nets()
    config = VAEConfig(**VAE)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=config.lr)
    train, val = digits()

    def update(engine: Engine, x: Tensor) -> float:
        optimizer.zero_grad()
        loss = vae_loss(encoder, decoder, x)
        loss.backward()
        optimizer.step()
        return loss.item()

    def judge(engine: Engine, x: Tensor) -> float:
        with torch.no_grad():
            return vae_loss(encoder, decoder, x).item()

    trainer, evaluator = Engine(update), Engine(judge)
    Average().attach(evaluator, "loss")
    loader = DataLoader(Pictures(train), config.batch_size, shuffle=True)
    held_out = DataLoader(Pictures(val), 500)
    for _ in range(epochs):
        trainer.run(loader)
        evaluator.run(held_out)
    return {"seconds": time.perf_counter() - started}


@task
def pythae_vae(epochs: int, folder: str) -> dict[str, Any]:
    """The VAE of pythae 0.1.2 with the same networks, by its BaseTrainer."""
    from beside_pythae import fit, wrapped

    started = time.perf_counter()
    config = VAEConfig(**VAE)
    sides = [torch.from_numpy(side).float().div(255).unsqueeze(1) for side in digits()]
    fit(
        wrapped(*vae_nets(), (1, 28, 28), config.latent_dim),
        *sides,
        folder,
        num_epochs=epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.lr,
    )
    return {"seconds": time.perf_counter() - started}


@task
def ignite_dcgan(epochs: int, pictures: int, width: int, batch_size: int, folder: str) -> dict:
    """A DCGAN over a DataLoader of files, as Ignite's example: losses, fakes, checkpoints."""
    from ignite.engine import Engine, Events
    from ignite.handlers import ModelCheckpoint
    from torchvision import transforms
    from torchvision.datasets import ImageFolder
    from torchvision.utils import save_image

    files = painted(pictures)
    started = time.perf_counter()
    torch.manual_seed(0)
    generator = make_generator("dcgan", 128, 3, 64, width)
    discriminator = make_discriminator("dcgan", 3, 64, width, False)
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for net in (generator, discriminator)
    ]
    change = [transforms.Resize(64), transforms.CenterCrop(64), transforms.ToTensor()]
    change.append(transforms.Normalize((0.5,) * 3, (0.5,) * 3))
    dataset = ImageFolder(str(files), transforms.Compose(change))
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True)
    fixed, bce = torch.randn(EXAMPLES_SAMPLES, 128), F.binary_cross_entropy_with_logits

    def step(engine: Engine, batch: Any) -> dict[str, float]:
        reals, ones = batch[0], torch.ones(len(batch[0]))
        fakes = generator(torch.randn(len(reals), 128))
        optimizers[1].zero_grad()
        d_real, d_fake = discriminator(reals), discriminator(fakes.detach())
        loss_d = bce(d_real, ones) + bce(d_fake, 0 * ones)
        loss_d.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        loss_g = bce(discriminator(fakes), ones)
        loss_g.backward()
        optimizers[0].step()
        return {"loss_d": loss_d.item(), "loss_g": loss_g.item()}

    trainer = Engine(step)
    keep = ModelCheckpoint(folder, "networks", n_saved=2, require_empty=False)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, keep, {"g": generator, "d": discriminator})

    @trainer.on(Events.EPOCH_COMPLETED)
    def draw(engine: Engine) -> None:
        with torch.no_grad():
            grid = generator(fixed)
        save_image(grid, f"{folder}/{engine.state.epoch}.png", normalize=True)

    trainer.run(loader, max_epochs=epochs)
    return {"seconds": time.perf_counter() - started, "images": epochs * len(loader) * batch_size}


@task
def torch_fidelity_scores(pictures: int) -> dict[str, Any]:
    """torch-fidelity's own entry point on two folders of PNG, with the same network."""
    import torch_fidelity

    from genbench.metrics import extractors

    class Lite0(torch_fidelity.FeatureExtractorBase):
        def __init__(self, name: str, layers: list[str], **options: Any):
            super().__init__(name, layers)
            self.network = extractors.Lite0(None)  # as published: nothing is folded

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            both = dict(zip(("features", "logits"), self.network(x), strict=True))
            return tuple(both[layer] for layer in self.features_list)

    torch_fidelity.register_feature_extractor("lite0", Lite0)
    folders = {f"input{i}": str(painted(pictures, i) / "all") for i in (1, 2)}
    started = time.perf_counter()
    scores = torch_fidelity.calculate_metrics(
        **folders,
        feature_extractor="lite0",
        cuda=False,
        fid=True,
        kid=True,
        kid_subset_size=pictures // 2,
        prc=True,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "scores": {k: float(v) for k, v in scores.items()}}


@task
def optuna_alone(trials: int, folder: str) -> dict[str, Any]:
    """The same grid by a study of Optuna in memory, which calls genbench's `train`."""
    import optuna

    from bench.tasks import grid, small
    from genbench.train import train

    def objective(trial: optuna.Trial) -> float:
        latent_dim = trial.suggest_categorical("latent_dim", grid(trials))
        config = small(folder) | {"save": True, "latent_dim": latent_dim}  # as trials are
        return train(VAEConfig(**config))["val/elbo"]

    sampler = optuna.samplers.GridSampler({"latent_dim": grid(trials)}, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    started = time.perf_counter()
    study.optimize(objective, trials)
    return {"seconds": time.perf_counter() - started}
