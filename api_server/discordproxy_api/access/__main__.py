"""The command `discordproxy keys`: creates API keys and validates key files."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from discordproxy_api.access.key_file import read_key_file
from discordproxy_api.access.keys import KeyFileError, digest_of, new_key, read_keys, token_shaped
from discordproxy_api.contract.contract import load_contract
from discordproxy_ratelimit.process.exit_status import FAILED
from discordproxy_ratelimit.process.private_files import open_private
from discordproxy_ratelimit.process.reloading import UnusableFileError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Exit status 1: a file cannot be used."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except (KeyFileError, UnusableFileError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        raise SystemExit(FAILED) from None


def _show(text: str) -> None:
    """Print and flush: a key that was not shown must not be added to a file."""
    if sys.stdout is None:
        raise UnusableFileError("the output cannot be written (it is closed)")
    try:
        print(text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python flushes again at exit, and fails
        raise UnusableFileError(f"the output cannot be written ({error.strerror})") from None


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser of `discordproxy keys`."""
    parser = argparse.ArgumentParser(
        prog="discordproxy keys", description="Create and validate the API keys of applications."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="create a key", description="Create a key and show it once.")
    new.add_argument("--app", required=True, help="name of the application: letters, digits and ._:@/+-")
    new.add_argument("--file", type=Path, help="add the entry to this key file instead of printing it")
    new.add_argument(
        "--token-shaped",
        metavar="BOT_ID",
        type=int,
        help="show the key in the shape of a bot's token, for libraries that check it (REST port)",
    )
    new.set_defaults(run=_new)
    check = commands.add_parser("check", help="validate a key file", description="Validate a key file.")
    check.add_argument("file", type=Path, help="the key file")
    check.set_defaults(run=_check)
    return parser


def _new(options: argparse.Namespace) -> None:
    key = new_key()
    entry = f'[[keys]]\napp = "{options.app}"\nsha256 = "{digest_of(key)}"\n'
    read_keys(entry)
    shown = key if options.token_shaped is None else token_shaped(key, options.token_shaped)
    _show(f"The key of {options.app}, shown only once; set it as DISCORDPROXY_API_KEY of the application:\n\n{shown}\n")
    if options.file is None:
        _show(f"Add this entry to the file of DISCORDPROXY_KEYS_FILE:\n\n{entry}")
    else:
        _append(options.file, entry)
        _show(f'The entry was added to {options.file}. It allows everything; to limit it, add a line: rpcs = ["read"]')


def _append(path: Path, entry: str) -> None:
    try:
        with os.fdopen(open_private(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as file:
            file.write(f"\n{entry}" if path.stat().st_size else entry)
    except OSError as error:
        raise UnusableFileError(f"{path} cannot be written ({error.strerror})") from None


def _check(options: argparse.Namespace) -> None:
    ring = read_key_file(options.file, rpcs=tuple(load_contract()), bots=None)
    _show("\n".join([f"{options.file} is valid", *(f"  {each}: {each.scopes}" for each in ring.principals)]))


if __name__ == "__main__":
    main()
