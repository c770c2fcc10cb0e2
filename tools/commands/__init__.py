"""Commands without a shell, on values: splitting a text, and what a program may be given. Pure: nothing is run here."""

from tools.commands.checking import Checked, Ground, check, normalised
from tools.commands.extension import extended
from tools.commands.program import Program
from tools.commands.splitting import split
from tools.commands.whitelist import WHITELIST

__all__ = ["WHITELIST", "Checked", "Ground", "Program", "check", "extended", "normalised", "split"]
