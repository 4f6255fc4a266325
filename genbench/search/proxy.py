"""Optuna's gRPC proxy: machines that reach one port share a SQLite study on one of them.

The protocol knows no heartbeats. So a trial's beat goes over the wire as a user attribute, which
`serve` records as the database's own heartbeat, and `serve` fails the trials that give none any
more: whether a process comes through the proxy or opens the database itself makes no difference.
"""

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import GrpcStorageProxy
from optuna.storages._grpc.auto_generated.api_pb2_grpc import StorageServiceStub
from optuna.storages._grpc.client import GrpcClientCache
from optuna.storages._grpc.server import make_server
from optuna.storages._heartbeat import BaseHeartbeat

from genbench import UserError, signals
from genbench.record.provenance import masked
from genbench.search import study as studies

FIRST_PATIENCE = 10  # seconds that a server may take to answer the first call
PATIENCE = 30  # seconds that it may take later, to be started again for example
CLOSING = 5  # seconds that calls have to end when a server is stopped
KNOWN = (  # what a client of Optuna's reads as an answer
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
)


class Proxy(GrpcStorageProxy, BaseHeartbeat):
    """A study's database behind a proxy, `grpc://HOST:PORT`; it fails as a database does.

    Raises:
        UserError: The URL has another form.
    """

    def __init__(self, url: str):
        form = re.fullmatch(r"grpc://([^/:]+|\[[^]/]+\]):(\d{1,5})/?", url)
        if not form:
            raise UserError("write grpc://HOST:PORT, as genbench storage prints it")
        super().__init__(host=form[1], port=int(form[2]))

    def _setup(self) -> None:
        super()._setup()
        patient = _Patience(f"{self._host}:{self._port}")
        self._channel = grpc.intercept_channel(self._channel, patient)
        self._stub = StorageServiceStub(self._channel)
        self._cache = GrpcClientCache(self._stub)

    def record_heartbeat(self, trial_id: int) -> None:
        """Send a sign of life; one that does not arrive is followed by others."""
        with suppress(StorageInternalError, KeyError):
            self.set_trial_user_attr(trial_id, studies.BEAT, True)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return []  # the server's to know

    def get_heartbeat_interval(self) -> int:
        """Seconds between two."""
        return studies.HEARTBEAT

    def get_heartbeat_stale_trial_callback(self) -> None:
        """The server's to do."""


class _Patience(grpc.UnaryUnaryClientInterceptor):
    """Gives a server that is away time to come back; then raises what a database raises."""

    def __init__(self, place: str):
        self.place, self.seconds = place, FIRST_PATIENCE

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        waiting = details._replace(timeout=self.seconds, wait_for_ready=True)
        call = continuation(waiting, request)
        error = call.exception()
        if error is None or error.code() in KNOWN:
            self.seconds = PATIENCE
            return call
        self.seconds = 1  # whoever asks next need not wait as long again
        silent = error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        why = "does not answer" if silent else error.details().splitlines()[0]
        raise StorageInternalError(f"grpc://{self.place}: {why}; genbench storage starts it")


class _Served(studies.Database):
    """The database of a server: a client's beat is recorded as its own heartbeats are."""

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if key == studies.BEAT:
            self.record_heartbeat(trial_id)
        else:
            super().set_trial_user_attr(trial_id, key, value)


@signals.noted()
def serve(url: str, host: str, port: int, begun: Callable[[], None] = lambda: None) -> None:
    """Serve a study's database until Ctrl-C or SIGTERM.

    Args:
        url: The database.
        host: The address to listen at.
        port: The port to listen at.
        begun: Called once others are served.

    Raises:
        UserError: The database cannot be opened, or the port not be had.
    """
    if not 0 < port < 2**16:
        raise UserError(f"port={port}: must be 1 to 65535")
    try:
        storage = optuna.storages.get_storage(studies.open_storage(url, _Served))
    except Exception as error:  # as in `open_study`
        raise studies.cannot_open(url, error) from error
    try:
        socket.create_server((host, port)).close()  # gRPC shares a port without a word
        server = make_server(storage, host, port)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"host={host}, port={port}: cannot be listened at ({error}); name others"
        ) from error
    server.start()
    try:
        begun()
        signals.sleep(studies.GRACE)  # who lives has shown it by then
        while True:
            _fail_stale(storage)
            signals.sleep(studies.HEARTBEAT / 10)
    finally:
        server.stop(CLOSING).wait()


def invitation(url: str, host: str, port: int) -> str:
    """What to type to join the studies that are served."""
    here, local = socket.gethostname(), host == "localhost" or host.startswith("127.")
    reached = here if host == "0.0.0.0" else host
    join = f"python experiments/optuna_vae.py --storage=grpc://{reached}:{port}"
    lines = [f"{masked(url)} is served at {host}:{port} until Ctrl-C; searches join it by"]
    if local:
        lines += [
            f"here:      {join}",
            f"elsewhere: ssh -fNL {port}:{host}:{port} {here} && {join}",
        ]
    else:
        lines += [join, "there is no password: whoever reaches the port can change the studies"]
    return "\n".join(lines)


def _fail_stale(storage: optuna.storages.BaseStorage) -> None:
    """Do for all studies what else those do who run their trials."""
    with suppress(StorageInternalError):  # busy: the next time, then
        for name in optuna.get_all_study_names(storage):
            studies.fail_stale(optuna.load_study(study_name=name, storage=storage))
