import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench.metrics import METRICS, ScoreName

WORDS = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z]{1,4})?", fullmatch=True)
EXTRACTORS = st.sampled_from(["lite0", "lenet", "inception", "clip_rn50", "dinov2_vit_b_14"])
SPLITS = st.sampled_from(["", "train", "val", "test"])
SAMPLE_SCORES = st.builds(
    ScoreName,
    st.sampled_from(sorted(METRICS)),
    SPLITS,
    st.booleans(),
    EXTRACTORS,
    st.integers(1, 10**6),
)
LIKELIHOODS = st.builds(
    ScoreName,
    st.sampled_from(["nll", "elbo", "elbo_gap", "rate"]),
    SPLITS,
    n=st.integers(1, 10**4),
    draws=st.integers(1, 10**5),
)
SCALARS = st.builds(ScoreName, WORDS, SPLITS)


@given(st.one_of(SAMPLE_SCORES, LIKELIHOODS, SCALARS))
def test_a_name_is_read_back_as_it_was_written(name):
    assert ScoreName.parse(str(name)) == name


@given(st.text("abcfdinkt_/0123456789.", max_size=30))
def test_whatever_is_read_is_written_alike(text):
    assert str(ScoreName.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [
        (
            "test/floor_kid_lite0_n1500",
            ScoreName("kid", "test", True, "lite0", 1500),
            "KID (lite0, N = 1500)",
        ),
        (
            "fid_inception_n50",
            ScoreName("fd", "", False, "inception", 50),
            "FID (inception, N = 50)",
        ),
        (
            "fd_infinity_lite0_n9",
            ScoreName("fd_infinity", "", False, "lite0", 9),
            "Fréchet distance at infinite N (lite0, N = 9)",
        ),
        ("test/nll_is5000_n500", ScoreName("nll", "test", n=500, draws=5000), "nll"),
        ("val/loss_d", ScoreName("loss_d", "val"), "loss_d"),
        ("fid_lite0_n5", ScoreName("fid_lite0_n5"), "fid_lite0_n5"),  # FID is by Inception
        ("samples/epoch", ScoreName("samples/epoch"), "samples/epoch"),
    ],
)
def test_names_say_what_a_score_depends_on(text, name, title):
    assert ScoreName.parse(text) == name
    assert str(name) == text
    assert name.title == title


def test_the_floor_is_the_same_score_of_real_pictures():
    name = ScoreName.parse("test/kid_lite0_n10")
    assert str(name.as_floor) == "test/floor_kid_lite0_n10"
    assert str(name.as_floor.within_split) == "floor_kid_lite0_n10"
