"""The reference of commands and their options."""

import argparse

from discordproxy._cli.main import build_parser
from discordproxy_api.access.__main__ import build_parser as build_key_parser
from discordproxy_api.supervisor import parser as build_server_parser
from markup import cell, table

_INTRODUCTION = """\
# Commands

Generated from the programs. `--help` prints the same. The options of `discordproxy sandbox` are those of the
[sandbox](../project/sandbox.md).
"""


def pages() -> dict[str, str]:
    """Return the page by its path below the folder of the documentation."""
    parts = [_INTRODUCTION]
    for parser in parsers().values():
        parts += [f"## `{parser.prog}`\n", _about(parser)]
    return {"reference/commands.md": "\n".join(parts)}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of all commands and subcommands by name."""
    found = [build_server_parser(), *_with_subcommands(build_parser()), *_with_subcommands(build_key_parser())]
    return {parser.prog: parser for parser in found}


def _with_subcommands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse offers no other way
    children = [child for action in commands for child in action.choices.values()]
    return [parser, *(inner for child in children for inner in _with_subcommands(child))]


def _about(parser: argparse.ArgumentParser) -> str:
    rows = [
        (cell(f"`{_form(action)}`"), cell(_help(parser, action)))
        for action in parser._actions  # noqa: SLF001 - argparse offers no other way
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001 - same
    ]
    parts = [f"{parser.description}\n", table(("argument", "meaning"), rows) if rows else ""]
    if parser.epilog and " " not in parser.prog:  # those of subcommands repeat it
        parts.append(f"```text\n{parser.epilog.strip()}\n```\n")
    return "\n".join(parts)


def _form(action: argparse.Action) -> str:
    choices = f"{{{', '.join(map(str, action.choices))}}}" if action.choices else ""
    if not action.option_strings:
        return choices or action.dest
    value = action.metavar or choices or action.dest.upper()
    takes_value = action.nargs != 0
    return ", ".join(action.option_strings) + (f" {value}" if takes_value else "")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}
