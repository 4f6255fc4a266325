"""Whatever stands in a run's files: the records that are whole are read, and damage is named."""

import json
import math
import os
import shutil
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import Records

from genbench import commands
from genbench.console import say_once
from genbench.record import read_picture, read_run, read_runs, read_studies
from genbench.record.reader import problems_of
from genbench.record.reading import parse, parse_row, row_or_none
from genbench.report import write_report

pytestmark = pytest.mark.usefixtures("blank_charts")

FRAME = '{"step": 1, "epoch": 1, "split": "val"'
ROW = FRAME + ', "a": 2}'
EVALUATION = {
    "sampler": "ae",
    "scores": [
        {
            "ruler": {
                **{"extractor": "efficientnet-lite0", "weights": "aa", "reals": "bb"},
                **{"split": "test", "size": 32, "n": 1500},
            },
            "values": {"kid": [0.1, "NaN"]},
            "errors": {},
            "floor": {"kid": 0.001},
        }
    ],
}


@pytest.fixture(autouse=True)
def _anew():
    say_once.cache_clear()


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


def edited(path, *where, value):
    """Replace what stands at `where` in a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path.write_text(json.dumps(content))


LINES = {
    b'["a"]': "['a'] is no object",
    b'"x"': "'x' is no object",
    b"null": "None is no object",
    b'""': "'' is no object",
    FRAME.encode() + b', "a": "x"}': "a: 'x' is no number",
    FRAME.encode() + b', "a": null}': "a: None is no number",
    FRAME.encode() + b', "a": true}': "a: True is no number",
    FRAME.encode() + b', "a": "\xff"}': "no UTF-8",
    FRAME.encode() + b', "a": "\\ud800"}': "no UTF-8",
    FRAME.encode() + b', "a": ' + b"9" * 5000 + b"}": "a number with too many digits",
    FRAME.encode() + b', "a": ' + b"9" * 4000 + b"}": "is no number",
    b"[" * 3000: "nested too deeply",
    b"[" * 30 + b"]" * 30: "nested too deeply",
    b'{"step": 1, "epoch": 1, "a": 1}': "lacks split",
    b'{"epoch": 1, "split": "val"}': "lacks step",
    b'{"step": "NaN", "epoch": 1, "split": "val"}': "step: 'NaN' is no step or epoch",
    b'{"step": 1, "epoch": -1, "split": "val"}': "epoch: -1 is no step or epoch",
    b'{"step": 1, "epoch": 1, "split": ["val"]}': "split: ['val'] is no text",
    b'{"st': "no JSON (",
    FRAME.encode() + b', "name": "x", "file": "../x.png"}': "'../x.png' is no file of this",
    FRAME.encode() + b', "name": "x", "file": "/etc/passwd"}': "'/etc/passwd' is no file of",
    FRAME.encode() + b', "file": "x.png"}': "lacks name",
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:30]))
def test_a_damaged_line_of_metrics_is_named_once_and_the_rest_is_reported(records, capsys, line):
    path = records.run("ae") / "metrics.jsonl"
    whole = path.read_bytes()
    before = read_runs(records.folder)[0].metrics()
    path.write_bytes(line + b"\n" + whole)
    commands.runs(runs_dir=str(records.folder))
    out, err = capsys.readouterr()
    assert "finished" in out
    assert err == ""  # the end of the log is enough
    for _ in range(2):  # it is said once in a command
        assert [run.metrics() for run in read_runs(records.folder)] == [before]
    err = capsys.readouterr().err
    assert f"{path}:1: " in err
    assert LINES[line] in err
    assert err.count("\n") == 1


def test_a_torn_last_line_is_no_damage_but_one_within_is(records, capsys):
    path = records.run("ae") / "metrics.jsonl"
    path.write_text(f"{ROW}\n{ROW[:20]}")
    assert len(read_run(path.parent).metrics()) == 1
    assert capsys.readouterr().err == ""
    path.write_text(f"{ROW}\n{ROW[:20]}\n\n{ROW}")
    assert len(read_run(path.parent).metrics()) == 2
    assert f"{path}:2: no JSON (" in capsys.readouterr().err


def test_many_damaged_lines_are_counted(records, capsys):
    path = records.run("ae") / "metrics.jsonl"
    path.write_bytes(b"\xff\n" * 1000 + ROW.encode())
    assert len(read_run(path.parent).metrics()) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 6
    assert f"{path}: 995 more damaged lines; passed over" in err


def test_numbers_are_those_of_strict_json():
    row = parse_row((FRAME + ', "a": "NaN", "b": "-Infinity", "c": 3}').encode())
    assert math.isnan(row["a"])
    assert (row["b"], row["c"], row["split"]) == (-math.inf, 3.0, "val")
    assert all(type(row[name]) is float for name in ("step", "epoch", "a", "b", "c"))
    assert row_or_none(ROW[:20].encode()) is None
    assert row_or_none(ROW.encode()) == {"step": 1, "epoch": 1, "split": "val", "a": 2}
    assert parse('"\\ud83d\\ude00 é"'.encode()) == "\N{GRINNING FACE} é"


def test_media_are_rows_of_their_own(records, capsys):
    path = records.run("ae") / "metrics.jsonl"
    media = FRAME + ', "name": "samples/samples", "file": "samples/epoch-0001.png"}'
    path.write_text(f"{ROW}\n{media}\n")
    run = read_run(path.parent)
    assert [row["a"] for row in run.metrics()] == [2]
    (found,) = run.media()
    assert (found["name"], found["file"]) == ("samples/samples", "samples/epoch-0001.png")
    assert run.curve("val", "a") == ([1], [2])
    assert capsys.readouterr().err == ""


FIELDS = [
    (("seconds",), "x", "seconds: 'x' is no number"),
    (("scores", "val/bce"), "x", "scores: val/bce: 'x' is no number"),
    (("status",), "done", "status: 'done' is none of running, finished, pruned, failed"),
    (("scores",), [1], "scores: [1] is no object"),
    (("best_epoch",), 1.5, "best_epoch: 1.5 is no whole number"),
    (("stability",), {"diverged": "no"}, "stability: diverged: 'no' is neither true nor false"),
    (("events",), {"x": "y"}, "events: x: 'y' is no whole number"),
    (("error",), {}, "error: {} is no text"),
    (("scores", "n" * 300), 1.0, "is no name"),
]


@pytest.mark.parametrize(("where", "value", "said"), FIELDS)
def test_a_damaged_field_of_a_summary_is_left_out(records, capsys, where, value, said):
    path = records.run("ae") / "summary.json"
    edited(path, *where, value=value)
    commands.runs(runs_dir=str(records.folder))
    out, err = capsys.readouterr()
    assert f"{path}: " in err
    assert said in err
    assert err.count("\n") == 1
    assert "run-001" in out
    (run,) = read_runs(records.folder)
    assert run.status == ("unfinished" if where == ("status",) else "finished")
    assert ("test/bce" in run.scores) is (where != ("scores",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"config": {"se', "no JSON"),
        ("[]", "[] is no object"),
        ("", "no JSON"),
        ('{"model": "vae"}', "lacks config"),
        ('{"config": 3}', "config: 3 is no object"),
    ],
)
def test_a_folder_without_a_configuration_is_named_and_passed_over(
    records, capsys, tmp_path, content, said
):
    for model in ("ae", "vae", "ae"):
        path = records.run(model) / "config.json"
    path.write_text(content)
    commands.runs(runs_dir=str(records.folder))
    commands.report(str(records.folder), str(tmp_path / "out"))
    out, err = capsys.readouterr()
    assert [line for line in err.splitlines() if str(path) in line] == err.splitlines()
    assert err.count("\n") == 1
    assert said in err
    assert "run-002" in out
    assert "run-003" not in out


def test_what_a_report_needs_and_does_not_find_leaves_one_run_out(records, capsys, tmp_path):
    records.run("vae")
    path = records.run("ae") / "config.json"
    about = json.loads(path.read_text())
    del about["key"], about["images"]["val"]
    path.write_text(json.dumps(about))
    write_report(str(records.folder), str(tmp_path / "out"))
    assert f"{path}: lacks key, images.val; not reported" in capsys.readouterr().err
    assert "VAE on mnist-mini" in (tmp_path / "out" / "summary.md").read_text()


BAD_EVALUATIONS = [
    ([], "[] is no object"),
    ({"scores": []}, "lacks sampler"),
    ({**EVALUATION, "sampler": 3}, "sampler: 3 is no text"),
    ({**EVALUATION, "scores": {}}, "scores: {} is no list"),
]


def with_ruler(**changes):
    (scores,) = EVALUATION["scores"]
    return {**EVALUATION, "scores": [{**scores, "ruler": {**scores["ruler"], **changes}}]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        *BAD_EVALUATIONS,
        (with_ruler(colour="red"), "ruler: 'colour' is no field of it"),
        (with_ruler(n="x"), "ruler: n: 'x' is no whole number"),
        (with_ruler(split="all"), "ruler: split: 'all' is none of train, val, test, folder"),
        ({**EVALUATION, "memorization": {"picture": "../../x"}}, "memorization: lacks alarm"),
        (
            {
                **EVALUATION,
                "memorization": {"alarm": False, "copies": 0, "expected": 0, "picture": "../x.png"},
            },
            "memorization: picture: '../x.png' is no file of this folder",
        ),
        ({**EVALUATION, "likelihood": {"nll": "x"}}, "likelihood: nll: 'x' is no number"),
    ],
)
def test_a_damaged_evaluation_is_named_and_the_rest_is_reported(
    records, capsys, tmp_path, line, said
):
    path = records.run("ae") / "evaluations.jsonl"
    path.write_text(f"{json.dumps(line)}\n{json.dumps(EVALUATION)}\n")
    commands.report(str(records.folder), str(tmp_path / "out"))
    err = capsys.readouterr().err
    assert f"{path}:1: " in err
    assert said in err
    assert err.count("\n") == 1
    (found,) = read_run(path.parent).evaluations()
    first, second = found["scores"][0]["values"]["kid"]
    assert first == 0.1
    assert math.isnan(second)
    assert "efficientnet-lite0, N = 1500" in (tmp_path / "out" / "summary.md").read_text()


def test_what_was_not_looked_for_in_an_early_evaluation_is_no_damage(records, capsys):
    path = records.run("ae") / "evaluations.jsonl"
    path.write_text(json.dumps({**EVALUATION, "memorization": {}}) + "\n")
    assert len(read_run(path.parent).evaluations()) == 1
    assert capsys.readouterr().err == ""


def pickled(path):
    np.savez(path, samples=np.array([{}], dtype=object))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def bomb(path):
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("samples.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples", "text")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncated, "no"),
        (flipped, ""),
        (pickled, "holds objects, not arrays"),
        (bomb, "bytes of arrays, 268,435,456 at most"),
        (no_array, "'samples' is no array"),
        (lambda path: path.write_bytes(b""), ""),
        (lambda path: path.write_text("x"), ""),
        (one_array, ""),
        (lambda path: (path.unlink(), path.mkdir()), "no file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "no file"),
    ],
)
@pytest.mark.parametrize("name", ["pictures.npz", "latents.npz"])
def test_a_damaged_archive_is_named_and_the_rest_is_reported(
    records, capsys, tmp_path, name, harm, said
):
    path = records.run("vae") / name
    harm(path)
    commands.report(str(records.folder), str(tmp_path / "out"))
    err = capsys.readouterr().err
    assert err.startswith(f"{path}: ")
    assert said in err
    assert err.count("\n") == 1
    assert "pickle" not in err
    assert "VAE on mnist-mini" in (tmp_path / "out" / "summary.md").read_text()
    assert read_run(path.parent).arrays(name.removesuffix(".npz")) == {}


@pytest.mark.parametrize(
    ("name", "arrays", "kept"),
    [
        ("pictures", {"samples": np.zeros((4, 6, 6))}, set()),
        ("pictures", {"samples": np.zeros((4, 6, 6, 2), np.uint8)}, set()),
        ("pictures", {"samples": np.zeros((0, 6, 6), np.uint8)}, set()),
        ("pictures", {"manifold": np.zeros((4, 6, 6), np.uint8)}, set()),
        ("pictures", {"manifold_extent": np.zeros(3)}, set()),
        ("pictures", {"manifold_extent": np.array([0, np.nan, 0, 1.0])}, set()),
        (
            "pictures",
            {"samples": np.zeros((4, 6, 6), np.uint8), "originals": np.zeros((4, 7, 6), np.uint8)},
            {"samples"},
        ),
        ("latents", {"z": np.zeros(4)}, set()),
        ("latents", {"z": np.full((4, 2), np.inf)}, set()),
        ("latents", {"z": np.zeros((4, 2)), "labels": np.zeros(3, int)}, {"z"}),
        ("latents", {"z": np.zeros((4, 2)), "labels": np.array(["a"] * 4)}, {"z"}),
        ("latents", {"z": np.zeros((4, 2)), "pictures": np.zeros((4, 6, 6))}, {"z"}),
        ("latents", {"z": np.zeros((4, 2)), "pictures": np.zeros((3, 6, 6), np.uint8)}, {"z"}),
        ("latents", {"split": np.array(3)}, set()),
    ],
)
def test_arrays_of_a_wrong_shape_are_left_out(records, capsys, name, arrays, kept):
    path = records.run("vae") / f"{name}.npz"
    np.savez(path, **arrays)
    assert set(read_run(path.parent).arrays(name)) == kept
    assert capsys.readouterr().err.count(f"{path}: '") == 1


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("trials",), 3, "trials: 3 is no list"),
        (("trials", 0, "values"), ["x"], "trials: values: 'x' is no number"),
        (("trials", 0, "state"), "DONE", "state: 'DONE' is none of"),
        (("directions",), ["up"], "'up' is none of minimize, maximize"),
        (("objectives",), [], "has not a direction for each objective"),
        (("best",), 77, "its best trial, 77, was not completed"),
        (("trials", 0, "values"), None, "trial 0 has not a value for each objective"),
        (("trials", 0, "params"), {"lr": 99.0, "latent_dim": 2}, "passed over"),
        (("trials", 0, "params"), {"width": 99.0}, "width of trial 0 is not in its space"),
        (("space", "lr"), "{}", "passed over"),
        (("trials", 0, "intermediate"), {"x": 1.0}, "passed over"),
    ],
)
def test_a_damaged_study_is_named_and_the_rest_is_reported(
    records, capsys, tmp_path, where, value, said
):
    records.run("ae")
    records.study("ae", [80.0, 81.0], name="ae")
    edited(records.folder / "studies" / "ae.json", *where, value=value)
    records.study("vae", [-80.0, -81.0], name="vae")
    (records.folder / "studies" / "torn.json").write_text('{"na')
    commands.report(str(records.folder), str(tmp_path / "out"))
    ours, torn = sorted(capsys.readouterr().err.splitlines(), key=lambda line: "torn" in line)
    assert "studies/ae.json: " in ours
    assert said in ours
    assert "studies/torn.json: no JSON" in torn
    assert "AE on mnist-mini" in (tmp_path / "out" / "summary.md").read_text()


@pytest.mark.parametrize("harm", ["torn", "text", "name", "size"])
def test_damaged_sample_grids_are_left_out(records, capsys, tmp_path, harm):
    path = records.gan() / "samples" / "epoch-0006.png"
    if harm == "torn":
        path.write_bytes(path.read_bytes()[:300])
    elif harm == "text":
        path.write_text("x")
    elif harm == "name":
        path.rename(path.with_name("epoch-three.png"))
    else:
        from PIL import Image

        Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    write_report(str(records.folder), str(tmp_path / "out"))
    assert (str(path) in capsys.readouterr().err) is (harm in ("torn", "text"))
    assert (tmp_path / "out" / "figures" / "generated-strip.png").exists()
    assert (tmp_path / "out" / "figures" / "generated-images-0005.png").exists()
    assert not (tmp_path / "out" / "figures" / "generated-images-0006.png").exists()


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch, capsys):
    from PIL import Image

    path = tmp_path / "x.png"
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(path)
    assert read_picture(path).shape == (40, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_picture(path) is None
    assert f"{path}: Image size (1600 pixels) exceeds" in capsys.readouterr().err


def test_minutes_that_are_no_number_are_no_budget(records, tmp_path):
    path = records.gan() / "config.json"
    edited(path, "config", "minutes", value=[None])
    write_report(str(records.folder), str(tmp_path / "out"))
    assert "6 epochs" in (tmp_path / "out" / "summary.md").read_text()


def test_metrics_are_not_read_before_they_are_asked_for(records, monkeypatch):
    records.run("ae")
    (records.folder / "run-001" / "metrics.jsonl").unlink()
    (records.folder / "run-001" / "metrics.jsonl").mkdir()
    (run,) = read_runs(records.folder)
    assert run.status == "finished"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = (
    *("config.json", "summary.json", "metrics.jsonl", "evaluations.jsonl"),
    *("pictures.npz", "latents.npz"),
)


@settings(
    max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.sampled_from(NAMES), content=st.binary(max_size=200) | ANYTHING)
def test_any_bytes_in_any_file_give_records(tmp_path, name, content):
    folder = tmp_path / "runs" / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"config": {}}')
    data = content if isinstance(content, bytes) else json.dumps(content).encode() + b"\n"
    (folder / name).write_bytes(data)
    for run in read_runs(folder.parent):
        run.metrics(), run.media(), run.evaluations()
        run.arrays("pictures"), run.arrays("latents")
        assert isinstance(run.status, str)
    assert all(str(folder / name) in problem for problem in problems_of(folder))
    (folder.parent / "studies").mkdir(exist_ok=True)
    (folder.parent / "studies" / "x.json").write_bytes(data)
    assert read_studies(folder.parent) == []


def nodes(value, where=()):
    """Where values stand in JSON."""
    yield where
    inner = value if isinstance(value, dict) else {}
    inner = dict(enumerate(value)) if isinstance(value, list) else inner
    for key, item in inner.items():
        yield from nodes(item, (*where, key))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_record_with_anything_in_it_is_reported(tmp_path, data):
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    records = Records(tmp_path / "runs")
    paths = [records.run("ae") / "evaluations.jsonl", records.gan(images=0) / "config.json"]
    paths[0].write_text(json.dumps(EVALUATION))
    records.study("ae", [80.0, 81.0])
    paths += [paths[0].with_name("config.json"), paths[0].with_name("summary.json")]
    paths += [paths[1].with_name("summary.json"), records.folder / "studies" / "ae.json"]
    path = data.draw(st.sampled_from(paths))
    content = json.loads(path.read_text())
    where = data.draw(st.sampled_from(sorted(nodes(content), key=str)))
    if where:
        edited(path, *where, value=data.draw(ANYTHING))
    commands.runs(runs_dir=str(records.folder))
    records.pages()


def test_a_run_of_an_earlier_genbench_is_whole(capsys):
    folder = ROOT / "tests" / "earlier"
    run = read_run(folder)
    assert (len(run.metrics()), len(run.evaluations()), run.lacks) == (10, 1, [])
    assert problems_of(folder) == []
    assert capsys.readouterr().err == ""


def test_what_was_found_before_a_run_went_on_is_of_other_weights(records):
    path = records.run("vae")
    lines = [{"sampler": "vae", "created": f"2026-01-0{day}T00:00:00+00:00"} for day in (1, 3)]
    (path / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(read_run(path).evaluations()) == 2
    about = json.loads((path / "config.json").read_text())
    about["resumed"] = [{"step": 9, "created": "2026-01-02T00:00:00+00:00"}]
    (path / "config.json").write_text(json.dumps(about))
    assert [line["created"][:10] for line in read_run(path).evaluations()] == ["2026-01-03"]
