"""The socket that the page is served at."""

import errno
import ipaddress
import os
import socket
from itertools import chain

from genbench import UserError
from genbench.ui import PORT

TRIED = 50  # ports after the default one
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; if the default port is taken, at the next one that is free.

    Raises:
        UserError: The port is taken or not allowed, or the host is no address of this machine.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"port={port}: ports go from 0 (any that is free) to 65535")
    tried = range(PORT, PORT + TRIED) if port == PORT else [port]
    for number in chain(tried, [0] if port == PORT else []):
        try:
            return _bind(host, number)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port == PORT:
                continue
            raise _refused(host, port, error) from error
    raise UserError(f"port={port}: no port is free; end a program that listens")


def _bind(host: str, port: int) -> socket.socket:
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two programs have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    return bound


def _refused(host: str, port: int, error: OSError) -> UserError:
    """Why it cannot be served there, and the way out."""
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return UserError(f"port={port}: is taken; try --port={other}, or --port=0 for a free one")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"port={port}: not permitted; try one above 1023, such as --port={PORT}")
    reason = error.strerror or str(error)
    return UserError(f"host={host}: no address of this machine ({reason}); try --host=127.0.0.1")


def is_loopback(bound: socket.socket) -> bool:
    """Whether this machine alone can reach it."""
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def url_of(bound: socket.socket) -> str:
    """The page's address as this machine's browser can open it."""
    host, port = bound.getsockname()[:2]
    host = WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
