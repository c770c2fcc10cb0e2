"""The context that all tool executors of a process share."""

import msgspec

from tools.changes.log import ChangeStore
from tools.output.masking import Masker
from tools.output.store import OutputStore
from tools.policy import Policy
from tools.registry import Registry


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """The tools, the rules for them, and the stores of their output and of the files that they change.

    A model sees at most `result_bytes` of a result. A call that needs an approval waits `approval_seconds` for it, and
    one of a client tool waits `client_seconds` for its result.
    """

    registry: Registry
    policy: Policy
    masker: Masker
    outputs: OutputStore
    changes: ChangeStore
    result_bytes: int
    approval_seconds: float
    client_seconds: float
