"""The palette generator, for pictures with areas of colour and the computing that a laptop has.

It is a compositional pattern-producing network (Stanley 2007): a picture is a function of the
plane, and z gives its weights. Ramps, cones, waves and folds of the coordinates, and a small
pyramid of convolutions for what coordinates cannot say, are composed a pixel at a time, by
convolutions of 1 x 1. The weights of these and of the pyramid depend on z (Karras et al. 2020,
arXiv:1912.04958; Anokhin et al. 2021, arXiv:2011.13775). At the start they are sparse, and a
picture prefers one kind of function: sums of many have wobbling edges. The end is a palette: a few
colours, and for every pixel how much of each, a softmax over masks; then one small convolution that
retouches, and grain of three sizes.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, leaky_relu, normalize

BOTTOM = 4  # pixels along a side of the deepest level
SLOPE = 0.2
COLOURS = 8
RAMPS, CONES, WAVES, FOLDS = 16, 12, 8, 8  # functions of the plane that a picture is composed of
CYCLES = (0.5, 4.0)  # of a wave or fold over a picture, at the start
SHEET = 256  # pixels along a side of the sheet of noise
# Bounds: beyond them lies noise that a generator does not come back from.
FASTEST = 12.0  # cycles of a wave over a picture, along an axis
FARTHEST = 0.2  # a bend of coordinates
SHARPEST = 30.0  # factor on masks
STRONGEST = 0.03  # standard deviation of the finest grain


def double(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear: one depthwise convolution with a fixed kernel."""
    row = 1 - (torch.arange(4, device=x.device, dtype=x.dtype) - 1.5).abs() / 2  # 1/4 3/4 3/4 1/4
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 4, 4)
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)  # by pad(), torch.compile fails
    x = torch.cat([x[..., :1], x, x[..., -1:]], 3)
    return conv_transpose2d(x, kernel, stride=2, padding=3, groups=x.shape[1])


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

    def weights(self, w: Tensor) -> Tensor:
        """w (B, code) -> (B, outputs, inputs)."""
        return self.length * normalize(self.weight * self.scale(w)[:, None], dim=2)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, inputs, H, W), w (B, code) -> (B, outputs, H, W)."""
        return combine(x, self.weights(w), self.bias)


def combine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (B, n, H, W), weight (B, m, n), bias ([B,] m, 1) -> (B, m, H, W)."""
    return torch.baddbmm(bias, weight, x.flatten(2)).unflatten(2, x.shape[2:])


def of_unit_size(x: Tensor) -> Tensor:
    """x (B, C, H, W) with a mean square of 1 in each picture."""
    return x * (x.square().mean((1, 2, 3), keepdim=True) + 1e-4).rsqrt()


class Scale(nn.Module):
    """Each channel times a factor from a code, so that convolutions differ between pictures.

    Were they the same for all codes, all pictures would share one relief.
    """

    def __init__(self, code: int, channels: int):
        super().__init__()
        self.factors = linear(code, channels, 1.0, shift=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, channels, H, W), w (B, code) -> (B, channels, H, W)."""
        return x * self.factors(w)[..., None, None]


class Level(nn.Module):
    """Twice the side, then a residual convolution of 3 x 3, scaled before and behind it."""

    def __init__(self, inputs: int, outputs: int, code: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        nn.init.normal_(self.up.weight, std=math.sqrt(2 / (4 * inputs)))
        nn.init.zeros_(self.up.bias)  # type: ignore[arg-type]
        self.conv = conv(outputs, outputs, math.sqrt(2), kernel=3)
        self.before, self.behind = Scale(code, outputs), Scale(code, outputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, inputs, H, W), w (B, code) -> (B, outputs, 2H, 2W)."""
        x = of_unit_size(self.up(leaky_relu(x, SLOPE)))
        return x + self.behind(self.conv(leaky_relu(self.before(x, w), SLOPE)), w)


class Plane(nn.Module):
    """Functions of the plane of four kinds: places, directions and scales come from a code.

    Ramps rise steadily, cones from a point on; waves and folds, which are triangular waves, repeat.
    The constants give each about unit variance over a picture.
    """

    fixed: Tensor

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
        gain = torch.tensor([1.4] * WAVES + [6.8] * FOLDS)
        shift = torch.tensor([0.0] * WAVES + [-1.7] * FOLDS)
        self.register_buffer("fixed", torch.stack([gain, shift]), persistent=False)

    def forward(self, w: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """w (B, code), coordinates y, x (B, 1, H, W) in about [-1, 1].

        Returns:
            ramps (B, RAMPS, 3), each as factors of y, x and 1; and the n others as
            gain * map + shift, with maps (B, n, H, W), gain and shift (B, n).
        """
        down, right, level = self.ramps(w).chunk(3, dim=1)
        ramps = torch.stack([2 * down, 2 * right, level], dim=2)
        at_y, at_x, steep, height = self.cones(w).chunk(4, dim=1)
        steep = 3 * (1 + steep)
        # (y - a)^2 + (x - b)^2 = (y^2 + x^2) - 2ay - 2bx + a^2 + b^2
        distance = torch.stack([torch.ones_like(at_y), -2 * at_y, -2 * at_x], dim=2)
        away = at_y.square() + at_x.square() + 1e-3
        waves, wave_phase = _turns(self.waves(w))
        folds, fold_phase = _turns(self.folds(w))
        forms = torch.cat([distance, waves, folds], dim=1)
        start = torch.cat([away, wave_phase, fold_phase], dim=1)[..., None]
        plane = torch.cat([y.square() + x.square(), y, x], dim=1)
        squares, turns, folded = combine(plane, forms, start).split([CONES, WAVES, FOLDS], dim=1)
        folded = (folded - folded.floor() - 0.5).abs()
        maps = torch.cat([squares.sqrt(), torch.sin(2 * math.pi * turns), folded], dim=1)
        gain, shift = self.fixed[:, None].expand(-1, len(w), -1)
        gain, shift = torch.cat([steep, gain], 1), torch.cat([height - 0.6 * steep, shift], 1)
        return ramps, maps, gain, shift


def _turns(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (B, 3n): cycles down and to the right over a picture, and phases.

    Returns:
        Factors of (y^2 + x^2), y and x (B, n, 3), and the constants (B, n), in turns.
    """
    down, right, phase = numbers.chunk(3, dim=1)
    down, right = (FASTEST / 2 * torch.tanh(cycles / FASTEST) for cycles in (down, right))
    return torch.stack([torch.zeros_like(down), down, right], dim=2), phase / (2 * math.pi)


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

    kind: Tensor

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
        self.levels = nn.ModuleList(Level(a, b, code) for a, b in itertools.pairwise(counts))
        self.bend = conv(counts[-1], 2, 1.0)
        self.bend_strength = linear(code, 1, 1.0, shift=-5.5)  # logit of a share of the farthest
        self.free_scale = Scale(code, counts[-1])
        self.free = conv(counts[-1], few, 0.02)
        self.plane = Plane(code)
        self.kind_logits = linear(code, 5, 3.0)  # of the four kinds of functions and of `free`
        sizes = [RAMPS, CONES, WAVES, FOLDS, few]
        kind = torch.arange(5).repeat_interleave(torch.tensor(sizes))  # of each function
        self.register_buffer("kind", kind, persistent=False)
        self.first = Modulated(sum(sizes), wide, code, math.sqrt(2))
        self.second = Modulated(wide, wide, code, math.sqrt(2))
        self.masks = Modulated(wide, COLOURS, code)
        self.sharpness = linear(code, 1, 0.5, shift=0.4)  # logit of a share of the sharpest
        self.mix = nn.Conv2d(wide, few, 1)
        self.mix_scale = Scale(code, few)
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
            touch = self.retouch(self.mix_scale(leaky_relu(self.mix(h), SLOPE), w))
            sharpness = SHARPEST * torch.sigmoid(self.sharpness(w))[..., None]
            masks = combine(h, sharpness * self.masks.weights(w), sharpness * self.masks.bias)
            shares = torch.softmax(masks + touch[:, :COLOURS], dim=1)
            painted = torch.bmm(self.palette(w).mT, shares.flatten(2))
            touched = painted.unflatten(2, shares.shape[2:]) + touch[:, COLOURS:]
            return touched + self.grain(w, z, self.size)

    def compose(self, w: Tensor) -> Tensor:
        """Functions of the plane, composed: (B, code) -> (B, 1.5 width, S, S).

        What only scales or adds up is done to the first layer's weights, not to every pixel.
        """
        h = self.start(w).unflatten(1, (-1, BOTTOM, BOTTOM))
        for level in self.levels:
            h = level(h, w)
        h = of_unit_size(leaky_relu(h, SLOPE))
        bend, free = map(double, (torch.tanh(self.bend(h)), self.free(self.free_scale(h, w))))
        bend = FARTHEST * torch.sigmoid(self.bend_strength(w))[..., None, None] * bend
        line = torch.linspace(-1, 1, 2 * self.size + 1, device=w.device)[1::2]  # pixels' middles
        y, x = line[:, None] + bend[:, :1], line + bend[:, 1:]
        ramps, maps, gain, shift = self.plane(w, y, x)
        weight = self.first.weights(w) * self.shares(w)[:, None]
        ramp, others, rest = weight.split([RAMPS, maps.shape[1], free.shape[1]], dim=2)
        ramp = ramp @ ramps  # a sum of ramps is one
        bias = self.first.bias + ramp[:, :, 2:] + others @ shift[..., None]
        weight = torch.cat([ramp[:, :, :2], others * gain[:, None], rest], dim=2)
        h = combine(torch.cat([y, x, maps, free], dim=1), weight, bias)
        h = self.second(leaky_relu(h, SLOPE, inplace=True), w)
        return leaky_relu(h, SLOPE, inplace=True)

    def shares(self, w: Tensor) -> Tensor:
        """w (B, code) -> (B, inputs): how much each function counts, the same for all of a kind."""
        return 2 * torch.softmax(self.kind_logits(w), dim=1)[:, self.kind]
