"""`genbench ui`: its answers against the records, and the page in headless Chromium."""

import http.client
import io
import json
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from browser import browser_page
from PIL import Image
from records import KIDS, Records, tile

from genbench import UserError
from genbench.files import to_json
from genbench.images import shrink
from genbench.images import tile as tiled
from genbench.record import Run, read_runs, read_studies
from genbench.record.reader import look_at_run
from genbench.stats import Sample
from genbench.ui import views
from genbench.ui.server import make_app, server_of
from genbench.ui.sockets import is_loopback, listen, url_of
from genbench.ui.store import Store

EVIL = "<img src=x onerror=window.hacked=1>"
UNNAMED = [
    "/api/runs/../secret.png",
    "/api/runs/%2e%2e",
    "/api/runs/%2e%2e/log",
    "/api/runs/run-001/files/../../secret.png",
    "/api/runs/run-001/files/%2e%2e/%2e%2e/secret.png",
    "/api/runs/run-001/files/..%2f..%2fsecret.png",
    "/api/runs/run-001/files//etc/passwd",
    "/api/runs/run-001/files/config.json",
    "/api/runs/run-001/files/samples/unnamed.png",
    "/api/runs/run-001/files/samples/link.png",
    "/api/runs/run-001/files/samples/epoch-0099.png",
    "/api/runs/outside",
    "/api/studies/..%2frun-001%2fconfig",
    "/static/../store.py",
    "/static/%2e%2e/store.py",
    "/plotly/%2e%2e/__init__.py",
]


@contextmanager
def serving(folder, local=True):
    """The page over a folder, as a host and port."""
    with listen("127.0.0.1", 0) as socket:
        server = server_of(make_app(folder, local))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        try:
            yield f"127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            assert not thread.is_alive()


def ask(where, path, **headers):
    """Status, headers and bytes of an answer to exactly this path."""
    connection = http.client.HTTPConnection(where, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def ask_json(where, path):
    status, _, content = ask(where, path)
    assert status == 200, content
    return json.loads(content)


def picture(content):
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.fixture
def records(tmp_path):
    (tmp_path / "runs").mkdir()
    return Records(tmp_path / "runs")


@pytest.fixture
def page_of(records):
    """Open the page over the records: `with page_of("#tab=run") as page:`."""

    @contextmanager
    def opened(address="", **how):
        with serving(records.folder) as where, browser_page(**how) as page:
            page.goto(f"http://{where}/{address}")
            yield page
            assert page.heard.errors == []
            assert page.heard.elsewhere == []
            assert page.evaluate("window.hacked") is None

    return opened


def test_the_table_says_what_the_records_say(records):
    records.run("vae", config={"latent_dim": 3})
    records.gan(seed=2, status="failed", error="Diverged: at step 50")
    records.study("vae", [-100.0, None, -90.0])
    found = Store(records.folder).changes(0, "")
    rows = {row["name"]: row for row in found["runs"]}
    assert (found["there"], found["more"]) == (True, False)
    for record in read_runs(records.folder):
        row = rows[record.path.name]
        assert row["config"] == record.config
        assert (row["model"], row["status"]) == (record.model, record.status)
        assert row["score"] == record.scores.get(record.about["objective"], KIDS[-1])
        assert row["epochs"] == record.metrics()[-1]["epoch"]
        assert row["seconds"] == 10.0
    assert [row["ended"] for row in found["runs"]] == [False, True]  # the newest first
    (study,) = read_studies(records.folder)
    assert found["studies"][0]["name"] == study["name"]
    assert found["studies"][0]["trials"] == 3


def test_only_what_changed_is_said(records):
    path = records.run("vae")
    records.run("ae")
    store = Store(records.folder)
    first = store.changes(0, "")
    again = store.changes(first["version"], first["session"])
    assert (again["runs"], len(again["names"])) == ([], 2)
    (path / "summary.json").write_text(to_json({"status": "failed", "error": "no"}))
    changed = store.changes(first["version"], first["session"])
    assert [(row["name"], row["status"]) for row in changed["runs"]] == [(path.name, "failed")]
    assert len(store.changes(first["version"], "of an earlier server")["runs"]) == 2


def test_a_run_is_seen_from_its_beginning_to_its_end(tmp_path):
    folder = tmp_path / "later"
    store = Store(folder)
    assert store.changes(0, "")["there"] is False
    with Run(str(folder), "vae", wandb="disabled") as run:
        run.begin({"seed": 0}, model="vae", objective="val/elbo", direction="maximize")
        run.log("val", {"elbo": -7.5}, step=1, epoch=1)
        (row,) = store.changes(0, "")["runs"]
        assert (row["status"], row["score"], row["ended"]) == ("running", -7.5, False)
        run.summary["scores"] = {"val/elbo": -7.0}
    (row,) = store.changes(0, "")["runs"]
    assert (row["status"], row["score"], row["ended"]) == ("finished", -7.0, True)


def test_a_run_that_was_killed_is_not_running(records):
    path = records.run("vae")
    (path / "summary.json").unlink()
    (row,) = Store(records.folder).changes(0, "")["runs"]
    assert row["status"] == "unfinished"


def test_a_growing_log_is_read_from_where_it_was(records):
    path = records.run("vae")
    log = path / "metrics.jsonl"
    row = {"step": 50, "epoch": 5, "split": "val", "kl": 3.0}
    with serving(records.folder) as where:
        first = ask_json(where, f"/api/runs/{path.name}/log?at=0&generation=")
        assert first["rows"] == [dict(r) for r in read_runs(records.folder)[0].metrics()]
        assert first["titles"]["kl"] == {"title": "KL", "unit": "nats an image", "better": ""}
        assert first["at"] == log.stat().st_size

        def more(at):
            return ask_json(
                where, f"/api/runs/{path.name}/log?at={at}&generation={first['generation']}"
            )

        assert more(first["at"])["rows"] == []
        with log.open("a") as file:
            file.write(json.dumps(row) + '\nno JSON\n{"step": 60, "ep')
        second = more(first["at"])
        assert (second["rows"], second["anew"]) == ([row], False)
        with log.open("a") as file:
            file.write('och": 6, "split": "val", "kl": "NaN"}\n')
        assert more(second["at"])["rows"] == [row | {"step": 60, "epoch": 6, "kl": "NaN"}]
        os.utime(path / "config.json", (1, 1))  # a run that goes on: its log was cut back
        anew = more(second["at"])
        assert anew["anew"]
        assert len(anew["rows"]) == len(first["rows"]) + 2


def test_a_long_log_comes_in_parts(records, monkeypatch):
    path = records.run("vae")
    monkeypatch.setattr(views, "MOST", 500)
    at, rows, more = 0, [], True
    generation = views.log(path, 0, "")["generation"]
    while more:
        part = views.log(path, at, generation)
        assert part["at"] > at
        at, more = part["at"], part["more"]
        rows += part["rows"]
    assert rows == read_runs(records.folder)[0].metrics()


def test_what_is_damaged_is_shown_with_its_problem(records):
    whole, torn, gone = records.run("vae"), records.run("vae"), records.run("vae")
    (torn / "config.json").write_text('{"config": ')
    (gone / "latents.npz").write_bytes(b"PK no archive")
    (gone / "metrics.jsonl").write_text('no JSON\n{"step": 1, "epoch": 1, "split": "val"}\n')
    (records.folder / "studies").mkdir()
    (records.folder / "studies" / "bad.json").write_text("[]")
    found = Store(records.folder).changes(0, "")
    rows = {row["name"]: row for row in found["runs"]}
    assert rows[whole.name]["status"] == "finished"
    assert rows[torn.name]["status"] == "damaged"
    assert "no JSON" in rows[torn.name]["problems"][0]
    assert "bad.json" in found["studies"][0]["problems"][0]
    with serving(records.folder) as where:
        said = ask_json(where, f"/api/runs/{gone.name}")["problems"]
        assert any("metrics.jsonl:1" in line for line in said)
        assert any("latents.npz" in line for line in said)
        assert ask_json(where, f"/api/runs/{gone.name}/codes") == {"n": 0}
        assert ask(where, f"/api/runs/{torn.name}")[0] == 404


def test_a_run_says_all_that_is_known(records):
    path = records.gan()
    ruler = {
        **{"extractor": "efficientnet-lite0", "weights": "ab", "reals": "cd"},
        **{"split": "test", "size": 32, "n": 500},
    }
    scores = {"ruler": ruler, "values": {"kid": [0.1, 0.2, 0.4]}, "errors": {"kid": 0.01}}
    line = {"sampler": "prior", "scores": [scores | {"floor": {"kid": 0.001}}]}
    (path / "evaluations.jsonl").write_text(to_json(line) + "\n")
    with serving(records.folder) as where:
        found = ask_json(where, f"/api/runs/{path.name}")
    record = read_runs(records.folder)[0]
    assert found["about"] == record.about
    assert found["summary"] == record.summary
    (score,) = found["evaluations"][0]["scores"]
    sample = Sample.of([0.1, 0.2, 0.4])
    assert score["mean"] == pytest.approx(sample.mean)
    assert score["interval"] == pytest.approx(list(sample.interval(0.01)))
    assert (score["draws"], score["floor"]) == (3, 0.001)
    assert found["kept"] == {"originals": 64, "samples": 64, "neighbours": 8, "interpolations": 6}
    commands = [command for _, command in found["commands"]]
    assert f"genbench sync {path.name} --runs_dir={records.folder}" in commands
    assert not [command for command in commands if "sample" in command]  # it kept no weights


def test_pictures_are_those_of_the_record(records):
    path = records.gan()
    arrays = read_runs(records.folder)[0].arrays("pictures")
    with serving(records.folder) as where:
        run = f"/api/runs/{path.name}"
        status, headers, content = ask(where, f"{run}/files/samples/epoch-0002.png")
        assert (status, headers["content-type"]) == (200, "image/png")
        assert content == (path / "samples" / "epoch-0002.png").read_bytes()
        tag = {"If-None-Match": headers["etag"]}
        assert ask(where, f"{run}/files/samples/epoch-0002.png", **tag)[0] == 304
        _, _, content = ask(where, f"{run}/kept/originals.png")
        assert (picture(content) == tiled(arrays["originals"], 8)).all()
        _, _, content = ask(where, f"{run}/kept/neighbours.png")
        rows = arrays["neighbours"].reshape(-1, 16, 16, 3)
        assert (picture(content) == tiled(rows, 4)).all()
        assert ask(where, f"{run}/kept/manifold_extent.png")[0] == 404


def test_codes_lie_on_their_principal_axes(records):
    path = records.run("vae", config={"latent_dim": 5})
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 5)) * [1, 9, 2, 4, 1]
    small = rng.integers(0, 255, (60, 6, 6), dtype=np.uint8)
    labels = np.arange(60) % 3
    np.savez(path / "latents.npz", z=z, labels=labels, split=np.array("test"), pictures=small)
    with serving(records.folder) as where:
        found = ask_json(where, f"/api/runs/{path.name}/codes")
        _, _, content = ask(where, f"/api/runs/{path.name}/kept/codes.png")
    variances = np.linalg.eigvalsh(np.cov(z.T, bias=True))[::-1]
    assert np.var(found["x"]) == pytest.approx(variances[0], rel=1e-3)
    assert np.var(found["y"]) == pytest.approx(variances[1], rel=1e-3)
    assert found["variance"] == pytest.approx(variances[:2].sum() / variances.sum())
    assert (found["labels"], found["split"]) == (labels.tolist(), "test")
    place = found["pictures"]
    row, column = divmod(57, place["columns"])
    y, x = row * (place["height"] + 2) + 1, column * (place["width"] + 2) + 1
    assert (picture(content)[y : y + 6, x : x + 6] == small[57]).all()


def test_codes_of_two_dimensions_are_as_they_are(records):
    path = records.run("ae", config={"latent_dim": 2})
    found = views.codes(look_at_run(path)[0])
    z = np.load(path / "latents.npz")["z"]
    assert np.stack([found["x"], found["y"]], axis=1) == pytest.approx(z, rel=1e-3)
    assert found["pictures"] is None


def test_small_pictures_are_means_of_cells():
    images = np.arange(2 * 70 * 70, dtype=np.int64).reshape(2, 1, 70, 70) % 251
    small = shrink(images.astype(np.uint8), 32)
    assert small.shape == (2, 1, 23, 23)
    assert small[1, 0, 4, 7] == np.round(images[1, 0, 12:15, 21:24].mean())
    assert shrink(small, 32) is small


def test_nothing_is_served_that_no_record_names(records):
    run = records.gan()
    secret = records.folder.parent / "secret.png"
    secret.write_bytes(b"secret")
    (run / "samples" / "unnamed.png").write_bytes(b"secret")
    for link in ("link.png", "epoch-0099.png"):
        (run / "samples" / link).symlink_to(secret)
    named = {"step": 1, "epoch": 1, "split": "samples", "name": "x", "file": "samples/link.png"}
    with (run / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(named) + "\n" + json.dumps(named | {"file": "../secret.png"}) + "\n")
    outside = Records(records.folder.parent / "others").run("vae")
    (records.folder / "outside").symlink_to(outside)
    with serving(records.folder) as where:
        ask_json(where, "/api/runs")
        for path in UNNAMED:
            status, _, content = ask(where, path)
            assert (path, status) == (path, 404)
            assert b"secret" not in content


def test_only_this_machine_is_answered(records):
    with serving(records.folder) as where:
        for host in ("127.0.0.1:9", "localhost", "[::1]:80"):
            assert ask(where, "/api/runs", Host=host)[0] == 200
        for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1"):
            status, _, content = ask(where, "/api/runs", Host=host)
            assert (status, content) == (400, b"Invalid host header")
        headers = ask(where, "/")[1]
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    with serving(records.folder, local=False) as where:
        assert ask(where, "/api/runs", Host="laptop.example")[0] == 200


def test_ports():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert url_of(taken) == f"http://127.0.0.1:{port}/"
        assert is_loopback(taken)
        with pytest.raises(UserError, match=f"port={port}: is taken; try --port={port + 1}"):
            listen("127.0.0.1", port)
    with pytest.raises(UserError, match="port=99999: ports go from 0"):
        listen("127.0.0.1", 99999)
    with pytest.raises(UserError, match=r"host=192\.0\.2\.1: no address of this machine"):
        listen("192.0.2.1", 0)
    with listen("0.0.0.0", 0) as everywhere:
        assert not is_loopback(everywhere)


def test_the_default_port_falls_to_the_next(monkeypatch):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("genbench.ui.sockets.PORT", port)
        with listen("127.0.0.1", port) as other:
            assert other.getsockname()[1] != port


def test_the_command_serves_until_ctrl_c(records):
    path = records.run("vae")
    command = ["genbench", "ui", str(records.folder), "--port=0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        line = process.stdout.readline()
        where = re.search(r"http://(127\.0\.0\.1:\d+)/", line)[1]
        (row,) = ask_json(where, "/api/runs")["runs"]
        assert row["name"] == path.name
        assert b"<title>genbench</title>" in ask(where, "/")[2]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_a_file_is_no_folder_with_runs(script, tmp_path):
    (tmp_path / "file").write_text("")
    done = script("genbench", "ui", "file")
    assert done.returncode == 2
    assert done.stderr == "error: runs_dir=file: no folder; name one with run folders\n"


def test_what_records_say_is_text_wherever_it_stands(records):
    hostile = {"data_dir": EVIL, "group": EVIL, "data": EVIL, "arch": EVIL}
    good = records.run("vae", config={"latent_dim": 2, "arch": "mlp"})
    evil = records.run("vae", config=hostile, status="failed", error=f"{EVIL}<script>hacked=1;")
    about = json.loads((evil / "config.json").read_text())
    classes = {f"{EVIL}{i}": i for i in range(10)}
    named = {"classes": classes, "objective": f"val/{EVIL}", "group": EVIL, "created": "9"}
    (evil / "config.json").write_text(to_json(about | named))
    with (evil / "metrics.jsonl").open("a") as log:
        for step in (50, 60):
            row = {"step": step, "epoch": step / 10, "split": EVIL, EVIL: 1.0, "kl": 2.0}
            log.write(json.dumps(row) + "\n")
        log.write(json.dumps(row | {"split": "val"}) + "\n")
        media = {"step": 1, "epoch": 1, "split": "samples", "name": EVIL, "file": f"{EVIL}.png"}
        log.write(json.dumps(media) + "\n")
    evil = evil.rename(records.folder / EVIL)
    records.study("vae", [-100.0, -90.0], name=EVIL, data=EVIL)
    names = f"{evil.name},{good.name}"
    with (
        serving(records.folder) as where,
        browser_page(dark=True, width=390, height=844) as page,
    ):
        page.goto(f"http://{where}/#runs={names.replace('=', '%253D').replace(' ', '%2520')}")
        page.locator(".scatterlayer .trace").first.wait_for()
        page.get_by_text("charts:").click()
        page.get_by_role("button", name=EVIL, exact=True).first.click()
        for tab in ("Samples", "Latents", "Compare", "Search", "Run"):
            page.get_by_role("tab", name=tab).click()
            page.locator("#panel > *").first.wait_for(state="attached")
            page.wait_for_timeout(150)
        assert page.locator("#panel").get_by_text("<script>hacked=1;").count() == 1
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img[src=x]").count() == 0
        assert page.heard.elsewhere == []
        damaged = [error for error in page.heard.errors if "404" not in error]
        assert damaged == []  # the picture that is not there is a 404
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == 390


def test_the_table_sorts_filters_and_keeps_its_address(records, page_of):
    for latent_dim, elbo in ((8, -90.0), (32, -120.0), (2, -100.0)):
        records.run("vae", config={"latent_dim": latent_dim}, scores={"elbo": elbo})
    names = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.dataset.run)"
    with page_of("#tab=compare") as page:
        page.locator("#table tbody tr").nth(2).wait_for()
        assert page.evaluate(names) == ["run-003", "run-002", "run-001"]
        header = page.locator("#table th", has_text="latent_dim")
        header.get_by_role("button").click()
        assert page.evaluate(names) == ["run-003", "run-001", "run-002"]
        assert header.get_attribute("aria-sort") == "ascending"
        header.get_by_role("button").press("Enter")
        assert page.evaluate(names) == ["run-002", "run-001", "run-003"]
        page.locator("#filter").fill("vae latent_dim>2")
        assert page.evaluate(names) == ["run-002", "run-001"]
        assert page.locator("#shown").text_content() == "2 of 3 runs"
        page.get_by_role("button", name="Clear").click()
        page.get_by_role("checkbox", name="compare run-001").press("Space")
        page.reload()
        page.locator("#table tbody tr").nth(1).wait_for()
        assert page.evaluate(names) == ["run-002", "run-001"]
        assert page.get_by_role("checkbox", name="compare run-001").is_checked()
        assert not page.get_by_role("checkbox", name="compare run-002").is_checked()
        assert page.locator("#ticked .chip").count() == 1
        page.locator("#tab-compare").press("ArrowRight")
        assert page.get_by_role("tab", name="Search").get_attribute("aria-selected") == "true"


def test_a_run_that_begins_and_grows_is_seen(records, page_of):
    last = "document.querySelector('.drawing').data.find((t) => t.name.endsWith('val')).y.at(-1)"
    with page_of() as page:
        page.get_by_text("There are no runs in").wait_for()
        with Run(str(records.folder), "vae", wandb="disabled") as run:
            config = {"seed": 0, "data": "digits", "epochs": 9}
            run.begin(config, model="vae", objective="val/elbo", direction="maximize")
            for epoch in (1, 2):
                run.log("val", {"elbo": -100.0 / epoch}, step=epoch, epoch=epoch)
            page.locator("#table .status.running").wait_for(timeout=15000)
            page.locator(".scatterlayer .trace").first.wait_for()
            assert page.locator("#live").text_content() == "1 training"
            assert page.evaluate(last) == -50.0
            run.log("val", {"elbo": -25.0}, step=3, epoch=3)
            page.locator("#table td", has_text="−25").wait_for(timeout=15000)
            until = time.monotonic() + 15
            while page.evaluate(last) != -25.0 and time.monotonic() < until:
                page.wait_for_timeout(100)
            assert page.evaluate(last) == -25.0
        page.locator("#table .status.finished").wait_for(timeout=15000)
        logs = [url for url in page.heard.requests if "/log?" in url]
        assert len(logs) == len(set(logs))  # no byte is asked for again


def test_the_slider_shows_another_epoch(records, page_of):
    run = records.gan()
    pixel = """async (image) => {
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        canvas.getContext("2d").drawImage(image, 0, 0);
        return [...canvas.getContext("2d").getImageData(1, 1, 1, 1).data].slice(0, 3);
    }"""
    with page_of(f"#tab=samples&runs={run.name}") as page:
        image = page.get_by_alt_text(re.compile(f"samples of {run.name}, epoch"))
        image.wait_for()
        assert image.evaluate(pixel) == tile(len(KIDS), 0)[0, 0].tolist()
        page.locator("#epoch").press("Home")
        assert page.locator("output").text_content() == "epoch 1 of 6"
        assert image.evaluate(pixel) == tile(1, 0)[0, 0].tolist()
        assert "epoch=1" in page.url
        page.locator("#play").click()
        page.get_by_text("epoch 6 of 6").wait_for()
        originals = read_runs(records.folder)[0].arrays("pictures")["originals"]
        real = page.get_by_alt_text("real pictures of")
        assert real.evaluate(pixel) == originals[0, 0, 0].tolist()


def test_the_picture_of_a_code_and_the_trials_of_a_search(records, page_of):
    run = records.run("vae", config={"latent_dim": 2})
    z = np.array([[-1.0, -1.0], [1.0, 1.0]], np.float32)
    small = np.stack([np.zeros((4, 4), np.uint8), np.full((4, 4), 200, np.uint8)])
    kept = {"z": z, "labels": np.array([3, 7]), "split": np.array("val"), "pictures": small}
    np.savez(run / "latents.npz", **kept)
    records.study("vae", [-100.0, None, -90.0])
    with page_of("#tab=latents") as page:
        point = page.locator(".scatterlayer .point").first
        point.wait_for()
        thumb = page.locator(".thumb")
        thumb.wait_for(state="attached")
        point.hover(force=True)
        thumb.wait_for()
        assert thumb.get_attribute("aria-label") == "picture of a code, label 3"
        buttons = page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
        kept = ["zoom", "pan", "reset axes", "download plot as a png"]
        assert [title.lower() for title in buttons] == kept
        page.get_by_role("tab", name="Search").click()
        page.locator("#panel tbody tr").nth(2).wait_for()
        trials = page.locator("#panel tbody tr td:nth-child(-n+3)").all_text_contents()
        assert trials[:3] == ["4", "complete (best)", "−90"]
        assert trials[-3:] == ["2", "failed", ""]
        page.locator("figure[aria-label=lr] .point").nth(1).wait_for()
        drawn = page.evaluate("document.querySelector('figure[aria-label=lr] .drawing').data[0]")
        assert (drawn["x"], drawn["y"]) == ([0.01, 0.03], [-100.0, -90.0])


def test_a_thousand_runs_are_drawn(records, page_of):
    first = records.run("vae")
    about = json.loads((first / "config.json").read_text())
    for i in range(999):
        folder = records.folder / f"many-{i:03d}"
        folder.mkdir()
        config = about["config"] | {"lr": i / 1000}
        (folder / "config.json").write_text(json.dumps(about | {"config": config}))
        (folder / "summary.json").write_text('{"status": "finished"}')
    with page_of("#tab=compare") as page:
        page.locator("#table tbody tr").nth(999).wait_for(state="attached")
        assert page.locator("#shown").text_content() == "1000 runs"
        page.locator("#filter").fill("lr>=0.99")
        assert page.locator("#table tbody tr").count() == 9
