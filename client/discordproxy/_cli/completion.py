"""Shell completion scripts, generated from the argument parser. Pure."""

from __future__ import annotations

import argparse

_BASH = """\
# Completion of {program} for bash: eval "$({program} completion bash)"
_{program}() {{
    local words
    case "${{COMP_WORDS[1]}}" in
{cases}
        *) words="{commands}" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _{program} {program}
"""
_BASH_CASE = '        {name}) words="{words}" ;;'
_ZSH = """\
# Completion of {program} for zsh: eval "$({program} completion zsh)"
autoload -U +X bashcompinit && bashcompinit
"""
_FISH_COMMAND = "complete -c {program} -f -n __fish_use_subcommand -a {command} -d '{help}'"
_FISH_OPTION = "complete -c {program} -n '__fish_seen_subcommand_from {command}' {option} -d '{help}'"
SHELLS = ("bash", "zsh", "fish")


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the completion script for the commands and options of a parser."""
    if shell == "fish":
        return _fish(parser)
    commands = _commands(parser)
    cases = "\n".join(_BASH_CASE.format(name=name, words=" ".join(_words(commands[name]))) for name in commands)
    bash = _BASH.format(program=parser.prog, commands=" ".join(commands), cases=cases)
    return _ZSH.format(program=parser.prog) + bash if shell == "zsh" else bash


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = parser._actions  # noqa: SLF001 -- argparse has no public access to its actions
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 -- same
    return dict(found.choices)


def _words(command: argparse.ArgumentParser) -> list[str]:
    words: list[str] = []
    for action in command._actions:  # noqa: SLF001 -- same
        words += action.option_strings or map(str, action.choices or ())
    return words


def _fish(parser: argparse.ArgumentParser) -> str:
    lines = [f"# Completion of {parser.prog} for fish: {parser.prog} completion fish | source"]
    for name, command in _commands(parser).items():
        lines.append(_FISH_COMMAND.format(program=parser.prog, command=name, help=_quoted(command.description)))
        for action in command._actions:  # noqa: SLF001 -- same
            options = [_fish_option(option) for option in action.option_strings]
            options += [f"-a {choice}" for choice in action.choices or ()]
            lines += [
                _FISH_OPTION.format(program=parser.prog, command=name, option=option, help=_help(action))
                for option in options
            ]
    return "\n".join(lines) + "\n"


def _fish_option(option: str) -> str:
    return f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"


def _help(action: argparse.Action) -> str:
    return _quoted((action.help or "") % vars(action))


def _quoted(text: str | None) -> str:
    return (text or "").replace("\\", "\\\\").replace("'", "\\'")
