"""Disks that refuse: full, without inodes, under a quota, read-only; and output nobody takes."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from disks import fill, limit
from PIL import Image
from records import Records

from genbench import UserError, files
from genbench.commands import _save
from genbench.console import say_once
from genbench.data.art import _painted
from genbench.families.ae import AEConfig
from genbench.files import DiskError, append_line, reserve, whole, write_json, writing
from genbench.handlers import Checkpoints
from genbench.metrics.cache import Cache
from genbench.record import Run, read_runs
from genbench.report import write_report
from genbench.train import train

FULL = r"cannot be written \(No space left on device\); make room"
TOO_LARGE = r"cannot be written \(File too large\); `ulimit -f` limits the size of files"
NOISE = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)  # 480 kB


def only_run(runs_dir):
    (record,) = read_runs(runs_dir)
    return record


def parts(folder):
    return list(folder.rglob("*.part"))


WRITERS = {
    "bytes": lambda file: file.write(NOISE.tobytes()),
    "torch": lambda file: torch.save({"x": torch.from_numpy(NOISE)}, file),
    "npz": lambda file: np.savez(file, a=NOISE, b=NOISE),
    "compressed": lambda file: np.savez_compressed(file, a=NOISE),
    "png": lambda file: Image.fromarray(NOISE).save(file, "PNG"),
}


def write(path, writer):
    with whole(path) as file:
        writer(file)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_does_not_fit_leaves_the_one_before(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with limit(100_000), pytest.raises(DiskError, match=rf"{path}: {TOO_LARGE}"):
        write(path, WRITERS[kind])
    assert path.read_bytes() == b"before"
    assert list(tmp_path.glob("file*")) == [path]
    write(path, WRITERS[kind])
    assert path.stat().st_size > 100_000


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_a_full_disk_does_not_take_leaves_the_one_before(mount, kind):
    path = mount("size=200k") / "file"
    path.write_bytes(b"before")
    with pytest.raises(DiskError, match=rf"{path}: {FULL}"):
        write(path, WRITERS[kind])
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            files.os, name, lambda *a, name=name, real=real: (done.append(name), real(*a))
        )
    write_json(tmp_path / "a.json", {"a": 1})
    assert done == ["fsync", "replace"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("out of memory"), UserError("bad")]
)
def test_an_error_of_the_block_stays_what_it_is_and_leaves_nothing(tmp_path, error):
    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)) as raised:
        write(tmp_path / "a", fail)
    assert raised.value is error
    assert list(tmp_path.glob("a*")) == []


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.ENOSPC, r"\(No space left on device\); make room \(`df -h`, `df -i`\), or name"),
        (errno.EDQUOT, r"\(Disk quota exceeded\); make room in your quota, or name"),
        (errno.EFBIG, r"\(File too large\); `ulimit -f` limits the size of files, raise it"),
        (errno.EMFILE, r"\(Too many open files\); `ulimit -n` limits .*, raise it"),
        (errno.EROFS, r"\(Read-only file system\); name another folder"),
        (errno.EACCES, r"\(Permission denied\); name another folder"),
    ],
)
def test_a_refusal_names_the_file_the_reason_and_the_way_out(number, way_out):
    with (
        pytest.raises(DiskError, match=rf"a/b: cannot be written {way_out}") as raised,
        writing("a/b"),
    ):
        raise OSError(number, os.strerror(number))
    assert raised.value.reason == os.strerror(number)


def test_a_line_that_does_not_fit_is_cut_off_again(tmp_path):
    path = tmp_path / "lines"
    with path.open("a+b", buffering=0) as file:
        append_line(file, "one")
        with limit(10), pytest.raises(DiskError, match=rf"{path}: {TOO_LARGE}"):
            append_line(file, "two, which is longer")  # six bytes of it are written
        assert path.read_bytes() == b"one\n"
        append_line(file, "three")
    assert path.read_bytes() == b"one\nthree\n"


def test_half_a_line_of_a_killed_process_is_ended(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'{"a": 1}\n{"b"')
    with path.open("a+b", buffering=0) as file:
        append_line(file, "{}")
        append_line(file, "{}")
    assert path.read_bytes() == b'{"a": 1}\n{"b"\n{}\n{}\n'


def test_reserved_room_becomes_the_file(tmp_path):
    path = tmp_path / "a.json"
    room = reserve(path)
    assert room.stat().st_size == files.ROOM
    inode = room.stat().st_ino
    write_json(path, {"a": 1}, room)
    assert path.stat().st_ino == inode
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.glob("a*")) == [path]


def test_without_the_reserved_room_the_file_is_written_as_any(tmp_path):
    path = tmp_path / "a.json"
    room = reserve(path)
    room.unlink()
    write_json(path, {"a": 1}, room)
    assert json.loads(path.read_text()) == {"a": 1}


def record(runs_dir, *steps):
    """A run's record, in which each of the steps is done."""
    with Run(str(runs_dir), "toy", wandb="disabled") as run:
        for step in steps:
            step(run)


def begin(run):
    run.begin({"seed": 3})


def log_until_full(run):
    disk = run.dir.parent
    for step in range(10_000):
        run.log("train", {"loss": float(step)}, step, step / 100)
        if step == 10:
            fill(disk)


def draw(run):
    for epoch in (1, 2, 3):
        run.picture("samples", NOISE, step=epoch, epoch=epoch)


def keep_codes(run):
    run.log("val", {"loss": 1.0}, 1, 1.0)
    run.latents(NOISE.reshape(-1, 3) / 7, np.arange(160_000), "val", 1)


def test_a_disk_that_fills_up_leaves_the_rows_the_summary_and_wandb_told(mount, monkeypatch):
    disk, told = mount("size=1m"), []
    feed = lambda folder, mode, over=False: told.append(over)  # noqa: E731
    monkeypatch.setattr("genbench.record.run.feed", feed)
    with pytest.raises(DiskError, match=rf"metrics\.jsonl: {FULL}") as raised:
        record(disk, begin, log_until_full)
    run = only_run(disk)
    assert (run.status, run.summary["error"]) == ("failed", f"DiskError: {raised.value}")
    assert run.disk_refused
    assert told == [False, True]  # of its beginning and of its end
    text = (run.path / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    steps = [json.loads(line)["step"] for line in text.splitlines()]
    assert steps == list(range(len(steps)))
    assert len(steps) > 10
    assert parts(disk) == []


def test_a_disk_without_inodes_leaves_the_summary(mount):
    disk = mount("size=5m,nr_inodes=7")
    with pytest.raises(DiskError, match=rf"epoch-0002\.png: {FULL}"):
        record(disk, begin, draw)
    run = only_run(disk)
    assert run.status == "failed"
    assert [path.name for path in (run.path / "samples").iterdir()] == ["epoch-0001.png"]
    assert parts(disk) == []


def test_a_file_that_may_not_be_so_large_ends_the_run_with_its_record_whole(tmp_path):
    with limit(60_000), pytest.raises(DiskError, match=rf"latents\.npz: {TOO_LARGE}"):
        record(tmp_path / "runs", begin, keep_codes)
    run = only_run(tmp_path / "runs")
    assert "latents.npz: cannot be written" in run.summary["error"]
    assert run.curve("val", "loss") == ([1.0], [1.0])
    assert not (run.path / "latents.npz").exists()


@pytest.mark.parametrize("options", ["ro", "size=16k", "nr_inodes=3", "nr_inodes=5"])
def test_a_run_whose_folder_cannot_be_made_leaves_nothing(mount, options):
    disk = mount(options)
    with pytest.raises(DiskError, match="cannot be written"):
        record(disk, begin)
    assert list(disk.iterdir()) == []


def test_a_run_that_did_not_begin_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        record(tmp_path / "runs", lambda run: 1 / 0)
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.usefixtures("few_digits")
def test_a_checkpoint_that_does_not_fit_leaves_the_last_one_to_go_on_from(mount):
    disk = mount("size=2m")
    config = AEConfig(epochs=6, width=16, runs_dir=str(disk), wandb="disabled", batch_size=32)
    with pytest.raises(DiskError, match=rf"checkpoints/(best|last)\.pt: {FULL}"):
        train_until_full(config, disk)
    run = only_run(disk)
    assert run.status == "failed"
    best = torch.load(run.path / "checkpoints" / "best.pt", weights_only=True)
    assert best["step"] == 9  # of the first epoch: 270 digits
    assert parts(disk) == []
    before = files_of(run.path)
    with pytest.raises(DiskError, match=f"summary.json.*: {FULL}"):
        train(config, resume=run.path)
    assert files_of(run.path) == before  # a disk that is still full takes nothing away
    (disk / "filler").unlink()
    train(config, resume=run.path)
    assert only_run(disk).status == "finished"


def files_of(folder):
    """Files of a folder by name, as they are."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def train_until_full(config, disk):
    """Train, and take all room once there is a checkpoint of the first epoch."""
    real = Checkpoints.write

    def write(self, *names):
        if (self.folder / "best.pt").exists():
            fill(disk)
        real(self, *names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "write", write)
        train(config)


def test_a_report_that_does_not_fit_names_the_file(tmp_path):
    runs, out = Records(tmp_path / "runs"), tmp_path / "out"
    runs.run("ae")
    page = write_report(str(runs.folder), str(out))
    before = page.read_text()
    with limit(5_000), pytest.raises(DiskError, match=rf"out/figures/.*png: {TOO_LARGE}"):
        write_report(str(runs.folder), str(out))
    assert page.read_text() == before
    assert parts(out) == []


def test_samples_that_cannot_be_kept_leave_no_torn_file(tmp_path):
    for columns, target in ((1, tmp_path / "a.png"), (0, tmp_path / "b")):
        with limit(1_000), pytest.raises(DiskError, match=TOO_LARGE):
            _save(NOISE[None], target, columns)
        assert [*tmp_path.rglob("*.png"), *parts(tmp_path)] == []
    with pytest.raises(UserError, match=r"out=.*a\.txt: no kind of picture ends so"):
        _save(NOISE[None], tmp_path / "a.txt", columns=1)
    _save(NOISE[None], tmp_path / "a.bmp", columns=1)
    with Image.open(tmp_path / "a.bmp") as grid:
        assert (np.asarray(grid)[1:-1, 1:-1] == NOISE).all()


def use_cache(folder):
    """Paint and score where no cache can be kept."""
    say_once.cache_clear()
    assert [_painted(2, 16, seed).shape for seed in (0, 1)] == [(2, 3, 16, 16)] * 2
    for key in (0, 1):
        features = Cache(folder / "features").get("f", [key], lambda: {"x": NOISE})
        assert features["x"] is NOISE


def check_said_once(said, folder, reason):
    pictures, features = [line for line in said.splitlines() if "cannot be kept" in line]
    assert pictures.startswith(f"{folder}: the pictures cannot be kept ({reason})")
    assert "set $GENBENCH_CACHE" in pictures
    assert features.startswith(f"{folder}/features: features cannot be kept (")


def test_a_cache_that_does_not_fit_is_said_once_and_work_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    with limit(300):
        use_cache(tmp_path / "cache")
    check_said_once(capsys.readouterr().err, tmp_path / "cache", "File too large")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_in_the_caches_place_is_said_once_and_work_goes_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    use_cache(tmp_path / "cache")
    check_said_once(capsys.readouterr().err, tmp_path / "cache", "File exists")


def test_a_cache_that_is_read_only_is_said_once_and_work_goes_on(mount, monkeypatch, capsys):
    disk = mount("ro")
    monkeypatch.setenv("GENBENCH_CACHE", str(disk))
    use_cache(disk)
    check_said_once(capsys.readouterr().err, disk, "Read-only file system")


def test_painted_pictures_are_read_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    painted = _painted(3, 16, 0)
    monkeypatch.setattr("genbench.data.synthetic.paint", lambda *args: pytest.fail("painted"))
    np.testing.assert_array_equal(_painted(3, 16, 0), painted)


COMMAND = """
import sys
from genbench.cli import guard
def main():
    for i in range(2000):
        print("a line of many", i, flush=i % 2)
    print("done", file=open({done!r}, "w"))
    {end}
guard(main)
"""


def command(tmp_path, end="pass", **streams):
    """Exit code and stderr of a command that prints much, and whether it did all of its work."""
    done = tmp_path / "done"
    program = COMMAND.format(done=str(done), end=end)
    ended = subprocess.run([sys.executable, "-c", program], text=True, cwd=ROOT, **streams)
    return ended.returncode, ended.stderr, done.exists()


def test_a_full_stdout_costs_no_work_and_is_said(tmp_path):
    with open("/dev/full", "w") as full:
        code, said, done = command(tmp_path, stdout=full, stderr=subprocess.PIPE)
        assert (code, done) == (2, True)
        assert said == (
            "error: stdout: cannot be written (No space left on device); all else is done\n"
        )
        end = "from genbench import UserError; raise UserError('bad')"
        code, said, _ = command(tmp_path, end, stdout=full, stderr=subprocess.PIPE)
        assert (code, said) == (2, "error: bad\n")
        assert command(tmp_path, stdout=full, stderr=full)[0] == 2
        assert command(tmp_path, "sys.exit(7)", stdout=full, stderr=full)[0] == 7


def test_a_full_stderr_costs_nothing(tmp_path):
    with open("/dev/full", "w") as full:
        end = "[print('x' * 100, file=sys.stderr) for _ in range(1000)]"
        code, _, done = command(tmp_path, end, stdout=subprocess.DEVNULL, stderr=full)
    assert (code, done) == (0, True)


def test_a_pipe_that_nobody_reads_ends_quietly_after_the_work(tmp_path):
    read, write = os.pipe()
    os.close(read)
    code, said, done = command(tmp_path, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (code, said, done) == (141, "", True)


def test_a_closed_stdout_is_no_file_of_ours(tmp_path):
    end = f"open({str(tmp_path / 'file')!r}, 'w'); import os; os.write(1, b'stray')"
    code, said, done = command(
        tmp_path, end, preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE
    )
    assert (code, said, done) == (0, "", True)
    assert (tmp_path / "file").read_text() == ""


def test_help_on_a_full_stdout_is_an_error():
    with open("/dev/full", "w") as full:
        ended = subprocess.run(["genbench", "--help"], stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 2
    assert b"error: stdout: cannot be written" in ended.stderr


def test_a_training_whose_lines_cannot_be_printed_is_finished(tmp_path):
    script = [sys.executable, str(ROOT / "experiments" / "ae.py"), "--wandb=disabled"]
    flags = ["--epochs=1", "--width=8", "--batch_size=512", "--save=False"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            script + flags, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert only_run(tmp_path / "runs").status == "finished"
