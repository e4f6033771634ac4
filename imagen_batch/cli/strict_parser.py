"""Parses command lines: accepts options only in full, and suggests a known one for a misspelled one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from imagen_batch.errors import SettingsInvalid
from imagen_batch.text import did_you_mean, one_line

_NUMBERS: Mapping[object, str] = {int: "a whole number", float: "a number"}


class UsageInvalid(SettingsInvalid):
    """The command line has an error. `help_command` is the command whose help describes it."""

    def __init__(self, message: str, help_command: str) -> None:
        super().__init__(message)
        self.help_command = help_command


class Parser(argparse.ArgumentParser):
    """Accepts options only in full: `--api-key` is not short for `--api-key-file`. Its subcommands do the same."""

    commands: dict[str, Parser] | None = None

    def __init__(self, **named: Any) -> None:
        super().__init__(**named, allow_abbrev=False)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse `args`; an unknown option is reported by the subcommand that does not have it."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = (self.commands or {}).get(parsed.command, self)
            command.error(f"unrecognized arguments: {' '.join(unknown)}{command.suggest_option(unknown)}")
        return parsed

    def suggest_option(self, unknown: Sequence[str]) -> str:
        """Return "; did you mean --OPTION?" for the first unknown option."""
        typed = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
        listed = [action for action in self._actions if action.help != argparse.SUPPRESS]
        names = [name for action in listed for name in action.option_strings if name.startswith("--")]
        return did_you_mean(typed, names) if typed else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(str, action.choices))
            hint = did_you_mean(str(value), map(str, action.choices)) or f"; choose from {choices}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        expected = _NUMBERS.get(action.type)
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            if expected is None:
                raise
            raise argparse.ArgumentError(action, f"expected {expected}, not {one_line(arg_string, 60)!r}") from None

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that --json can print the error as an object."""
        message = message.removeprefix("argument ").replace("expected one argument", "expected a value")
        raise UsageInvalid(message, f"{self.prog} --help")


if TYPE_CHECKING:
    Subparsers: TypeAlias = argparse._SubParsersAction[Parser]
