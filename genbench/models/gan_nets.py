"""Generators z (B, D) -> x (B, C, S, S) in [-1, 1] and discriminators x -> logits (B,).

S is a power of two, at least 16; `width` scales the channels of both.

dcgan: strided (transposed) convolutions with batch normalisation (Radford et al. 2015,
arXiv:1511.06434).
palette: for pictures with areas of colour, and for the little computing that a laptop has. The
generator is a compositional pattern-producing network (Stanley 2007): a picture is a function of
the plane, and z gives its weights. Ramps, cones, waves and folds of the coordinates, and a small
pyramid of convolutions for what coordinates cannot say, are composed a pixel at a time, by
convolutions of 1 x 1 whose weights depend on z (Karras et al. 2020, arXiv:1912.04958; Anokhin et
al. 2021, arXiv:2011.13775). They start sparse, and a picture prefers one kind of function: sums of
many have wobbling edges. The end is a palette: a few colours, and for every pixel how much of each,
a softmax over masks; then one small convolution that retouches, and grain of three sizes. So it
draws clean, varied shapes before it has learned anything, and learns which. The discriminator is a
plain pyramid, twice as wide. Nothing is normalised: a logit depends on its own picture alone.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, leaky_relu, normalize, pad
from torch.nn.utils.parametrizations import spectral_norm

BOTTOM = 4  # pixels along a side of the deepest level
SLOPE = 0.2
COLOURS = 8
RAMPS, CONES, WAVES, FOLDS = 16, 12, 8, 8  # functions of the plane that a picture is composed of
CYCLES = (0.5, 4.0)  # of a wave or fold over a picture, at the start
LAYERS = 2  # convolutions of 1 x 1 over them
SHEET = 256  # pixels along a side of the sheet of noise
# Bounds, since beyond them lies noise that a generator does not come back from.
FASTEST = 12.0  # cycles of a wave over a picture
FARTHEST = 0.2  # a bend of coordinates
SHARPEST = 30.0  # factor on masks
STRONGEST = 0.03  # standard deviation of the finest grain


def make_generator(arch: str, latent_dim: int, channels: int, size: int, width: int) -> nn.Module:
    """A network (B, latent_dim) -> (B, channels, size, size) in [-1, 1]."""
    make = {"dcgan": _dcgan_generator, "palette": PaletteGenerator}[arch]
    return make(latent_dim, channels, size, width)


def make_discriminator(
    arch: str, channels: int, size: int, width: int, spectral: bool = False
) -> nn.Module:
    """A network (B, channels, size, size) -> (B,); `spectral`: Miyato et al. 2018."""
    make = {"dcgan": _dcgan_discriminator, "palette": _pyramid}[arch]
    net = make(channels, size, width)
    if spectral:
        for module in list(net.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
    return net


def _dcgan_generator(latent_dim: int, channels: int, size: int, width: int) -> nn.Module:
    """width, ..., 8 * width channels at 64 px: from 4 x 4 up, each level doubling the side."""
    levels = int(math.log2(size // BOTTOM))
    counts = [width * 2**level for level in reversed(range(levels))]
    layers: list[nn.Module] = [
        nn.Unflatten(1, (latent_dim, 1, 1)),
        nn.ConvTranspose2d(latent_dim, counts[0], BOTTOM, bias=False),
    ]
    for before, after in itertools.pairwise([*counts, channels]):
        up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        layers += [nn.BatchNorm2d(before), nn.ReLU(), up]
    return _dcgan_init(nn.Sequential(*layers, nn.Tanh()))


def _dcgan_discriminator(channels: int, size: int, width: int) -> nn.Module:
    """The generator's mirror image, with no normalisation behind the first convolution."""
    levels = int(math.log2(size // BOTTOM))
    counts = [width * 2**level for level in range(levels)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *counts]):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
        if before != channels:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(SLOPE))
    last = nn.Conv2d(counts[-1], 1, BOTTOM, bias=False)
    return _dcgan_init(nn.Sequential(*layers, last, nn.Flatten(0)))


def _dcgan_init(net: nn.Module) -> nn.Module:
    """Weights N(0, 0.02), batch normalisation's scale N(1, 0.02)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return net


def double(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear: one depthwise convolution with a fixed kernel."""
    row = x.new_tensor([0.25, 0.75, 0.75, 0.25])
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 4, 4)
    edges = pad(x, (1, 1, 1, 1), mode="replicate")
    return conv_transpose2d(edges, kernel, stride=2, padding=3, groups=x.shape[1])


def _linear(inputs: int, outputs: int, std: float, shift: float = 0.0) -> nn.Linear:
    """Outputs start with this standard deviation, given inputs of 1, around `shift`."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std * inputs**-0.5)
    nn.init.constant_(layer.bias, shift)
    return layer


def _conv(inputs: int, outputs: int, std: float, kernel: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, its outputs as those of `_linear`."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=std * (inputs * kernel**2) ** -0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Modulated(nn.Module):
    """A convolution of 1 x 1 whose weights a code scales, an input channel each.

    Brought back to length 1 an output channel (Karras et al. 2020, eq. 1 and 3). At the start a few
    inputs count: weights are cubes of normal numbers, and codes scale them very differently.
    """

    def __init__(self, inputs: int, outputs: int, code: int):
        super().__init__()
        self.weight = nn.Parameter(normalize(torch.randn(outputs, inputs) ** 3))
        self.bias = nn.Parameter(torch.zeros(outputs, 1))
        self.scale = _linear(code, inputs, 3.0, shift=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, inputs, H, W), w (B, code) -> (B, outputs, H, W)."""
        weight = normalize(self.weight * self.scale(w)[:, None], dim=2)
        return torch.baddbmm(self.bias, weight, x.flatten(2)).unflatten(2, x.shape[2:])


class Plane(nn.Module):
    """Functions of the plane of four kinds: places, directions and scales come from a code.

    Ramps rise steadily, cones from a point on; waves and folds, which are triangular waves, repeat.
    """

    def __init__(self, code: int):
        super().__init__()
        self.ramps = _linear(code, 3 * RAMPS, 1.0)
        nn.init.normal_(self.ramps.bias, std=0.5)
        self.cones = _linear(code, 4 * CONES, 0.7)
        nn.init.normal_(self.cones.bias, std=0.3)
        self.waves, self.folds = nn.Linear(code, 3 * WAVES), nn.Linear(code, 3 * FOLDS)
        for layer in (self.waves, self.folds):
            n = layer.out_features // 3
            cycles = torch.empty(n).uniform_(*map(math.log, CYCLES)).exp()
            angle, phase = torch.rand(2, n) * 2 * math.pi
            std = torch.cat([0.5 * cycles, 0.5 * cycles, torch.full((n,), 2.0)])
            with torch.no_grad():
                layer.bias.copy_(torch.cat([cycles * angle.sin(), cycles * angle.cos(), phase]))
                layer.weight.normal_().mul_(std[:, None] * code**-0.5)

    def forward(self, w: Tensor, y: Tensor, x: Tensor) -> list[Tensor]:
        """w (B, code), coordinates y, x (B, 1, H, W) in about [-1, 1] -> four of (B, n, H, W)."""
        down, right, level = self.ramps(w)[..., None, None].chunk(3, dim=1)
        ramps = 2 * (down * y + right * x) + level
        at_y, at_x, steep, height = self.cones(w)[..., None, None].chunk(4, dim=1)
        distance = torch.sqrt((y - at_y).square() + (x - at_x).square() + 1e-3)
        cones = 3 * (1 + steep) * (distance - 0.6) + height
        waves = 1.4 * torch.sin(2 * math.pi * _turns(self.waves(w), y, x))
        turns = _turns(self.folds(w), y, x)
        folds = 1.7 * (4 * (turns - turns.floor() - 0.5).abs() - 1)
        return [ramps, cones, waves, folds]


def _turns(numbers: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Numbers (B, 3n): cycles down and to the right over a picture, phases -> (B, n, H, W)."""
    down, right, phase = numbers[..., None, None].chunk(3, dim=1)
    down, right = (FASTEST * torch.tanh(cycles / FASTEST) for cycles in (down, right))
    return (down * y + right * x) / 2 + phase / (2 * math.pi)


class Grain(nn.Module):
    """Noise of three sizes, how strong from a code: pieces of one sheet, at places given by z.

    So a picture is a function of z alone (unlike in Karras et al. 2019, arXiv:1812.04948).
    """

    sheet: Tensor

    def __init__(self, code: int):
        super().__init__()
        self.strength = _linear(code, 3, 0.5, shift=-0.5)  # logits of shares of the strongest
        self.register_buffer("sheet", torch.randn(SHEET, SHEET))

    def forward(self, w: Tensor, z: Tensor, size: int) -> Tensor:
        """w (B, code), z (B, D) -> (B, 1, size, size)."""
        fine, middle, coarse = (self.piece(z.roll(-2 * i, 1), size >> i) for i in range(3))
        parts = torch.cat([fine, 2 * double(middle), 3 * double(double(coarse))], dim=1)
        strength = STRONGEST * torch.sigmoid(self.strength(w))[..., None, None]
        return (strength * parts).sum(1, keepdim=True)

    def piece(self, z: Tensor, size: int) -> Tensor:
        """(B, 1, size, size): the sheet from the place on that two numbers of z (B, D) give."""
        place = (z[:, :2] * 1e3 % 1 * SHEET).long()  # their fine digits, as good as random
        rows, columns = (place[:, -i, None] + torch.arange(size, device=z.device) for i in (0, 1))
        return self.sheet[rows[:, :, None] % SHEET, columns[:, None, :] % SHEET][:, None]


class PaletteGenerator(nn.Module):
    """A palette from z, and masks for it composed of functions of the plane."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int):
        super().__init__()
        self.size = size
        code, wide, half = 8 * width, 3 * width // 2, width // 2
        levels = int(math.log2(size // 4 // BOTTOM)) + 1
        counts = [min(2 * (level + 1), 6) * width for level in reversed(range(levels))]
        self.code = nn.Sequential(
            *(_linear(latent_dim, code, math.sqrt(2)), nn.LeakyReLU(SLOPE)),
            *(_linear(code, code, math.sqrt(2)), nn.LeakyReLU(SLOPE)),
        )
        self.start = _linear(code, counts[0] * BOTTOM**2, 1.0)
        self.ups = nn.ModuleList(_up(a, b) for a, b in itertools.pairwise(counts))
        self.blocks = nn.ModuleList(_conv(n, n, math.sqrt(2), kernel=3) for n in counts[1:])
        self.bend = _conv(counts[-1], 2, 1.0)
        self.reach = _linear(code, 1, 1.0, shift=-5.5)  # logit of a share of the farthest bend
        self.free = _conv(counts[-1], half, 0.02)
        self.plane = Plane(code)
        self.kinds = _linear(code, 5, 3.0)  # logits of the kinds' shares
        inputs = [RAMPS + CONES + WAVES + FOLDS + half] + [wide] * LAYERS
        self.layers = nn.ModuleList(Modulated(a, b, code) for a, b in itertools.pairwise(inputs))
        self.masks = Modulated(wide, COLOURS, code)
        self.sharpness = _linear(code, 1, 0.5, shift=0.4)  # logit of a share of the sharpest edge
        self.mix = nn.Conv2d(wide, half, 1)
        self.retouch = _conv(half, COLOURS + channels, 0.05, kernel=3)
        self.palette = nn.Sequential(
            *(_linear(code, code, math.sqrt(2)), nn.LeakyReLU(SLOPE)),
            *(_linear(code, COLOURS * channels, 0.7), nn.Unflatten(1, (COLOURS, channels))),
        )
        self.grain = Grain(code)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) -> (B, C, S, S), about in [-1, 1]."""
        w = self.code(z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8))
        h = self.compose(w)
        touch = self.retouch(leaky_relu(self.mix(h), SLOPE))
        masks = SHARPEST * torch.sigmoid(self.sharpness(w))[..., None, None] * self.masks(h, w)
        shares = torch.softmax(masks + touch[:, :COLOURS], dim=1)
        painted = torch.einsum("bkhw,bkc->bchw", shares, self.palette(w))
        return painted + touch[:, COLOURS:] + self.grain(w, z, self.size)

    def compose(self, w: Tensor) -> Tensor:
        """Functions of the plane, composed: (B, code) -> (B, 1.5 width, S, S)."""
        h = self.start(w).unflatten(1, (-1, BOTTOM, BOTTOM))
        for up, block in zip(self.ups, self.blocks, strict=True):
            h = up(leaky_relu(h, SLOPE))
            h = h + block(leaky_relu(h, SLOPE))
        bend, free = (double(double(conv(leaky_relu(h, SLOPE)))) for conv in (self.bend, self.free))
        bend = FARTHEST * torch.sigmoid(self.reach(w))[..., None, None] * bend
        line = torch.linspace(-1, 1, 2 * self.size + 1, device=w.device)[1::2]  # pixels' middles
        kinds = [*self.plane(w, line[:, None] + bend[:, :1], line + bend[:, 1:]), free]
        shares = 2 * torch.softmax(self.kinds(w), dim=1)[..., None, None]
        h = torch.cat([shares[:, i : i + 1] * kind for i, kind in enumerate(kinds)], dim=1)
        for layer in self.layers:
            h = 1.4 * leaky_relu(layer(h, w), SLOPE)
        return h


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """(B, inputs, H, W) -> (B, outputs, 2H, 2W), made for inputs behind a leaky ReLU."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (4 * inputs)))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _pyramid(channels: int, size: int, width: int) -> nn.Module:
    """2, 4, 8, 12 * width channels from half the side down to 4 x 4, by strided convolutions."""
    levels = int(math.log2(size // BOTTOM))
    counts = [min(2 ** (level + 1), 12) * width for level in range(levels)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *counts]):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    layers += [nn.Conv2d(counts[-1], counts[-1], 3, padding=1), nn.LeakyReLU(SLOPE)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    last = _linear(counts[-1] * BOTTOM**2, 1, 0.1)
    return nn.Sequential(*layers, nn.Flatten(), last, nn.Flatten(0))
