"""The script of the tour: what it says, and the calls of tools that it makes. The calls are run like those of a model.

It leaves the workspace as it was: the last patch fits only the file that the tour wrote.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

FILE: Final = "tour-of-the-service.md"
WRITTEN: Final = "# The tour\n\nThis file was written by a tool.\n"
CHANGED: Final = "This file was written by a tool, and changed by a patch."


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: a text, and the call of a tool with its params, unless the tour ends here."""

    text: str
    tool: str = ""
    params: Mapping[str, object] = {}


TOUR: Final = (
    Step(
        text="Welcome. This is a scripted tour: no model answers. The rest is real: the stream, the tools, the sandbox "
        "and the record.\n\nA tool lists the files of the workspace:\n\n",
        tool="fs.list",
    ),
    Step(text="Another reads one of them:\n\n", tool="fs.read", params={"path": "README.md"}),
    Step(
        text="Commands run in a sandbox of the kernel, without the network and without the service's secrets:\n\n",
        tool="terminal.exec",
        params={"command": "ls -l"},
    ),
    Step(
        text="A tool writes a file. If `TOOL_POLICY` asks for it, the run waits here for your approval. It would wait "
        "across a restart, too:\n\n",
        tool="fs.write",
        params={"path": FILE, "content": WRITTEN, "create_only": True},
    ),
    Step(
        text="A patch changes it, all of it or nothing:\n\n",
        tool="fs.apply_patch",
        params={
            "patch": f"--- a/{FILE}\n+++ b/{FILE}\n@@ -1,3 +1,3 @@\n # The tour\n \n"
            f"-This file was written by a tool.\n+{CHANGED}\n"
        },
    ),
    Step(
        text="And a patch takes everything back:\n\n",
        tool="fs.apply_patch",
        params={
            "patch": f"diff --git a/{FILE} b/{FILE}\ndeleted file mode 100644\n--- a/{FILE}\n+++ /dev/null\n"
            f"@@ -1,3 +0,0 @@\n-# The tour\n-\n-{CHANGED}\n"
        },
    ),
    Step(
        text="That was the tour. Each call is in the record, with its params and its outcome: see `/admin/`, or "
        "`GET /tools/executions`.\n\nTo let a model do such work, set `OPENAI_API_KEY`, `GEMINI_API_KEY` or "
        "`OPENAI_BASE_URL`, and remove `DEFAULT_PROVIDER=demo`.\n"
    ),
)
