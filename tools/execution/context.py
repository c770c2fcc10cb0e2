"""What every door of a process has in common."""

import msgspec

from tools.output.masking import Masker
from tools.output.store import OutputStore
from tools.policy import Policy
from tools.registry import Registry


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """The tools, what holds for them, and where their output goes.

    `result_bytes` of a result are shown to a model; what needs an approval waits `approval_seconds` for it.
    """

    registry: Registry
    policy: Policy
    masker: Masker
    outputs: OutputStore
    result_bytes: int
    approval_seconds: float
