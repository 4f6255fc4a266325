"""Whatever a sweep file holds: it is read, or refused at a line, in bounded time and memory."""

import time
import tracemalloc

import pytest
import yaml
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genbench import UserError
from genbench.families import FAMILIES
from genbench.sweep import Sweep, check_sweep, contradictions, read_sweep
from genbench.sweep.distributions import NUMERIC, PARAMETER_KEYS
from genbench.sweep.lines import read_sheet
from genbench.sweep.plain import LARGEST_FILE, MOST_NODES

SECONDS = 5  # of the CPU, for any file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("sweeps") / "sweep.yaml"


def doubling(value, pair):
    """24 lines, each of which holds the one before twice."""
    return f"a0: &a0 {value}\n" + "".join(
        f"a{i}: &a{i} {pair.replace('*', f'*a{i - 1}')}\n" for i in range(1, 25)
    )


BOMBS = {
    "mappings": doubling("{x: 1}", "{p: *, q: *}"),
    "lists": doubling("[1]", "[*, *]"),
    "merges": doubling("{x: 1}", "{<<: [*, *]}"),
    "long text": f"a: &a {'x' * 10_000}\nb: [{'*a, ' * 19_000}]",
    "deep lists": "[" * 5_000,
    "deep mappings": "{a: " * 5_000,
    "deep blocks": "- " * 5_000,
    "deep keys": "? " * 5_000,
    "itself": "&a {b: *a}",
    "itself in a list": "&a [*a]",
    "merged into itself": "&a {<<: *a}",
    "many values": f"[{'1,' * 90_000}]",
    "large": "a: 1\n" * 20_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_would_fill_the_memory_is_refused(path, name):
    path.write_text(BOMBS[name])
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(UserError, match=rf"^{path}:\d+: (lists and|holds|is larger)"):
            read_sheet(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 5 * SECONDS  # tracing takes its time


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        ("x: 1\na: 2026-13-45", 2, "2026-13-45 is a date to YAML; write it in quotes"),
        ("x: 1\na: 2026-11-26", 2, "2026-11-26 is a date to YAML; write it in quotes"),
        ("x: 1\na: !!timestamp 1", 2, "1 is a date to YAML"),
        ("x: 1\na: !!int abc", 2, "'abc' is no int"),
        ("a: !!int ''", 1, "'' is no int"),
        ("a: !!float ''", 1, "'' is no float"),
        ("a: !!bool x", 1, "'x' is no bool"),
        ("a: !!binary YQ==", 1, "!!binary: is not read here"),
        ("a: !!set {b}", 1, "!!set: is not read here"),
        ("a: !!python/object/apply:os.system [ls]", 1, "!!python/object/apply:os.system: is not"),
        ("a: !mine 1", 1, "!mine: is not read here"),
        ("a: =", 1, "!!value: is not read here"),
        ("!!str {a: 1}", 1, "!!str: is not read here"),
        ("!!map abc", 1, "!!map: is not read here"),
        ("a: .nan", 1, ".nan: must be a finite number"),
        ("a: 1.0e+999", 1, "1.0e+999: must be a finite number"),
        ("a: 9223372036854775808", 1, "must be a number of at most 64 bits"),
        ("a: " + "9" * 5_000, 1, "has more than 100 characters"),
        ("a: 1" + ":10" * 5_000, 1, "has more than 100 characters"),
        ('a: "\\e[2J"', 1, "has characters that cannot be printed"),
        ('a: "\\ud800"', 1, "has characters that cannot be printed"),
        ("x: 1\n1: a", 2, "1: a key must be text; write it in quotes"),
        ("x: 1\nnull: a", 2, "null: a key must be text"),
        ("x: 1\n? [1]\n: a", 2, "a key must be text, no list or mapping"),
        ("x: &x [1]\n*x : 1", 1, "a key must be text, no list or mapping"),
        ("x: 1\na: {<<: 3}", 2, "<<: must be a mapping or a list of mappings"),
        ("x: 1\nb: \0", 2, "not YAML: special characters are not allowed"),
        (bytes(range(256)), 2, "not UTF-8: invalid start byte"),
        ("a: 1".encode("utf-16"), 1, "not UTF-8"),
        ("a: *b", 1, "not YAML: found undefined alias 'b'"),
        ("a: b\n---\nb: c", 2, "not YAML"),
        ('x: 1\na: "b', 2, "not YAML: found unexpected end of stream"),
    ],
)
def test_what_is_no_plain_value_is_refused_at_its_line(path, content, line, text):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        check_sweep(path)
    said = str(error.value)
    assert said.startswith(f"{path}:{line}: ")
    assert text in said
    assert len(said.splitlines()) == 1
    assert len(said) < 400 + len(str(path))


def test_plain_values_are_what_yaml_says_they_are(path):
    content = (
        "\ufeffa: [1, 0x10, 1_000, 1.5, yes, off, ~, '2026-11-26', !!str 1, 1:30]\n"
        "base: &base {x: 1, y: 2}\n"
        "more: &more {y: 3, z: 3}\n"
        "own:\n  <<: *base\n  x: 5\n"
        "both: {<<: [*base, *more]}\n"
        "again: *base\n"
    )
    path.write_text(content, encoding="utf-8")
    sheet = read_sheet(path)
    assert sheet.content == yaml.safe_load(content)
    assert sheet.problems == []
    lines = {"a": 1, "base": 2, "more": 3, "own": 4, "both": 7, "again": 8}
    assert {key: sheet.lines[(key,)] for key in lines} == lines
    assert (sheet.lines["own", "x"], sheet.lines["own", "y"]) == (6, 2)


def test_a_key_that_stands_twice_is_named_with_both_lines(path):
    path.write_text("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n<<: {a: 4}\na: 5\n")
    assert read_sheet(path).problems == [
        (4, "c: stands in line 3 too; keep one"),
        (7, "a: stands in lines 1, 5 too; keep one"),
    ]


def test_what_is_no_file_is_named(path, tmp_path):
    for other in (tmp_path, tmp_path / "none.yaml", tmp_path / ("x" * 300), "/dev/zero"):
        with pytest.raises(UserError, match="cannot be read"):
            read_sheet(type(path)(other))


def test_a_problem_is_one_printable_line_however_much_it_quotes(path):
    path.write_text(
        yaml.safe_dump(
            {
                "program": "a\nb.py",
                "method": {"x" * 5_000: 1},
                "metric": {"name": "val/elbo", "goal": "a\nb"},
                "parameters": {"a\nb": 1},
                "run_cap": list(range(5_000)),
            }
        )
    )
    said = check_sweep(path)
    assert len(said) >= 3
    assert all(line.isprintable() and len(line) < 400 + len(str(path)) for line in said)
    assert any(
        "run_cap" in line and "must be a whole number of at least 1" in line for line in said
    )


def test_values_that_go_with_nothing_are_not_all_tried(path):
    """The first are named; to try each with ten thousand combinations would take hours."""
    smoothing = [0.0, *(i / 10_000 for i in range(1, 4_000))]
    content = {
        "program": str(ROOT / "experiments" / "gan.py"),
        "method": "random",
        "metric": {"name": "val/accuracy"},
        "parameters": {
            "loss": {"value": "hinge"},
            "label_smoothing": {"values": smoothing},
            "width": {"values": [8, 16, 32]},
        },
    }
    path.write_text(yaml.safe_dump(content))
    begun = time.process_time()
    said = check_sweep(path)
    assert time.process_time() - begun < 2 * SECONDS
    assert any("label_smoothing=0.0001 needs loss=bce" in line for line in said)
    assert len(said) < 10


def outcome(path, text):
    """The sweep, or the error; anything else, and too long a time, fails the test."""
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    begun = time.process_time()
    try:
        result = read_sweep(path)
        contradictions(result.family.config, result.space, result.held)
    except UserError as error:
        result = error
    assert str(result).isprintable()
    assert time.process_time() - begun < SECONDS
    return result


TOKENS = [
    *(
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        "- ",
        "? ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: ",
        "!!",
    ),
    *(
        "!",
        "|",
        ">",
        "'",
        '"',
        "\\",
        "#",
        "%",
        "@",
        "`",
        "---",
        "...",
        "~",
        "=",
        "\t",
        "\0",
        "\x85",
    ),
    *("!!int ", "!!float ", "!!timestamp ", "!!binary ", "!!map ", "1", "-0x1f", "1e5", ".inf"),
    *("1:30", "2026-13-45", "yes", "null", "é", "\ud800", "\ufeff", "9" * 400, "parameters", "lr"),
    *("method", "bayes", "metric", "program", "experiments/vae.py", "val/elbo", "values", "min"),
]
SHIPPED = (ROOT / "sweeps" / "vae.yaml").read_text()


@given(text=st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=60).map("".join))
@settings(max_examples=300, deadline=None)
@example(text=BOMBS["mappings"])
@example(text=BOMBS["deep lists"])
def test_any_text_is_a_sweep_or_one_line(path, text):
    assert isinstance(outcome(path, text), UserError)  # too short to be a sweep


@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(SHIPPED)), st.integers(0, 30), st.sampled_from(TOKENS)),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=80, deadline=None)
def test_a_damaged_sweep_is_a_sweep_or_one_line(path, cuts):
    text = SHIPPED
    for at, length, token in cuts:
        text = text[:at] + token + text[at + length :]
    assert isinstance(outcome(path, text), Sweep | UserError)


NUMBERS = st.sampled_from([0, 1, 2, 3, 0.1, 0.5, 0.7, 64, 1e-300, 1.7e308, 2**63 - 1, 10**12])
ANY = st.recursive(
    NUMBERS | st.integers() | st.floats() | st.text(max_size=5) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
RANGES = st.fixed_dictionaries(
    {"min": NUMBERS, "max": NUMBERS, "distribution": st.sampled_from(sorted(NUMERIC))},
    optional={"q": NUMBERS},
)
ENTRIES = (
    RANGES
    | st.fixed_dictionaries({"min": NUMBERS, "max": NUMBERS})
    | st.fixed_dictionaries({"values": st.lists(NUMBERS, min_size=1, max_size=4)})
    | st.dictionaries(st.sampled_from(sorted(PARAMETER_KEYS)), ANY, max_size=4)
)
FIELDS = ["lr", "width", "latent_dim", "beta", "kl_warmup", "free_bits", "depth", "eval_images"]


@given(
    parameters=st.dictionaries(st.sampled_from(FIELDS), ENTRIES, min_size=1, max_size=3),
    method=st.sampled_from(["bayes", "random", "grid"]),
    other=st.dictionaries(
        st.sampled_from(["early_terminate", "run_cap", "command", "scheduler", "metric", "name"]),
        ANY,
        max_size=1,
    ),
)
@settings(max_examples=300, deadline=None)
@example(
    parameters={"beta": {"min": 0.1, "max": 10**12, "distribution": "q_uniform", "q": 0.7}},
    method="random",
    other={},
)
@example(
    parameters={"lr": {"min": 1, "max": 2**63 - 1, "distribution": "int_uniform"}},
    method="bayes",
    other={},
)
def test_any_values_are_a_sweep_or_one_line(path, parameters, method, other):
    content = {
        "program": str(ROOT / "experiments" / "vae.py"),
        "method": method,
        "metric": {"name": "val/elbo", "goal": "maximize"},
        "parameters": parameters,
    }
    result = outcome(path, yaml.safe_dump(content | other))
    assert isinstance(result, Sweep | UserError)
    if isinstance(result, Sweep):
        assert result.family is FAMILIES["vae"]
        assert set(result.space) | set(result.fixed) == set(parameters)


def test_the_limits_leave_room_for_the_largest_grid(path):
    content = {
        "program": str(ROOT / "experiments" / "vae.py"),
        "method": "grid",
        "metric": {"name": "val/elbo", "goal": "maximize"},
        "parameters": {"latent_dim": {"values": list(range(1, 10_001))}},
    }
    path.write_text(yaml.safe_dump(content))
    assert path.stat().st_size < LARGEST_FILE
    assert MOST_NODES > 10_000
    assert len(read_sweep(path).space["latent_dim"].choices) == 10_000
