"""The command `quietcrm`: the tree of commands, and how errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from config.errors import ConfigError, QuietcrmError
from daemon.cli import (
    customers,
    database,
    demo,
    history,
    outbox,
    pausing,
    reading,
    reports,
    rules,
    running,
    schema,
    sequences,
    setup,
    shadow,
    signing,
    templates,
)
from daemon.cli.options import Invocation
from daemon.cli.screen import Exit, remark

app = typer.Typer(
    name="quietcrm",
    help="A CRM that nobody has to open. Reads the office's mailboxes and keeps the customer history by itself.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    setup,
    schema,
    running,
    signing,
    shadow,
    pausing,
    customers,
    history,
    outbox,
    sequences,
    templates,
    rules,
    reports,
    reading,
    database,
    demo,
):
    part.register(app)


@app.callback()
def choose(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="DIR",
            help="Folder with quietcrm.yaml. Default: $QUIETCRM_CONFIG, the current folder, /etc/quietcrm.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, warnings only.")] = False,
) -> None:
    """Remember what holds for every command."""
    context.obj = Invocation(directory=_directory(config), verbose=verbose, quiet=quiet)


def _directory(named: Path | None) -> Path:
    if named:
        return named
    if os.environ.get("QUIETCRM_CONFIG"):
        return Path(os.environ["QUIETCRM_CONFIG"])
    here = Path.cwd()
    system = Path("/etc/quietcrm")
    # os.access is no for a folder we may not even look into, where Path.exists would raise
    in_here, in_system = (os.access(folder / "quietcrm.yaml", os.F_OK) for folder in (here, system))
    return here if in_here or not in_system else system


def main() -> None:
    """Entry point of the console script."""
    try:
        app(standalone_mode=True)
    except ConfigError as error:
        _show_problems(error)
        sys.exit(Exit.CONFIG)
    except QuietcrmError as error:
        remark(f"error: {error.message}")
        if error.hint:
            remark(f"  = help: {error.hint}")
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FINE)
    except OSError as error:  # a file of the user's that cannot be read or written
        remark(f"error: {error.filename or 'a file'}: {error.strerror or error}")
        remark("  = help: check that it is there and who may read it")
        sys.exit(Exit.PROBLEMS)


def _show_problems(error: ConfigError) -> None:
    from config.show import render_problems

    remark(render_problems(error.problems))
    remark(f"{error.message}; nothing was run. See: quietcrm check")


def exit_code(error: QuietcrmError) -> Exit:
    """The exit code of an error, by its class; of an error of the daemon, by the class it had there."""
    from config.secrets import SecretUnavailable
    from connectors.errors import AuthRejected, ConnectorError, Misconfigured, OtherMailbox
    from daemon.errors import NotRunning, Refused
    from store.errors import AlreadyRunning, NotFound, StoreBusy, StoreUnavailable

    meanings: dict[Exit, tuple[type[QuietcrmError], ...]] = {
        Exit.CONFIG: (ConfigError, Misconfigured),
        Exit.NOT_FOUND: (NotFound,),
        Exit.LOGIN: (AuthRejected, OtherMailbox, SecretUnavailable),
        Exit.NETWORK: (ConnectorError, StoreBusy, StoreUnavailable),
        Exit.REFUSED: (Refused,),
        Exit.RUNNING: (AlreadyRunning, NotRunning),
    }
    kind = _kind(error)
    return next((code for code, kinds in meanings.items() if issubclass(kind, kinds)), Exit.PROBLEMS)


def _kind(error: QuietcrmError) -> type[QuietcrmError]:
    """The class of an error; what the daemon told over its socket is looked up by name."""
    from connectors import errors as of_connectors
    from daemon import errors as of_daemon
    from daemon.control import RemoteError
    from store import errors as of_store

    if not isinstance(error, RemoteError):
        return type(error)
    found = (getattr(module, error.kind, None) for module in (of_store, of_daemon, of_connectors))
    return next((one for one in found if one is not None), QuietcrmError)
