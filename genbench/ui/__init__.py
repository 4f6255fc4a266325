"""`genbench ui`: a live page over the run records. It reads files only: no torch, no W&B."""

from pathlib import Path

from genbench import UserError
from genbench.console import say
from genbench.environment import has_display

PORT = 8765


def ui(
    runs_dir: str = "runs",
    /,
    host: str = "127.0.0.1",
    port: int = PORT,
    open: bool = False,
) -> None:
    """Serve a page that shows runs while they train: curves, samples, codes and searches.

    Ctrl-C ends it. It reads the records in runs_dir and writes nothing.

    Args:
        runs_dir: Folder with the run folders; it may be empty still.
        host: Address to serve at. Only this machine can reach 127.0.0.1; 0.0.0.0 is all networks.
        port: To serve at (0: any that is free). If 8765 is taken, the next that is free.
        open: Open the page in a browser.
    """
    folder = Path(runs_dir).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"runs_dir={runs_dir}: no folder; name one with run folders")
    from genbench.ui.server import make_app, server_of
    from genbench.ui.sockets import is_loopback, listen, url_of

    with listen(host, port) as socket:
        url = url_of(socket)
        if port and url.rpartition(":")[2] != f"{port}/":
            say(f"port {port} is taken")
        print(f"The runs in {folder}: {url} (Ctrl-C ends it)", flush=True)
        local = is_loopback(socket)
        if not local:
            say(f"host={host}: whoever can reach this machine can see the runs; no password")
        if open:
            _open(url)
        server_of(make_app(folder, local, str(socket.getsockname()[0]))).run(sockets=[socket])


def _open(url: str) -> None:
    """Show the page in a browser, where there is a display."""
    import webbrowser

    if not (has_display() and webbrowser.open(url)):
        say(f"open=True: no browser or no display here; open {url}")
