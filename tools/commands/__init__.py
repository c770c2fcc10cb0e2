"""Commands without a shell, on values: splitting a text, and what a program may be given. Pure: nothing is run here."""

from tools.commands.checking import Checked, Ground, check, normalised
from tools.commands.extension import extended
from tools.commands.profiles import Profile, check_line, is_git_alone, table_of
from tools.commands.program import Program
from tools.commands.shell import commands_of, visible_commands
from tools.commands.splitting import split
from tools.commands.whitelist import WHITELIST

__all__ = [
    "WHITELIST",
    "Checked",
    "Ground",
    "Profile",
    "Program",
    "check",
    "check_line",
    "commands_of",
    "extended",
    "is_git_alone",
    "normalised",
    "split",
    "table_of",
    "visible_commands",
]
