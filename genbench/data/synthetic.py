"""`synthetic-art`: endless abstract paintings, seeded, at any size, for training GANs.

A school paints k pictures at once: coordinates run over [0, 1]^2, frequencies are in cycles a
picture, a parameter has shape (k, 1, 1), that of m elements (m, k, 1, 1). Only the grain's random
numbers depend on `size`, and edges are a pixel wide: a composition is the same at every size.
"""

from collections.abc import Callable

import numpy as np

EACH = 8  # pictures of each school in a chunk
HUES = 6  # swatches on a palette
# Hue offsets in degrees, their scatter, least and greatest chroma; the last two keep their hues.
SCHEMES = [
    ([0, 0, 0, 25, -25, 45], 8, 0.06, 0.19),  # analogous
    ([0, 0, 0, 180, 180, 180], 12, 0.06, 0.19),  # complementary
    ([0, 0, 120, 120, 240, 240], 10, 0.07, 0.19),  # triad
    ([0, 0, 0, 0, 0, 0], 6, 0.02, 0.12),  # monochrome
    ([0, 60, 120, 180, 240, 300], 15, 0.10, 0.19),  # the whole circle
    ([60, 70, 45, 85, 30, 250], 8, 0.02, 0.09),  # earth
    ([29, 29, 100, 100, 262, 262], 5, 0.15, 0.23),  # red, yellow, blue
]
LAB_TO_LMS = np.array([[1, 0.39634, 0.21580], [1, -0.10556, -0.06385], [1, -0.08948, -1.29149]])
LMS_TO_RGB = np.array([[4.077, -3.308, 0.231], [-1.268, 2.61, -0.341], [-0.004, -0.703, 1.708]])


def paint(
    n: int, size: int, seed: int, progress: Callable[[int], object] | None = None
) -> np.ndarray:
    """`n` abstract paintings (n, 3, size, size) uint8, RGB, the schools mixed in equal shares.

    Picture i depends on `seed` (at least 0), i and `size` only: a longer call begins with a shorter
    one's pictures. `progress` is called after each chunk with the number of new pictures.
    """
    pictures = np.empty((n, 3, size, size), np.uint8)
    for chunk, start in enumerate(range(0, n, EACH * len(SCHOOLS))):
        rng, order = _begin(seed, chunk)
        painted = np.empty((len(order), 3, size, size), np.uint8)
        for index, school in enumerate(SCHOOLS.values()):
            easel = _Easel(rng.spawn(1)[0], EACH, size)
            picture = school(easel.rng, EACH, size) + easel.grain()
            painted[order == index] = np.clip(picture, 0, 1) * 255 + 0.5
        pictures[start : start + len(order)] = painted[: n - start]
        if progress:
            progress(min(n - start, len(order)))
    return pictures


def school_of(n: int, seed: int) -> np.ndarray:
    """The index into `SCHOOLS` of each picture of `paint(n, size, seed)`; (n,) int64."""
    chunks = range(1 + n // (EACH * len(SCHOOLS)))
    return np.concatenate([_begin(seed, chunk)[1] for chunk in chunks])[:n]


def _begin(seed: int, chunk: int) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(np.random.SeedSequence((seed, chunk)))
    return rng, rng.permutation(np.repeat(np.arange(len(SCHOOLS), dtype=np.int64), EACH))


class _Easel:
    """k canvases of `size` pixels, their coordinates y (size, 1) and x (1, size), and the dice."""

    def __init__(self, rng: np.random.Generator, k: int, size: int) -> None:
        self.rng, self.k, self.size = rng, k, size
        self.x = ((np.arange(size, dtype=np.float32) + 0.5) / size)[None]
        self.y = self.x.T

    def uniform(self, low: float, high: float, *m: int) -> np.ndarray:
        return self.rng.uniform(low, high, (*m, self.k, 1, 1)).astype(np.float32)

    def log_uniform(self, low: float, high: float, *m: int) -> np.ndarray:
        return np.exp(self.uniform(np.log(low), np.log(high), *m))

    def pick(self, *values: float) -> np.ndarray:
        return self.rng.choice(np.array(values, np.float32), (self.k, 1, 1))

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Coverage of pixels at a signed distance (positive inside) from an edge."""
        return np.clip(distance * self.size + 0.5, 0, 1)

    def waves(self, low: float, high: float, m: int = 8) -> np.ndarray:
        """A smooth field (k, size, size) of unit variance: m plane waves, amplitude 1/frequency."""
        frequency = np.moveaxis(self.log_uniform(low, high, m)[..., 0], 0, 2)
        angle, phase = self.rng.uniform(0, 6.283, (2, self.k, 1, m)).astype(np.float32)
        fy, fx = frequency * np.sin(angle), frequency * np.cos(angle)
        weight = np.sqrt(2 / (frequency**-2).sum(2, keepdims=True)) / frequency
        weight *= np.sinc(fy / self.size) * np.sinc(fx / self.size)  # the mean over a pixel
        a, b = 6.283 * fy * self.y + phase, 6.283 * fx * self.x.T
        rows = np.concatenate([weight * np.sin(a), weight * np.cos(a)], 2)
        columns = np.concatenate([np.cos(b), np.sin(b)], 2)
        return rows @ columns.swapaxes(1, 2)  # sum of weight * sin(a + b)

    def grain(self) -> np.ndarray:
        """What canvas and uneven paint add, (k, 1, size, size)."""
        mottle = self.uniform(0.005, 0.025) * self.waves(3, 24, 12)
        speckle = self.uniform(0, 0.015) * self.rng.standard_normal(mottle.shape, np.float32)
        return (mottle + speckle)[:, None]

    def palette(self, m: int) -> tuple[np.ndarray, np.ndarray]:
        """Canvases (k, 3, size, size) of one colour and m colours (m, k, 3, 1, 1) to go with it."""
        rng, k = self.rng, self.k
        scheme = rng.integers(0, len(SCHEMES), k)
        offsets, scatter, low, high = (np.array(c)[scheme] for c in zip(*SCHEMES, strict=True))
        base = np.where(scheme < len(SCHEMES) - 2, rng.uniform(0, 360, k), 0)
        hue = np.radians(base[:, None] + offsets + rng.normal(0, scatter, (HUES, k)).T)
        chroma = rng.uniform(low, high)[:, None] * rng.uniform(0.5, 1.2, (k, HUES))
        chroma[:, -1] *= rng.choice([0.1, 1], k)  # often one of them is almost grey
        ground = rng.choice(3, k, p=[0.45, 0.3, 0.25])  # light, dark, coloured
        dark = np.array([0.2, 0.38, 0.2])[ground] + rng.uniform(-0.08, 0.15, k)
        light = np.array([0.86, 0.93, 0.93])[ground] + rng.uniform(-0.15, 0.05, k)
        steps = rng.permuted(np.tile(np.arange(HUES), (k, 1)), axis=1) + rng.random((k, HUES))
        lightness = dark[:, None] + (light - dark)[:, None] * steps / HUES
        swatch = np.arange(k), rng.integers(0, HUES, (m, k))
        jitter = 0.1 * rng.normal(0, 1, (2, m, k)) * np.array([0.25, 1])[:, None, None]
        lch = lightness[swatch] + jitter[0], chroma[swatch] * np.exp(jitter[1]), hue[swatch]
        colours = _rgb(*lch)[..., None, None]
        tint = np.array([0.15, 0.3, 0.9])[ground] * chroma[:, 0]
        level = np.array([[0.86, 0.98], [0.1, 0.3], [0.35, 0.8]])[ground].T
        canvas = _rgb(rng.uniform(*level), tint, hue[:, 0])[..., None, None]
        return np.tile(canvas, (self.size, self.size)), colours


def _rgb(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """OKLCH, hue in radians, to RGB on a last axis (Ottosson 2020, A perceptual color space)."""
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], -1)
    linear = np.clip((lab @ LAB_TO_LMS.T) ** 3 @ LMS_TO_RGB.T, 0, 1)
    return (linear ** (1 / 2.2)).astype(np.float32)


def _over(picture: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Paint `colour` over `picture` in place where `cover` (k, size, size) says."""
    picture += cover[:, None] * (colour - picture)


def _turned(angle: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across `angle`."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _lookup(colours: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The colours (m, k, 3, 1, 1) at `index` (k, size, size); (k, 3, size, size)."""
    return np.moveaxis(colours[index, np.arange(len(index))[:, None, None], :, 0, 0], 3, 1)


def fields(rng: np.random.Generator, k: int, size: int) -> np.ndarray:
    """Soft-edged rectangles, stacked, side by side or nested, some with a zip (Rothko, Albers)."""
    easel, m = _Easel(rng, k, size), 5
    picture, colours = easel.palette(m + 1)
    count = easel.pick(1, 2, 2, 3, 3, 4, 5)
    heights = easel.uniform(0.25, 1, m) * (np.arange(m)[:, None, None, None] < count)
    margin, inset = easel.uniform(0.02, 0.13), easel.uniform(-0.02, 0.05, m)
    soft, wobble = easel.log_uniform(0.004, 0.05), easel.uniform(0, 0.015)
    alpha, brushing = easel.uniform(0.75, 1, m), easel.uniform(0, 0.12, m)
    upright, nested, sink = easel.pick(0, 0, 0, 1), easel.pick(0, 0, 1), easel.uniform(-0.05, 0.05)
    zip_at, zip_width = easel.uniform(0.1, 0.9), easel.pick(-1, -1, 1) * easel.uniform(0.004, 0.03)
    v, u = np.where(upright, easel.x, easel.y), np.where(upright, easel.y, easel.x)
    heights /= heights.sum(0)
    for j in range(m):
        middle = margin + (1 - 2 * margin) * (heights[:j].sum(0) + heights[j] / 2)
        ends = (0.5 - margin) * heights[j] - easel.uniform(0, 0.03) - np.abs(v - middle)
        stacked = np.minimum(0.5 - margin - inset[j] - np.abs(u - 0.5), ends)
        centred = np.maximum(np.abs(u - 0.5), np.abs(v - 0.5 - sink * j))
        distance = np.where(nested, (0.5 - margin) * (1 - j / count) - centred, stacked)
        distance += wobble * easel.waves(1, 10)
        cover = np.clip(distance / (soft + 1 / size) + 0.5, 0, 1)
        cover *= alpha[j] * (1 - brushing[j] * (1 + easel.waves(0.7, 9))) * (j < count)
        _over(picture, colours[j], cover)
    _over(picture, colours[m], easel.inside(zip_width - np.abs(u - zip_at)))
    return picture


def grids(rng: np.random.Generator, k: int, size: int) -> np.ndarray:
    """Rectangles cut and cut again, straight or turned, lined or not (Mondrian, Klee)."""
    easel, m, each = _Easel(rng, k, size), 30, np.arange(k)
    picture, colours = easel.palette(m)
    count, evenness = easel.log_uniform(4, m + 1), rng.uniform(0.2, 2.5, k)
    box = np.tile(np.array([[-0.22], [-0.22], [1.22], [1.22]], np.float32), (m, 1, k))
    for j in range(1, m):
        area = (box[:j, 2] - box[:j, 0]) * (box[:j, 3] - box[:j, 1])
        old = (area**evenness * rng.uniform(0.05, 1, (j, k))).argmax(0)
        box[j] = box[old, :, each].T
        width, height = box[j, 2:] - box[j, :2]
        axis = (height > width * rng.uniform(0.6, 1.7, k)).astype(np.int64)
        low, high = box[j, axis, each], box[j, axis + 2, each]
        cut = np.where(j < count[:, 0, 0], low + rng.uniform(0.25, 0.75, k) * (high - low), high)
        box[j, axis, each] = box[old, axis + 2, each] = cut
    line = easel.pick(-0.7 / size, 0.004, 0.008, 0.014)
    filled = easel.uniform(0, 1, m) < easel.pick(0.45, 0.75, 1, 1)
    ground, picture = picture[:, :, :1, :1], picture * easel.pick(0.1, 0.1, 1)[:, None]
    turn, wobble = easel.pick(0, 0, 0, 1) * easel.uniform(-0.8, 0.8), easel.uniform(0, 0.006)
    u, v = _turned(turn, easel.y - 0.5, easel.x - 0.5)
    place = np.stack([u + 0.5 + wobble * easel.waves(1, 6), v + 0.5 + 0 * u], 1)
    for j in range(m):
        low, high = box[j, :2].T[..., None, None], box[j, 2:].T[..., None, None]
        distance = np.minimum(place - low, high - place).min(1) - line
        colour = np.where(filled[j][..., None], colours[j], ground)
        _over(picture, colour, easel.inside(distance) * (j < count))
    return picture


def strokes(rng: np.random.Generator, k: int, size: int) -> np.ndarray:
    """Curved brush strokes with bristles and dry ends, few and wide to many and short (Kline)."""
    easel, m = _Easel(rng, k, size), 44
    picture, colours = easel.palette(m)
    count = easel.log_uniform(6, m)
    scale = easel.uniform(1.2, 2.4) / np.sqrt(count)
    at_y, at_x = easel.uniform(0.6, 1.2) * easel.uniform(-0.5, 0.5, 2, m)
    angle = easel.uniform(0, 3.14) + easel.pick(0.15, 0.5, 1.6) * easel.uniform(-1, 1, m)
    angle += easel.pick(0, 0, 1) * np.arctan2(at_y, at_x)
    length, width = scale * easel.uniform(0.4, 1, m), scale * easel.uniform(0.12, 0.42, m)
    bend = easel.pick(0.1, 0.6) * easel.uniform(-1.2, 1.2, m) / np.maximum(length, 0.15)
    rate, phase = easel.uniform(10, 26, m) / width, easel.uniform(0, 6.3, m)
    seen = np.sinc(np.minimum(rate / 5 / size, 1))  # what a pixel's area leaves of the bristles
    depth, wetness = easel.uniform(0.03, 0.1), easel.uniform(0.5, 2.5, m)
    for j in range(m):
        u, v = _turned(angle[j], easel.y - 0.5 - at_y[j], easel.x - 0.5 - at_x[j])
        v += bend[j] * u * u
        hair = seen[j] * (np.sin(rate[j] * v + phase[j]) + np.sin(1.7 * rate[j] * v + 9 * u))
        ends = length[j] / 2 * (1 + 0.06 * hair) - np.abs(u)
        cover = easel.inside(np.minimum(ends, width[j] / 2 - np.abs(v))) * (j < count)
        cover *= np.clip(wetness[j] + 0.5 * hair - 2 * u / length[j], 0, 0.95)
        _over(picture, colours[j] + (depth * hair)[:, None], cover)
    return picture


def flows(rng: np.random.Generator, k: int, size: int) -> np.ndarray:
    """Bands along a warped phase: marbling, waves, op art (Riley, Louis)."""
    easel, m = _Easel(rng, k, size), 7
    _, colours = easel.palette(m)
    centre_y, centre_x = easel.uniform(-0.3, 1.3, 2)
    y, x = easel.y - centre_y, easel.x - centre_x
    place = np.where(easel.pick(0, 0, 1), np.hypot(y, x), _turned(easel.uniform(0, 3.14), y, x)[0])
    place += easel.uniform(0.02, 0.22) * easel.waves(0.6, 2.5) + 0.015 * easel.waves(2, 6)
    phase = easel.log_uniform(2.5, 20) * (place + 3)
    blur = np.maximum(np.hypot(*np.gradient(phase, axis=(1, 2))), easel.pick(1e-4, 1e-4, 0.25, 1))
    band, period = np.floor(phase).astype(np.int32), rng.integers(2, m + 1, (k, 1, 1))
    step = np.clip((phase % 1 - 0.5) / blur + 0.5, 0, 1)
    picture = _lookup(colours, band % period)
    _over(picture, _lookup(colours, (band + 1) % period), step)
    return picture + (easel.uniform(0, 0.06) * easel.waves(0.5, 8))[:, None]


def shapes(rng: np.random.Generator, k: int, size: int) -> np.ndarray:
    """Overlapping discs, rings, bars, triangles and half discs (Malevich, Kandinsky)."""
    easel, m = _Easel(rng, k, size), 18
    picture, colours = easel.palette(m)
    count = easel.log_uniform(4, m + 1)
    radius = easel.uniform(0.4, 0.8) * easel.log_uniform(0.3, 1.8, m) / np.sqrt(count)
    at_y, at_x = easel.uniform(0.05, 0.95, 2, m)
    angle = easel.uniform(0, 6.3) + easel.pick(0, 0.3, 3.1) * easel.uniform(-1, 1, m)
    kind = rng.integers(0, 5, (m, k, 1, 1))
    kind = np.where(easel.uniform(0, 1, m) < 0.45, kind[0], kind)
    slim, alpha = easel.uniform(0.08, 0.9, m), easel.pick(0.6, 0.85, 1) * easel.uniform(0.85, 1, m)
    for j in range(m):
        u, v = _turned(angle[j], easel.y - at_y[j], easel.x - at_x[j])
        r, thin, beside = radius[j], slim[j] * radius[j], np.abs(v)
        disc = r - np.sqrt(u * u + v * v)
        ring = np.minimum(disc, 0.15 * r + 0.6 * thin - disc)
        bar = np.minimum(1.3 * r - thin / 2 - np.abs(u), thin - beside)
        triangle = np.minimum(0.6 * r + u, 0.6 * r - 0.5 * u - 0.866 * beside)
        distance = np.choose(kind[j], [disc, ring, bar, triangle, np.minimum(disc, v)])
        _over(picture, colours[j], easel.inside(distance) * alpha[j] * (j < count))
    return picture


def glass(rng: np.random.Generator, k: int, size: int) -> np.ndarray:
    """Cells around scattered points, straight or wavy, leaded or not (stained glass, mosaic)."""
    easel, m, each = _Easel(rng, k, size), 32, np.arange(k)[:, None, None]
    picture, colours = easel.palette(m)
    ground = picture[:, :, :1, :1] * easel.pick(0.1, 0.1, 1)[:, None]
    wobble = easel.pick(0, 0, 0.04)
    y, x = easel.y + wobble * easel.waves(1, 5), easel.x + wobble * easel.waves(1, 5)
    site_y, site_x = easel.uniform(-0.1, 1.1, 2, m)
    site_y[np.arange(m)[:, None, None, None] >= easel.log_uniform(6, m + 1)] = 9
    distance = np.square(y - site_y) + np.square(x - site_x)
    owner = np.argpartition(distance, 1, 0)[:2]
    near, far = np.take_along_axis(distance, owner, 0)
    apart = np.hypot(*(np.subtract(*at[owner, each, 0, 0]) for at in (site_y, site_x)))
    border = (far - near) / (2 * apart)
    picture = _lookup(colours, owner[0])
    _over(picture, _lookup(colours, owner[1]), np.clip(0.5 - border * size, 0, 0.5))
    picture *= (1 - np.minimum(easel.pick(0, 1, 2) * np.sqrt(near), 0.7))[:, None]
    _over(picture, ground, easel.inside(easel.pick(-1, 0.006, 0.01, 0.015) - border))
    return picture


SCHOOLS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    school.__name__: school for school in (fields, grids, strokes, flows, shapes, glass)
}
