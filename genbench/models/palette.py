"""The palette generator, for pictures with areas of colour and the computing that a laptop has.

It is a compositional pattern-producing network (Stanley 2007): a picture is a function of the
plane, and z gives its weights. Ramps, cones, waves and folds of the coordinates, and a small
pyramid of convolutions for what coordinates cannot say, are composed a pixel at a time, by
convolutions of 1 x 1 whose weights depend on z (Karras et al. 2020, arXiv:1912.04958; Anokhin et
al. 2021, arXiv:2011.13775). At the start these weights are sparse, and a picture prefers one kind
of function: sums of many have wobbling edges. The end is a palette: a few colours, and for every
pixel how much of each, a softmax over masks; then one small convolution that retouches, and grain
of three sizes. So it draws clean, varied shapes before it has learned anything, and learns which.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, leaky_relu, normalize, pad

BOTTOM = 4  # pixels along a side of the deepest level
SLOPE = 0.2
COLOURS = 8
RAMPS, CONES, WAVES, FOLDS = 16, 12, 8, 8  # functions of the plane that a picture is composed of
CYCLES = (0.5, 4.0)  # of a wave or fold over a picture, at the start
LAYERS = 2  # convolutions of 1 x 1 over them
SHEET = 256  # pixels along a side of the sheet of noise
# Bounds: beyond them lies noise that a generator does not come back from.
FASTEST = 12.0  # cycles of a wave over a picture, along an axis
FARTHEST = 0.2  # a bend of coordinates
SHARPEST = 30.0  # factor on masks
STRONGEST = 0.03  # standard deviation of the finest grain


def double(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear: one depthwise convolution with a fixed kernel."""
    place = torch.arange(4, device=x.device)
    row = torch.where((place > 0) & (place < 3), 0.75, 0.25).to(x.dtype)
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 4, 4)
    edges = pad(x, (1, 1, 1, 1), mode="replicate")
    return conv_transpose2d(edges, kernel, stride=2, padding=3, groups=x.shape[1])


def linear(inputs: int, outputs: int, std: float, shift: float = 0.0) -> nn.Linear:
    """Outputs start with this standard deviation, given inputs of 1, around `shift`."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std * inputs**-0.5)
    nn.init.constant_(layer.bias, shift)
    return layer


def conv(inputs: int, outputs: int, std: float, kernel: int = 1) -> nn.Conv2d:
    """A convolution of odd kernel that keeps the size, its outputs as those of `linear`."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=std * (inputs * kernel**2) ** -0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Modulated(nn.Module):
    """A convolution of 1 x 1; a code scales its weights, by one factor an input channel.

    The weights of an output channel are then brought to one length (Karras et al. 2020, eq. 1 and
    3). At the start few inputs count: weights are cubes of normal numbers, and factors vary much.
    """

    def __init__(self, inputs: int, outputs: int, code: int, length: float = 1.0):
        super().__init__()
        self.length = length
        self.weight = nn.Parameter(normalize(torch.randn(outputs, inputs) ** 3))
        self.bias = nn.Parameter(torch.zeros(outputs, 1))
        self.scale = linear(code, inputs, 3.0, shift=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, inputs, H, W), w (B, code) -> (B, outputs, H, W)."""
        weight = self.length * normalize(self.weight * self.scale(w)[:, None], dim=2)
        return torch.baddbmm(self.bias, weight, x.flatten(2)).unflatten(2, x.shape[2:])


class Plane(nn.Module):
    """Functions of the plane of four kinds: places, directions and scales come from a code.

    Ramps rise steadily, cones from a point on; waves and folds, which are triangular waves, repeat.
    The constants give each about unit variance over a picture.
    """

    def __init__(self, code: int):
        super().__init__()
        self.ramps = linear(code, 3 * RAMPS, 1.0)
        nn.init.normal_(self.ramps.bias, std=0.5)
        self.cones = linear(code, 4 * CONES, 0.7)
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
        self.strength = linear(code, 3, 0.5, shift=-0.5)  # logits of shares of the strongest
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
        down, right = place[:, :1], place[:, -1:]  # of one number the same
        line = torch.arange(size, device=z.device)
        rows, columns = down + line, right + line
        return self.sheet[rows[:, :, None] % SHEET, columns[:, None, :] % SHEET][:, None]


class PaletteGenerator(nn.Module):
    """A palette from z, and masks for it composed of functions of the plane."""

    def __init__(self, latent_dim: int, channels: int, size: int, width: int):
        super().__init__()
        self.size = size
        code, wide, few = 8 * width, 3 * width // 2, width // 2
        levels = int(math.log2(size // BOTTOM))  # from 4 x 4 to half the side
        counts = [min(max(2 * level, 1), 6) * width for level in reversed(range(levels))]
        self.to_code = nn.Sequential(
            linear(latent_dim, code, math.sqrt(2)),
            nn.LeakyReLU(SLOPE),
            linear(code, code, math.sqrt(2)),
            nn.LeakyReLU(SLOPE),
        )
        self.start = linear(code, counts[0] * BOTTOM**2, 1.0)
        self.ups = nn.ModuleList(up_conv(a, b) for a, b in itertools.pairwise(counts))
        self.blocks = nn.ModuleList(conv(n, n, math.sqrt(2), kernel=3) for n in counts[1:])
        self.bend = conv(counts[-1], 2, 1.0)
        self.bend_strength = linear(code, 1, 1.0, shift=-5.5)  # logit of a share of the farthest
        self.free = conv(counts[-1], few, 0.02)
        self.plane = Plane(code)
        self.kind_logits = linear(code, 5, 3.0)  # of the four kinds of functions and of `free`
        inputs = [RAMPS + CONES + WAVES + FOLDS + few] + [wide] * LAYERS
        self.layers = nn.ModuleList(
            Modulated(a, b, code, math.sqrt(2)) for a, b in itertools.pairwise(inputs)
        )
        self.masks = Modulated(wide, COLOURS, code)
        self.sharpness = linear(code, 1, 0.5, shift=0.4)  # logit of a share of the sharpest
        self.mix = nn.Conv2d(wide, few, 1)
        self.retouch = conv(few, COLOURS + channels, 0.05, kernel=3)
        self.palette = nn.Sequential(
            linear(code, code, math.sqrt(2)),
            nn.LeakyReLU(SLOPE),
            linear(code, COLOURS * channels, 0.7),
            nn.Unflatten(1, (COLOURS, channels)),
        )
        self.grain = Grain(code)

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) -> (B, C, S, S), most of it in [-1, 1]."""
        with torch.autocast(z.device.type, enabled=False):  # places need all their digits
            w = self.to_code(z)
            h = self.compose(w)
            touch = self.retouch(leaky_relu(self.mix(h), SLOPE))
            sharpness = SHARPEST * torch.sigmoid(self.sharpness(w))[..., None, None]
            shares = torch.softmax(sharpness * self.masks(h, w) + touch[:, :COLOURS], dim=1)
            painted = torch.bmm(self.palette(w).mT, shares.flatten(2))
            retouched = painted.unflatten(2, shares.shape[2:]) + touch[:, COLOURS:]
            return retouched + self.grain(w, z, self.size)

    def compose(self, w: Tensor) -> Tensor:
        """Functions of the plane, composed: (B, code) -> (B, 1.5 width, S, S)."""
        h = self.start(w).unflatten(1, (-1, BOTTOM, BOTTOM))
        for up, block in zip(self.ups, self.blocks, strict=True):
            h = up(leaky_relu(h, SLOPE))
            h = h + block(leaky_relu(h, SLOPE))
        h = leaky_relu(h, SLOPE)
        bend, free = double(torch.tanh(self.bend(h))), double(self.free(h))
        bend = FARTHEST * torch.sigmoid(self.bend_strength(w))[..., None, None] * bend
        line = torch.linspace(-1, 1, 2 * self.size + 1, device=w.device)[1::2]  # pixels' middles
        kinds = [*self.plane(w, line[:, None] + bend[:, :1], line + bend[:, 1:]), free]
        shares = 2 * torch.softmax(self.kind_logits(w), dim=1)[..., None, None]
        h = torch.cat([shares[:, i : i + 1] * kind for i, kind in enumerate(kinds)], dim=1)
        for layer in self.layers:
            h = leaky_relu(layer(h, w), SLOPE)
        return h


def up_conv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """(B, inputs, H, W) -> (B, outputs, 2H, 2W), made for inputs behind a leaky ReLU."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (4 * inputs)))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
