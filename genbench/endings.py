"""How a command ends: bad input, Ctrl-C, a stdout that nobody reads, a process of several."""

import atexit
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from genbench import UserError, environment, signals
from genbench.console import first_line, lenient_output, say, say_end


def guard(main: Callable[[], None], together: bool = False) -> None:
    """Run `main`; bad input is one line and exit code 2, Ctrl-C and SIGTERM end in good order.

    What cannot be printed costs no work: it is said at the end, but where nobody reads on. A second
    Ctrl-C ends the process at once, also while it closes what the first one left open.

    Args:
        main: What is run.
        together: Several processes of torchrun may do it together. The first one prints; one line
            says why all of them ended.
    """
    silent = environment.rank() > 0
    with lenient_output(silent) as stdout:
        try:
            with signals.owned("" if silent else signals.HINT):
                if not together:
                    environment.check_alone(" ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]))
                main()
        except UserError as error:
            say_end(f"error: {error}")
            sys.exit(2)
        except KeyboardInterrupt:
            atexit.register(signal.signal, signal.SIGINT, signals.end)  # W&B's end may take seconds
            say("interrupted; what is done is kept")
            sys.exit(128 + signal.SIGINT)
        except SystemExit as ended:
            if ended.code:  # 0: --help was printed
                raise
        except Exception as error:
            if environment.processes() == 1:
                raise
            _end_of_several(error)
        stdout.flush()
        if isinstance(stdout.error, BrokenPipeError):  # `genbench runs | head`
            sys.exit(128 + signal.SIGPIPE)
        if stdout.error:
            say(f"error: stdout: cannot be written ({stdout.error.strerror}); all else is done")
            sys.exit(2)


def _end_of_several(error: Exception) -> NoReturn:
    """Say in one line what went wrong in this process; torchrun shows the traceback."""
    if environment.by_torchrun():
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(error)
    who = f"rank {environment.rank()} of {environment.processes()}"
    say_end(f"failed: {who}: {type(error).__name__}: {first_line(error)}")
    sys.exit(1)
