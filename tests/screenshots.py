"""The pictures of README: `make screenshots` takes them of the runs of `make demo`.

ui.png: `genbench ui` in Chromium, with the curves of the best VAE's final trainings.
leet.png: `wandb leet runs/demo/wandb` in tmux, its terminal drawn by rich.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import browser_page
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from test_ui import serving

from genbench.record import read_runs

COLUMNS, LINES = 150, 40  # of the terminal
SESSION = "genbench-screenshots"
ROOT = Path(__file__).parents[1]


def take_ui(runs_dir: Path, path: Path) -> None:
    """The page with the final trainings of the VAE's search ticked."""
    finals = [run for run in read_runs(runs_dir) if run.model == "vae" and run.tested]
    names = ",".join(run.path.name for run in finals)
    with serving(runs_dir) as base, browser_page(1280, 880) as page:
        page.goto(f"http://{base}/#runs={names}")
        page.wait_for_selector("#table tbody tr")
        page.wait_for_timeout(4_000)  # its charts are drawn
        page.screenshot(path=path)


def take_leet(runs_dir: Path, path: Path) -> None:
    """W&B's terminal viewer, the charts of a run beside the list of runs."""
    tmux = ("tmux", "-L", SESSION)
    leet = f"{Path(sys.executable).parent}/wandb leet {runs_dir}/wandb"
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    subprocess.run([*tmux, "new-session", "-d", *size, leet], check=True)
    try:
        time.sleep(8)
        drawn = subprocess.run(
            [*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True
        ).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    drawn = drawn.replace(str(ROOT), "~/genbench".ljust(len(str(ROOT))))
    with tempfile.TemporaryFile("w") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        for line in drawn.rstrip().splitlines():
            console.print(Text.from_ansi(line), soft_wrap=True)
        svg = console.export_svg(title="wandb leet runs/demo/wandb", theme=MONOKAI)
    svg = re.sub(r"@font-face {.*?}", "", svg, flags=re.DOTALL)  # fonts of this machine
    with browser_page(1400, 800) as page:
        page.set_content(f"<body style='margin:0'><div style='width:1400px'>{svg}</div>")
        page.locator("svg").screenshot(path=path)


def main() -> None:
    """Take both: `screenshots.py RUNS_DIR OUT`."""
    runs_dir, out = map(Path, sys.argv[1:])
    take_ui(runs_dir, out / "ui.png")
    take_leet(runs_dir, out / "leet.png")


if __name__ == "__main__":
    main()
