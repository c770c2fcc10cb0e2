"""The records that the audit chain covers."""

from typing import Final

from access.keys import entries as keys
from access.users.entries import GROUPS, USERS
from audit.covered import Covered
from tools.execution import entries as executions
from tools.mcp_client import pins

COVERED: Final[tuple[Covered, ...]] = (
    executions.COVERED,
    pins.COVERED,
    keys.COVERED,
    USERS.covered,
    GROUPS.covered,
)
