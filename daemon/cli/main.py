"""The command `quietcrm`: the tree of commands, and how errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from config.errors import ConfigError, QuietcrmError
from daemon.cli import customers, database, demo, history, outbox, reading, rules, running, setup
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
for part in (setup, running, customers, history, outbox, rules, reading, database, demo):
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
    return here if (here / "quietcrm.yaml").exists() or not (system / "quietcrm.yaml").exists() else system


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


def _show_problems(error: ConfigError) -> None:
    from config.show import render_problems

    remark(render_problems(error.problems))
    remark(f"{error.message}; nothing was run. See: quietcrm check")


def exit_code(error: QuietcrmError) -> Exit:
    """The exit code of an error, by its class."""
    from config.secrets import SecretUnavailable
    from connectors.errors import AuthRejected, ConnectorError, Misconfigured, OtherMailbox
    from daemon.errors import Refused
    from store.errors import AlreadyRunning, NotFound, StoreError

    if isinstance(error, NotFound):
        return Exit.NOT_FOUND
    if isinstance(error, AuthRejected | Misconfigured | OtherMailbox | SecretUnavailable):
        return Exit.LOGIN
    if isinstance(error, AlreadyRunning):
        return Exit.RUNNING
    if isinstance(error, Refused):
        return Exit.REFUSED
    if isinstance(error, ConnectorError | StoreError):
        return Exit.NETWORK
    return Exit.PROBLEMS
