"""What a report says, computed again from its numbers.json by NumPy and SciPy alone."""

import json
import re
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from conftest import ROOT
from records import Records
from scipy import stats

from genbench.families.gan import DCGAN
from genbench.report import write_report

KID, FD = "test/kid_lite0_n1500", "test/fd_lite0_n1500"
DECIMAL = re.compile(r"(a factor of )?(?<![\w.,=-])[-+]?(\d[\d,]*\.\d+)(?![\w.]*\w)( times)?")
TESTED = re.compile(r"p [=<] [\d.e-]+|(a factor of )?[\d.,]+ would have shown")  # test_stats
LIMITS = {"0.95", "0.25", "0.1", "0.01"}  # that notes name: of saturation, collapse, active units
NUMBER = r"-?(?:\d[\d,]*\.?\d*|inf|nan)"
SPREAD = re.compile(rf"({NUMBER}) ± ({NUMBER})")
TEST = re.compile(r"p (?:= (\S+)|(< 0\.001)), Welch's test, (\d+) and (\d+) seeds")
RULER = {
    **{"extractor": "efficientnet-lite0", "weights": "aa11", "reals": "bb22"},
    **{"split": "test", "size": 32, "n": 1500},
}


def samples(numbers):
    """Every number of which there are several seeds: a list of values a configuration."""
    found = defaultdict(list)
    for run in sorted(numbers["runs"].values(), key=lambda run: run["seed"]):
        own = (run["model"], run["key"])
        known = {**run["scores"], **run.get("stability", {}), "seconds": run["seconds"]}
        known["best_epoch"] = run["best_epoch"]
        known |= {f"{when}/{name}": v for when in ("best", "last") for name, v in run[when].items()}
        for line in run["evaluations"]:
            for entry in line.get("scores", []):
                place = f"{line['sampler']} {entry['ruler']}"
                known |= {f"{place} {name}": np.mean(v) for name, v in entry["values"].items()}
            drawn = {**line.get("likelihood", {}), **(line.get("memorization") or {})}
            known |= {f"{line['sampler']} {name}": v for name, v in drawn.items()}
        for name, value in known.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[*own, name].append(float(value))
    return [values for values in found.values() if len(values) > 1]


def singles(found):
    """Every number in what a JSON file holds, and the means of lists of them."""
    if isinstance(found, dict | list):
        values = [*(found.values() if isinstance(found, dict) else found)]
        for value in values:
            yield from singles(value)
        if values and all(type(value) is float for value in values):
            yield float(np.mean(values))
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield float(found)


def gaps(numbers):
    """Of every configuration and scalar, how far the last validation is from the last training."""
    found = defaultdict(list)
    for run in numbers["runs"].values():
        for name, value in run["train"].items():
            found[run["model"], run["key"], name].append(run["last"][name] - value)
    return [float(np.mean(values)) for values in found.values()]


def gains(numbers):
    """Of every search, what its best trial is from the defaults."""
    for study in numbers["studies"].values():
        values = {trial["number"]: (trial["values"] or [0.0])[0] for trial in study["trials"]}
        defaults = [trial["number"] for trial in study["trials"] if trial.get("defaults")]
        yield from (values[study["best"]] - values[n] for n in defaults if study["best"] in values)


def told(values):
    """Numbers as a report may write them, without a sign, a share as per cents too."""
    finite = [abs(value) for value in values if np.isfinite(value)]
    return {
        f"{c * value:,.{digits}f}" for value in finite for digits in range(1, 6) for c in (1, 100)
    }


def unfounded(text, numbers):
    """Decimal numbers in a report's sentences that are none of its numbers.

    A number of times is founded in the sentence's own numbers.
    """
    of_seeds = [value for values in samples(numbers) for value in summary(values)]
    known = told([*singles(numbers), *gaps(numbers), *gains(numbers), *of_seeds]) | LIMITS
    wrong = []
    for sentence in sentences(text):
        triples = DECIMAL.findall(TESTED.sub("", sentence))
        found = [(number, bool(factor or times)) for factor, number, times in triples]
        plain = [float(number.replace(",", "")) for number, times in found if not times]
        ratios = told(a / b for a, b in product(plain, plain) if b)
        wrong += [n for n, times in found if n not in known and not (times and n in ratios)]
    return wrong


def summary(values):
    """Of seeds: mean, standard deviation and the ends of the 95 % interval of the mean."""
    mean, std = np.mean(values), np.std(values, ddof=1)
    half = stats.t.ppf(0.975, len(values) - 1) * std / len(values) ** 0.5
    return mean, std, mean - half, mean + half


def shown(values, digits):
    """`mean ± std` as a report writes it."""
    return f"{np.mean(values):.{digits}f}", f"{np.std(values, ddof=1):.{digits}f}"


def sentences(text):
    """Those of the answers, conclusions and sections, without tables and notes of how it is."""
    said = text.split("\n## How sure is that?")[0].splitlines()
    return [line.strip("*- ") for line in said if line.startswith(("- ", "**"))]


def ps_of(a, b):
    """Of Welch's test: of differences, and of positive numbers' ratio, which distances go by."""
    if not np.ptp(a) and not np.ptp(b):  # constants differ if they are unlike
        return [float(a[0] == b[0])]
    scales = [(a, b)]
    if all(value > 0 for value in (*a, *b)):
        scales.append((np.log(a), np.log(b)))
    return [welch(*pair) for pair in scales]


def welch(a, b):
    about = [
        one for values in (a, b) for one in (np.mean(values), np.std(values, ddof=1), len(values))
    ]
    return stats.ttest_ind_from_stats(*about, equal_var=False).pvalue


def unexplained(text, numbers):
    """What stands in a report's sentences and does not follow from its numbers."""
    known = defaultdict(list)
    for values in samples(numbers):
        for digits in range(6):
            known[shown(values, digits)].append(values)
    wrong = []
    for sentence in sentences(text):
        pairs = SPREAD.findall(sentence)
        wrong += [f"{mean} ± {std}" for mean, std in pairs if (mean, std) not in known]
        test = TEST.search(sentence)
        if test and len(pairs) > 1:
            p, tiny, n, m = test.groups()
            told = [
                q
                for a, b in product(known[pairs[0]], known[pairs[1]])
                if (len(a), len(b)) == (int(n), int(m))
                for q in ps_of(a, b)
            ]
            if not any(q < 0.001 if tiny else f"{q:.2g}" == p for q in told):
                wrong.append(test[0])
    return wrong


@pytest.fixture
def report(tmp_path, blank_charts):
    records = Records(tmp_path / "runs")
    rng = np.random.default_rng(0)
    for seed in range(3):
        for model, bce in (("ae", 70.0), ("vae", 80.0)):
            scores = {"bce": bce + rng.normal(), "knn_accuracy": 0.9 + 0.01 * rng.normal()}
            run = records.run(model, seed, key=model, scores=scores, seconds=9.0 + rng.random())
            values = {"kid": (0.1 + 0.02 * (model == "ae") + 0.003 * rng.normal(size=3)).tolist()}
            entry = {"ruler": RULER, "values": values, "errors": {}, "floor": {"kid": 0.001}}
            line = {"sampler": "ae+mixture" if model == "ae" else "vae", "scores": [entry]}
            (run / "evaluations.jsonl").write_text(json.dumps(line) + "\n")
        for key, kid, config in (("g", 0.02, {}), ("b", 0.09, DCGAN)):
            scores = {KID: kid + 0.001 * rng.normal(), FD: 1e3 * kid + rng.normal()}
            records.gan(seed, key=key, scores=scores, config=config, seconds=50 + seed)
    page = write_report(str(records.folder), str(tmp_path / "out"))
    return (
        page.with_suffix(".md").read_text(),
        json.loads((page.parent / "numbers.json").read_text()),
    )


def test_every_spread_and_test_in_a_sentence_follows_from_the_numbers(report):
    text, numbers = report
    told = [sentence for sentence in sentences(text) if SPREAD.search(sentence)]
    assert len(told) > 10
    assert sum(bool(TEST.search(sentence)) for sentence in told) > 5
    assert unexplained(text, numbers) == []


def test_every_decimal_number_in_a_sentence_is_one_of_the_numbers(report):
    text, numbers = report
    assert sum(len(DECIMAL.findall(sentence)) for sentence in sentences(text)) > 30
    assert unfounded(text, numbers) == []
    right = next(s for s in sentences(text) if "'s ELBO is" in s)
    for _, number, _ in DECIMAL.findall(right):
        digit = "1" if number[-1] != "1" else "2"
        wrong = text.replace(right, right.replace(number, f"{number[:-1]}{digit}"))
        assert unfounded(wrong, numbers), number


def test_a_wrong_number_is_found(report):
    text, numbers = report
    right = next(s for s in sentences(text) if "reconstructs better" in s)
    mean, std = SPREAD.findall(right)[0]
    p = TEST.search(right)[0]
    for before, after in (
        (f"{mean} ± {std}", f"{mean} ± 9{std}"),
        (p, re.sub(r"p [=<] [\d.]+", "p = 0.04", p)),
    ):
        assert unexplained(text.replace(right, right.replace(before, after)), numbers)


def test_numbers_name_no_place_of_the_machine(report, tmp_path):
    assert str(tmp_path) not in json.dumps(report[1])
    assert len(report[1]["runs"]) == 12


@pytest.mark.parametrize("path", sorted(ROOT.glob("reports/**/numbers.json")), ids=str)
def test_what_the_committed_reports_say_follows_from_their_numbers(path):
    text, numbers = path.with_name("summary.md").read_text(), json.loads(path.read_text())
    assert unexplained(text, numbers) == []
    assert unfounded(text, numbers) == []
