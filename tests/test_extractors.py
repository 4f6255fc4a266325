import hashlib
import itertools
import json
import sys

import lenet_digits
import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch_fidelity import fidelity as entry_point
from torch_fidelity.feature_extractor_clip import MODEL_METADATA, CLIPVisual
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from genbench import UserError
from genbench.data.digits import read_mini
from genbench.data.synthetic import paint
from genbench.efficientnet import load_lite
from genbench.evaluate.measures import measure
from genbench.metrics import extractors, lenet, theirs
from genbench.metrics.cache import Cache
from genbench.metrics.dinov2 import DinoV2
from genbench.metrics.extractors import DEFAULT, INCEPTION, LENET, load_extractor
from genbench.metrics.features import Features
from genbench.metrics.fidelity import KID_SUBSETS, SEED, frechet_distance
from genbench.metrics.table import chosen

DINO, CLIP = "dinov2-vit-s-14", "clip-vit-b-32"


def pictures(n, seed=0, side=32, channels=3):
    """Noise that is smooth over 8 x 8 pixels."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (n, channels, side // 8, side // 8), dtype=np.uint8)
    return cells.repeat(8, axis=2).repeat(8, axis=3)


def extract(images):
    return load_extractor()(images).features


@pytest.fixture(scope="module")
def seen():
    """Eight pictures and their features."""
    images = pictures(8)
    return images, extract(images)


def test_features_are_the_networks_and_depend_on_the_picture_alone(seen):
    images, found = seen
    assert (found.shape, found.dtype) == ((8, 1280), np.float32)
    np.testing.assert_array_equal(extract(images), found)
    part = extract(torch.from_numpy(images[5:6]))
    np.testing.assert_allclose(part, found[5:6], rtol=1e-3, atol=1e-4)
    spread = np.linalg.norm(found - found.mean(0), axis=1)
    assert spread.min() > 1
    net = load_extractor().network
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_features_are_pooled_of_red_green_and_blue_in_the_networks_own_units():
    """And are those of the network as published: what is folded into others changes nothing."""
    images = pictures(2, side=extractors.SMALLEST)
    x = (torch.from_numpy(images).float() - 127) / 128
    expected = load_lite(0).extract_features(x).mean((2, 3)).numpy()
    found = extract(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(extract(images[:, ::-1].copy()) - found).max() > 0.1


def test_grey_pictures_have_the_features_of_their_three_equal_channels():
    grey = pictures(2, channels=1)
    np.testing.assert_array_equal(extract(grey), extract(grey.repeat(3, axis=1)))


def test_small_pictures_are_enlarged_before(seen):
    images, found = seen
    large = torch.nn.functional.interpolate(
        torch.from_numpy(images[:2]).float(), extractors.SMALLEST, mode="bilinear"
    )
    other = extract(large.round().to(torch.uint8))
    np.testing.assert_allclose(other, found[:2], atol=0.1)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_features_of_other_than_bytes_are_refused(kind):
    with pytest.raises(TypeError, match="uint8 pictures, not torch"):
        extract(pictures(2).astype(kind))


def test_no_pictures_have_no_features():
    assert extract(pictures(2)[:0]).shape == (0, 1280)


def test_class_logits_are_those_of_the_whole_network(seen):
    images, _ = seen
    net = load_lite(0)
    x = torch.nn.functional.interpolate(
        torch.from_numpy(images).float(), extractors.SMALLEST, mode="bilinear"
    )
    with torch.inference_mode():
        expected = net((x - 127) / 128).numpy()
    np.testing.assert_allclose(load_extractor()(images).logits, expected, rtol=1e-3, atol=1e-3)


def test_features_are_read_back_for_the_same_pixels_and_weights_alone(tmp_path):
    calls = []

    def look(x):
        calls.append(len(x))
        return x.float().mean((2, 3)), x[:, :0, 0, 0]

    cache, images = Cache(tmp_path), pictures(5)
    one, other = (extractors.Extractor("e", w, look, "cpu") for w in ("aa", "bb"))
    first = one.cached(images, cache)
    again = one.cached(torch.from_numpy(images), cache)
    np.testing.assert_array_equal(first.features, images.mean((2, 3)).astype(np.float32))
    np.testing.assert_array_equal(first.features, again.features)
    assert again.logits.shape == (5, 0)
    other.cached(images, cache)
    one.cached(images[:4], cache)
    one.cached(images ^ np.uint8(1), cache)
    assert calls == [5, 5, 4, 5]


# --- the same numbers as torch-fidelity's own entry point -----------------------------------------


def registered(name):
    """Our extractor under torch-fidelity's interface."""

    class Ours(torch_fidelity.FeatureExtractorBase):
        def __init__(self, as_name, features_list, **options):
            super().__init__(as_name, features_list)

        @staticmethod
        def get_provided_features_list():
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, x):
            both = dict(zip(("features", "logits"), load_extractor(name).network(x), strict=True))
            return tuple(both[layer] for layer in self.features_list)

    torch_fidelity.register_feature_extractor(f"ours-{name}", Ours)
    return f"ours-{name}"


def write_pngs(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:04d}.png")
    return str(folder)


@pytest.mark.parametrize("name", [DEFAULT, LENET])
def test_scores_are_those_of_torch_fidelitys_command_on_png_folders(
    name, tmp_path, monkeypatch, capsys
):
    fakes, reals = 255 - pictures(60, seed=1) // 2, pictures(60, seed=2)
    folders = write_pngs(tmp_path / "fakes", fakes), write_pngs(tmp_path / "reals", reals)
    options = f"--isc --fid --kid --prc --kid-subset-size 30 --kid-subsets {KID_SUBSETS}"
    options += f" --rng-seed {SEED} --cpu --json --silent --no-cache --save-cpu-ram"
    command = ["fidelity", "--input1", folders[0], "--input2", folders[1], *options.split()]
    monkeypatch.setattr(sys, "argv", [*command, "--feature-extractor", registered(name)])
    entry_point.main()
    theirs = json.loads(capsys.readouterr().out)
    sides = (load_extractor(name)(images) for images in (fakes, reals))
    ours = measure(*sides, chosen("fd,kid,isc,prc"), Cache(None))
    assert ours == {
        "fd": pytest.approx(theirs["frechet_inception_distance"], rel=1e-6),
        "kid": pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6),
        "isc_mean": pytest.approx(theirs["inception_score_mean"], rel=1e-6),
        "precision": pytest.approx(theirs["precision"], rel=1e-6),
        "recall": pytest.approx(theirs["recall"], rel=1e-6),
    }
    assert ours["fd"] > 1
    assert ours["isc_mean"] > 1


# --- what an extractor must see -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["noise", "blur"])
@pytest.mark.parametrize("name", [DEFAULT, LENET])
def test_the_distance_grows_with_every_step_of_noise_and_blur(name, kind):
    clean = paint(80, 64, seed=0) if name == DEFAULT else read_mini(None, "test")[0][:150]
    noises = (0, 5, 15, 60) if name == DEFAULT else (0, 20, 50, 100)
    rng, extractor = np.random.default_rng(0), load_extractor(name)

    def harmed(step):
        x = clean.astype(np.float32)
        if kind == "noise":
            x = x + rng.normal(size=x.shape) * noises[step]
        else:
            k = (1, 3, 5, 9)[step]
            x = torch.nn.functional.avg_pool2d(
                torch.from_numpy(x), k, 1, k // 2, count_include_pad=False
            ).numpy()
        return extractor(np.clip(np.rint(x), 0, 255).astype(np.uint8)).features[:, ::30][:, :42]

    reference = extractor(clean).features[:, ::30][:, :42]  # all would take minutes
    distances = [frechet_distance(harmed(step), reference) for step in range(4)]
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert all(after > 1.2 * before for before, after in itertools.pairwise(distances))


# --- weights --------------------------------------------------------------------------------------


def test_an_unknown_extractor_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"extractor='vgg': unknown; choose one of .*lite0.*vgg16"):
        load_extractor("vgg")


def test_weights_are_named_by_their_content(tmp_path):
    same = load_lite(0).state_dict()
    torch.save(same, tmp_path / "same.pt")
    state = same | {"_fc.bias": same["_fc.bias"] + 1}
    torch.save(state, tmp_path / "other.pt")
    shipped = load_extractor()
    same, other = (load_extractor(DEFAULT, str(tmp_path / f)) for f in ("same.pt", "other.pt"))
    assert shipped.weights == same.weights != other.weights
    images = pictures(2)
    np.testing.assert_allclose(other(images).logits, shipped(images).logits + 1, atol=1e-5)


class Program:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize("name", [DEFAULT, LENET, INCEPTION, DINO, CLIP])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"no weights", "no file of weights, or damaged"),
        (torch.zeros(3), "holds no state dict"),
        ({"layer.weight": torch.zeros(3)}, "not weights of"),
        (Program(), "no file of weights, or damaged"),
    ],
)
def test_files_that_are_no_weights_of_it_are_refused(name, content, message, tmp_path, capsys):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=rf"^extractor_weights=.*weights\.pt: {message}"):
        load_extractor(name, str(path))
    assert capsys.readouterr().out == ""  # a pickled program has not run


def test_without_a_network_inception_is_one_line_with_a_way_out(monkeypatch):
    def refused(*_, **__):
        raise OSError("no route to host")

    theirs = "torch_fidelity.feature_extractor_inceptionv3"
    monkeypatch.setattr(f"{theirs}.load_state_dict_from_url", refused)
    flags = "--extractor=inception-v3-compat --extractor_weights=FILE"
    with pytest.raises(UserError, match=rf"cannot be had \(no route to host\); .*{flags}"):
        load_extractor(INCEPTION)


@pytest.mark.parametrize(
    ("name", "download"),
    [
        (DINO, "torch.hub.load_state_dict_from_url"),
        (CLIP, "torch_fidelity.feature_extractor_clip.load_state_dict_from_url"),
    ],
)
def test_missing_weights_of_transformers_are_one_line_with_a_way_out(monkeypatch, name, download):
    def refused(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(download, refused)
    expected = (
        rf"^extractor={name}: its weights cannot be had \(no route to host\); .*_weights=FILE$"
    )
    with pytest.raises(UserError, match=expected):
        load_extractor(name)


# --- vision transformers --------------------------------------------------------------------------

TINY = (128, 2, 14, 17)  # width, blocks, pixels of a patch, tokens


def random_dinov2(width=128, blocks=2, hidden=160, gated=False):
    """Weights by the names of Meta's file; of a grid of 4 x 4 patches."""
    rng = torch.Generator().manual_seed(0)
    shapes = {
        **{"cls_token": (1, 1, width), "pos_embed": (1, 17, width), "mask_token": (1, width)},
        **{"patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,)},
        **{"norm.weight": (width,), "norm.bias": (width,)},
    }
    first, last = ("w12", "w3") if gated else ("fc1", "fc2")
    wide = 2 * hidden if gated else hidden
    for i in range(blocks):
        linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
        linear |= {f"mlp.{first}": (wide, width), f"mlp.{last}": (width, hidden)}
        for name, shape in linear.items():
            shapes |= {f"blocks.{i}.{name}.weight": shape, f"blocks.{i}.{name}.bias": shape[:1]}
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"blocks.{i}.{name}"] = (width,)
        shapes |= {f"blocks.{i}.ls{k}.gamma": (width,) for k in (1, 2)}
    return {name: 0.2 * torch.randn(shape, generator=rng) for name, shape in shapes.items()}


def by_torchs_layers(state, images):
    """The same by nn.TransformerEncoderLayer, whose last layers take the scales."""
    width = state["cls_token"].shape[-1]
    x = torch.nn.functional.conv2d(
        images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], 14
    )
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x.flatten(2).mT], 1)
    x = x + state["pos_embed"]
    for i in range(2):
        own = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items()}
        layer = torch.nn.TransformerEncoderLayer(
            width, width // 64, 160, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True
        ).eval()
        weights = {"self_attn.in_proj_weight": own["attn.qkv.weight"]}
        weights |= {"self_attn.in_proj_bias": own["attn.qkv.bias"]}
        names = {"self_attn.out_proj": "attn.proj", "linear1": "mlp.fc1", "linear2": "mlp.fc2"}
        names |= {"norm1": "norm1", "norm2": "norm2"}
        for torchs, ours in names.items():
            scale = {"attn.proj": own["ls1.gamma"], "mlp.fc2": own["ls2.gamma"]}.get(ours)
            matrix, bias = own[f"{ours}.weight"], own[f"{ours}.bias"]
            if scale is not None:
                matrix, bias = scale[:, None] * matrix, scale * bias
            weights |= {f"{torchs}.weight": matrix, f"{torchs}.bias": bias}
        layer.load_state_dict(weights)
        x = layer(x)
    return torch.nn.functional.layer_norm(
        x, (width,), state["norm.weight"], state["norm.bias"], 1e-6
    )[:, 0]


def test_dinov2_is_a_transformer_of_torchs_own_layers():
    state, images = random_dinov2(), torch.randn(3, 3, 56, 56)
    with torch.no_grad():
        expected = by_torchs_layers(state, images)
        torch.testing.assert_close(DinoV2(state).eval()(images), expected, rtol=1e-3, atol=1e-3)


def test_dinov2s_largest_network_has_gates_and_all_stretch_their_positions():
    state = random_dinov2(gated=True)
    net = DinoV2(state).eval()
    x = torch.randn(2, 5, 128)
    mlp = "blocks.0.mlp"
    both = x @ state[f"{mlp}.w12.weight"].T + state[f"{mlp}.w12.bias"]
    hidden = torch.nn.functional.silu(both[..., :160]) * both[..., 160:]
    expected = hidden @ state[f"{mlp}.w3.weight"].T + state[f"{mlp}.w3.bias"]
    torch.testing.assert_close(net.blocks[0].mlp(x), expected, rtol=1e-4, atol=1e-4)
    grid = net._positions(4)[0]
    torch.testing.assert_close(grid[:, 1, 2], state["pos_embed"][0, 1 + 4 + 2])
    flat = state | {"pos_embed": torch.ones(1, 17, 128)}
    torch.testing.assert_close(DinoV2(flat)._positions(16), torch.ones(1, 128, 16, 16))


def random_clip():
    """torch-fidelity's own network at a small size, and its weights by the names of OpenAI's."""
    torch.manual_seed(0)
    net = CLIPVisual(24, 56, 2, 128, 14)
    return net, net.state_dict()


def normalised(x, size, mean, std):
    """Bytes as a network of torch-fidelity's sees them."""
    x = interpolate_bilinear_2d_like_tensorflow1x(x.float(), (size, size), align_corners=False)
    mean, std = (255 * torch.tensor(part)[:, None, None] for part in (mean, std))
    return (x - mean) / std


@pytest.mark.parametrize("name", [DINO, CLIP])
def test_transformers_read_their_weights_from_a_file(tmp_path, monkeypatch, name):
    monkeypatch.setitem(theirs.SIZES, name, TINY)
    net, state = random_clip() if name == CLIP else (None, random_dinov2())
    torch.save(state, tmp_path / "weights.pt")
    extractor = load_extractor(name, str(tmp_path / "weights.pt"))
    images = pictures(10)
    found = extractor(images)
    if name == CLIP:
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        net = net.half().float().eval()  # OpenAI's weights are 16 bits wide
        expected = net.visual(normalised(torch.from_numpy(images), 56, mean, std))
    else:
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        net = DinoV2(state).eval()
        expected = net(normalised(torch.from_numpy(images), 224, mean, std))
    np.testing.assert_allclose(found.features, expected.detach().numpy(), rtol=1e-3, atol=1e-3)
    assert (found.features.shape, found.logits.shape) == (
        (10, 24 if name == CLIP else 128),
        (10, 0),
    )
    both = measure(found, found, chosen("fd,isc"), Cache(None))
    assert set(both) == {"fd"}  # without classes


@pytest.mark.parametrize("name", [DINO, CLIP])
def test_weights_of_another_size_than_the_name_says_are_refused(tmp_path, name):
    state = random_clip()[1] if name == CLIP else random_dinov2()
    torch.save(state, tmp_path / "weights.pt")
    expected = (
        rf"not weights of {name} \(width 128, 2 blocks, patches of 14 px, 17 tokens, not width "
    )
    with pytest.raises(UserError, match=expected):
        load_extractor(name, str(tmp_path / "weights.pt"))


def as_program(state):
    """Weights in a TorchScript file, as OpenAI publishes them."""
    whole = torch.nn.Module()
    for name, value in state.items():
        *path, last = name.split(".")
        module = whole
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(last, value)
    return torch.jit.script(whole)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_of_programs_the_published_file_of_a_clip_alone_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(theirs.SIZES, CLIP, TINY)
    _, state = random_clip()
    path = tmp_path / "ViT.pt"
    torch.jit.save(as_program(state), path)
    with pytest.raises(UserError, match=r"ViT\.pt: no file of weights, or damaged"):
        load_extractor(CLIP, str(path))
    known = {"hash": hashlib.sha256(path.read_bytes()).hexdigest(), "filename": "ViT"}
    monkeypatch.setitem(MODEL_METADATA, CLIP, known)
    torch.save(state, tmp_path / "plain.pt")
    images = pictures(2)
    found = [load_extractor(CLIP, str(tmp_path / file)) for file in ("ViT.pt", "plain.pt")]
    assert found[0].weights == found[1].weights
    np.testing.assert_array_equal(*(extractor(images).features for extractor in found))


# --- digits ---------------------------------------------------------------------------------------


def test_the_shipped_classifier_is_as_good_as_it_says():
    net = lenet.load_lenet()
    assert lenet_digits.accuracy(net, *read_mini(None, "test")) == pytest.approx(
        lenet.ACCURACY, abs=1e-3
    )
    assert lenet.ACCURACY > 0.985


def test_a_changed_file_of_the_classifier_is_refused(tmp_path, monkeypatch):
    content = bytearray(lenet.WEIGHTS.read_bytes())
    content[-1] ^= 1
    (tmp_path / "lenet.pt").write_bytes(content)
    monkeypatch.setattr(lenet, "WEIGHTS", tmp_path / "lenet.pt")
    with pytest.raises(UserError, match=r"lenet\.pt: not the file that was shipped"):
        lenet.load_lenet()


def test_digits_are_seen_alike_with_and_without_the_frame_of_a_gans():
    images, _ = read_mini(None, "test")
    framed = np.pad(images[:20], [(0, 0), (0, 0), (2, 2), (2, 2)])
    colour = framed.repeat(3, axis=1)
    plain = load_extractor(LENET)(images[:20])
    assert (plain.features.shape, plain.logits.shape) == ((20, 84), (20, 10))
    for other in (framed, colour):
        np.testing.assert_allclose(
            load_extractor(LENET)(other).features, plain.features, rtol=1e-4, atol=1e-5
        )


def test_the_training_learns_and_is_seeded(monkeypatch):
    monkeypatch.setattr(lenet_digits, "EPOCHS", 4)
    monkeypatch.setattr(lenet_digits, "BATCH", 32)
    images, labels = read_mini(None, "train")
    shown = []
    nets = [
        lenet_digits.train_lenet(images[:600], labels[:600], seed, lambda *row: shown.append(row))
        for seed in (0, 0, 1)
    ]
    assert [epoch for epoch, _ in shown] == [1, 2, 3, 4] * 3
    assert shown[3][1] < shown[0][1]
    hashes = [hashlib.sha256(net.head.weight.detach().numpy().tobytes()).digest() for net in nets]
    assert hashes[0] == hashes[1] != hashes[2]
    assert lenet_digits.accuracy(nets[0], images[600:1000], labels[600:1000]) > 0.7


def test_features_of_some_pictures():
    found = Features(np.arange(6).reshape(3, 2), np.zeros((3, 0)))
    np.testing.assert_array_equal(found[:1].features, [[0, 1]])
    np.testing.assert_array_equal(found[np.array([2, 0])].features, [[4, 5], [0, 1]])
    assert len(found) == 3
