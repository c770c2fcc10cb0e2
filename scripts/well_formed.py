"""Requests that a service accepts: chats, tools, decisions, keys, speech and the console's forms.

Most have one odd value, so that the code behind the validation is reached.
"""

import io
import json
import random
import re
import wave
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

MAX_KNOWN: Final = 300
MASK_KEY: Final = b"fuzz"
PICTURE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PATHS: Final = ("a.txt", "notes/b.md", ".", "notes", "c.png", ".env", "../x", "/etc/passwd", "\xe9", "no/such/file")
PATCHES: Final = (
    "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+two\n",
    "*** Begin Patch\n*** Add File: notes/b.md\n+text\n*** End Patch",
    "*** Begin Patch\n*** Update File: a.txt\n@@\n-one\n+two\n*** End Patch",
    "*** Begin Patch\n*** Delete File: a.txt\n*** End Patch",
    "diff --git a/a.txt b/d.txt\nrename from a.txt\nrename to d.txt\n",
)
COMMANDS: Final = (
    "ls -la", "cat a.txt", "grep -rn one .", "git status", "git log -3", "head -c 10 a.txt", "find . -name '*.md'",
    "wc -l a.txt", "echo 'unclosed", "cat a.txt | sort", "sed -n 1p a.txt", "diff a.txt notes/b.md", "", "$(id)",
)  # fmt: skip
TOOLS: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "fs.read": {"path": PATHS, "offset": (1, 2, 10**9), "limit": (1, 5)},
    "fs.list": {"path": PATHS, "recursive": (True,), "glob": ("*.md", "**/*.{md,txt}", "["), "ignored": (True,)},
    "fs.search": {"pattern": ("one", "^.*$", "(a|b)+", "("), "path": PATHS, "glob": ("*.txt",), "ignore_case": (True,)},
    "fs.write": {
        "path": PATHS, "content": ("one\n", "", "\0", "dHdv"), "encoding": ("utf-8", "base64", "utf-16"),
        "create_only": (True,), "expected_sha256": ("0" * 64,),
    },
    "fs.apply_patch": {"patch": PATCHES, "dry_run": (True, False)},
    "git.status": {"path": PATHS},
    "git.diff": {"path": PATHS, "ref": ("HEAD", "HEAD~1..HEAD", "main...x", "--output=x"), "staged": (True,)},
    "git.log": {"path": PATHS, "ref": ("HEAD", "main"), "limit": (1, 100)},
    "git.show": {"path": PATHS, "ref": ("HEAD", "HEAD^", "0" * 40)},
    "git.add": {"paths": (["a.txt"], [".env", "a.txt"], ["-n"])},
    "git.commit": {"message": ("change", " ", "\0"), "path": PATHS},
    "git.branch": {"branch": ("x", "main", "-d", "a..b"), "start": ("HEAD", "main"), "path": PATHS},
    "git.switch": {"branch": ("main", "x", "-f"), "create": (True, False), "path": PATHS},
    "git.clone": {"url": ("https://github.com/acme/site", "x"), "path": PATHS, "depth": (1, 50)},
    "git.create_pr": {"title": ("Fix",), "body": ("", "x"), "base": ("main", "-f"), "head": ("x",), "path": PATHS},
    "terminal.exec": {"command": COMMANDS, "cwd": PATHS, "timeout": (1, 5)},
    "speech.synthesize": {"text": ("Hello.", " "), "provider": ("local", "openai"), "path": PATHS, "format": ("wav",)},
    "speech.transcribe": {"path": PATHS, "provider": ("local", "openai"), "language": ("en", "xx")},
    "output.read": {"offset": (0, 10**6), "limit": (1, 4_096)},
    "retrieval.search": {"query": ("one", "NEAR(", " "), "glob": ("*.md", "["), "limit": (1, 50)},
    "tools.search": {"query": ("read a file", "", "\0"), "limit": (1, 20)},
    "web.fetch": {"url": ("http://127.0.0.1:1/", "http://[::1]/", "http://2130706433/", "file:///etc/passwd", "x")},
    "web.search": {"query": ("one", " "), "limit": (1, 10)},
    "mcp.read": {"server": ("clock", "x"), "uri": ("file:///etc/passwd", "a:b", "x")},
    "mcp.clock.get_current_time": {"timezone": ("UTC", "Europe/Rome", "x")},
    "mcp.clock.convert_time": {
        "source_timezone": ("UTC",), "time": ("12:30", "99:99"), "target_timezone": ("Asia/Tokyo", ""),
    },
    "deploy.cloud_run": {"service": ("x",), "image": ("x",)},
    "no.tool": {"path": PATHS},
}  # fmt: skip
REQUIRED: Final = {
    "path", "pattern", "content", "patch", "command", "text", "query", "url", "server", "uri", "timezone", "time",
    "source_timezone", "target_timezone",
}  # fmt: skip


@dataclass
class Known:
    """The ids of rows, and of executions that await a decision with their hashes, as answers named them."""

    ids: deque[str] = field(default_factory=lambda: deque(["1", "2", "3"], MAX_KNOWN))
    waiting: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=MAX_KNOWN))

    def learn(self, answer: bytes) -> None:
        """Take the ids of an answer."""
        self.ids.extend(found.decode() for found in re.findall(rb'(?:"id"|_id"): ?"([0-9a-f-]{36})"', answer)[:20])
        for event in re.findall(rb'\{"type":"approval_required"[^\n]*', answer):
            made = json.loads(event)
            self.waiting.append((made["execution_id"], made["params_sha256"]))


@dataclass
class Made:
    """A request without its headers."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"


class Values:
    """Chooses the values of requests. `odd` returns a value that may be put in the place of a good one."""

    def __init__(self, source: random.Random, known: Known, odd: Callable[[], Any]) -> None:
        self._random = source
        self._known = known
        self.odd = odd

    def some(self, fields: dict[str, tuple[Any, ...]], share: float = 0.3) -> dict[str, Any]:
        """Return some of the fields, each with one of its values."""
        return {name: self._random.choice(values) for name, values in fields.items() if self._random.random() < share}

    def with_odd(self, body: Any) -> Any:
        """Return the body, with an odd value in a random place of every second one."""
        if self._random.random() < 0.5:
            return body
        place = body
        while True:
            places = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not places:
                return body
            name = self._random.choice(places)
            if isinstance(place[name], dict | list) and self._random.random() < 0.7:
                place = place[name]
                continue
            place[name] = self.odd()
            return body

    def id(self) -> str:
        """Return the id of a row."""
        return self._random.choice(self._known.ids)

    def waiting(self) -> tuple[str, str]:
        """Return an execution that may await a decision, and the hash of its params."""
        return self._random.choice(self._known.waiting or [(self.id(), "0" * 64)])


class WellFormed:
    """Makes requests.

    Keys are created only `with_keys`: the first one would close a service that has none.
    """

    def __init__(self, source: random.Random, values: Values, *, with_keys: bool) -> None:
        self._random = source
        self._values = values
        self._with_keys = with_keys
        self._kinds = (
            *[self._chat] * 5, *[self._decision] * 2, *[self._row] * 3, *[self._speech] * 2, self._socket,
            self._key if with_keys else self._chat,
        )  # fmt: skip

    def request(self, token: str) -> Made:
        """Return a request to the API, or with a form's token also one to the console."""
        if token and self._random.random() < 0.2:
            return self._form(token)
        return self._random.choice(self._kinds)()

    def _json(self, method: str, target: str, body: Any) -> Made:
        return Made(method, target, json.dumps(self._values.with_odd(body)).encode())

    def _tool_call(self) -> dict[str, Any]:
        name = self._random.choice(list(TOOLS))
        fields = TOOLS[name]
        needed = self._values.some({name: values for name, values in fields.items() if name in REQUIRED}, 0.95)
        params = {
            **needed,
            **self._values.some({name: values for name, values in fields.items() if name not in REQUIRED}),
        }
        if name == "output.read":
            params["execution_id"] = self._values.id()
        if name == "terminal.exec" and self._random.random() < 0.3:
            params["argv"] = params.pop("command", "ls").split()
        return {"name": name, "params": params}

    def _chat_body(self) -> dict[str, Any]:
        body = self._values.some(
            {
                "session_id": (self._values.id(),),
                "model": ("gpt-5.4-mini", "no/such:model@x", ""),
                # The local model would answer slowly.
                "provider": ("openai", "gemini", "other", ""),
                "attachments": ([{"media_type": "image/png", "data_base64": PICTURE}], [{"path": "c.png"}], []),
                "instructions": ("Be brief.", ""),
                "tools": (["fs.*"], ["*"], [], ["no.tool"]),
                "client_tools": ([{"name": "ask"}], [{"name": "fs_read"}], [{"name": "a", "parameters": {}}], []),
                "max_output_tokens": (1, 1_000_000),
                "temperature": (0, 2, 0.5),
                "on_disconnect": ("cancel", "continue"),
                "user": ("alice",),
                "metadata": ({}, {"a": [1, {"b": None}]}),
            },
            0.15,
        )
        if self._random.random() < 0.6:
            body["message"] = self._random.choice(("Hello.", "", self._values.odd(), "x " * 2_000))
        if self._random.random() < 0.7:
            body["tool_calls"] = [self._tool_call() for _ in range(self._random.choice((1, 1, 2, 4)))]
        return body

    def _chat(self) -> Made:
        return self._json("POST", "/chat/stream", self._chat_body())

    def _decision(self) -> Made:
        execution, digest = self._values.waiting()
        verdict = self._random.choice(("approve", "deny"))
        note = self._values.some({"note": ("Yes.", "\x1b[31m")})
        return self._json("POST", f"/tools/executions/{execution}/{verdict}", {"params_sha256": digest, **note})

    def _row(self) -> Made:
        """Return a request about one row, which exists or does not."""
        row, number = self._values.id(), self._random.choice((0, 1, 5, 2**31, 2**63))
        group = self._random.choice(("day", "key", "model", "tool"))
        result = self._values.some({"data": ("A text", None, {"a": [1]}), "error": ("It failed.", "")}, 0.6)
        changes = self._values.some({"title": ("A title",), "metadata": ({"a": 1}, {})}, 0.8)
        return self._random.choice(
            (
                Made("GET", f"/chat/runs/{row}"),
                Made("GET", f"/chat/runs/{row}/stream?after={number}"),
                Made("POST", f"/chat/runs/{row}/cancel"),
                Made("POST", f"/chat/runs/{row}/resume"),
                Made("GET", f"/tools/executions/{row}"),
                self._json("POST", f"/tools/executions/{row}/result", result),
                Made("GET", f"/tools/executions/{row}/output?offset={number}&limit=10"),
                Made("GET", f"/tools/executions?session_id={row}&limit=5&offset={number}"),
                Made("GET", f"/usage?group_by={group}&since=2026-01-01"),
                Made(self._random.choice(("GET", "DELETE")), f"/chat/sessions/{row}"),
                self._json("PATCH", f"/chat/sessions/{row}", changes),
                self._json("PATCH", f"/chat/sessions/{row}", changes),
            )
        )

    def _key(self) -> Made:
        if self._random.random() < 0.2:
            return Made("DELETE", f"/keys/{self._values.id()}")
        limits = {
            "scopes": (["chat"], ["fs.*", "approve"], ["keys"], []),
            "expires": ("30d", "2030-01-01", "2030-01-01T00:00:00Z", "1h"),
            "rate": ("60/minute", "1/second"),
            "max_runs": (1, 10),
            "budgets": (["10usd/month"], ["5tokens/day", "1usd/run"], []),
        }
        return self._json("POST", "/keys", {"name": "fuzz", **self._values.some(limits)})

    def _recording(self) -> bytes:
        """Return a short recording; every second one is damaged."""
        made = io.BytesIO()
        with wave.open(made, "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(3_200))
        sound = bytearray(made.getvalue())
        if self._random.random() < 0.5:
            sound[self._random.randrange(44)] = self._random.randrange(256)
        return bytes(sound)

    def _speech(self) -> Made:
        if self._random.random() < 0.5:
            text = self._random.choice(("Hi.", "\u200b", "a\0b", "日本", "x" * 5_000))
            options = {
                "provider": ("local", "openai", ""), "voice": ("alloy", "x"), "format": ("wav", "mp3", "opus", "pcm"),
                "speed": (0.25, 4, 1), "model": ("tts-1",), "stream_format": ("audio", "sse"),
            }  # fmt: skip
            return self._json("POST", "/speech/synthesis", {"text": text, **self._values.some(options)})
        fields = self._values.some(
            {
                "provider": ("local", "openai"), "language": ("en", "de"), "model": ("whisper-1",),
                "format": ("wav", "pcm", "mp3"), "response_format": ("json", "text"),
                str(self._values.odd())[:20]: ("1",),
            }
        )  # fmt: skip
        if self._random.random() < 0.4:
            query = urlencode(fields, errors="surrogatepass")
            return Made("POST", f"/speech/transcriptions?{query}", self._recording(), "audio/wav")
        parts = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
        file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body = parts.encode("utf-8", "surrogatepass") + file + self._recording() + b"\r\n--b--\r\n"
        return Made("POST", "/speech/transcriptions", body, "multipart/form-data; boundary=b")

    def _socket(self) -> Made:
        """Return a socket's handshake with a few messages behind it, the last of which closes it."""
        execution, digest = self._values.waiting()
        messages = (
            {"type": "chat", **self._chat_body()},
            {"type": "follow", "run_id": self._values.id(), "after": 0},
            {"type": "cancel", "run_id": self._values.id()},
            {"type": "resume", "run_id": self._values.id()},
            {"type": "approve", "execution_id": execution, "params_sha256": digest},
            {"type": "auth", "key": "osk_x"},
        )
        sent = b"".join(
            _masked(1, json.dumps(self._values.with_odd(message)).encode())
            for message in self._random.sample(messages, 2)
        )
        return Made("SOCKET", "/ws/chat", sent + _masked(8, b"\x03\xe8"), "")

    def _form(self, token: str) -> Made:
        """Return a form of the console."""
        execution, digest = self._values.waiting()
        number = self._random.randrange(10**6)
        password = {"password1": "a b c d e f", "password2": "a b c d e f", "usable_password": "true"}
        key = {"scopes": "chat fs.*", "expires": "30d", "rate": "9/minute", "max_runs": "1", "budgets": "1usd/day"}
        forms: list[tuple[str, dict[str, Any]]] = [
            (f"access/apikey/{self._values.id()}/revoke", {}),
            ("access/apikey", {"action": "revoke_selected", "_selected_action": self._values.id()}),
            (f"tools/toolexecution/{execution}/decide", {"verdict": "approved", "params_sha256": digest, "note": "a"}),
            ("auth/user/add", {"username": f"u{number}", **password}),
            ("auth/group/add", {"name": f"g{number}", "permissions": "1"}),
            ("tools/mcptoolset/1/accept", {"sha256": digest}),
            ("tools/mcptoolset/ask", {}),
            ("tools/mcptoolset/add-server", {"name": f"s{number}", "text": 'url = "http://127.0.0.1:9/mcp"'}),
            ("tools/mcptoolset/remove-server", {"name": f"s{number}"}),
            (f"chat/session/{self._values.id()}/act", {"action": "rename", "title": "a"}),
            (f"chat/session/{self._values.id()}/act", {"action": "fork"}),
            (f"chat/run/{self._values.id()}/cancel", {}),
            (f"chat/run/{self._values.id()}/undo", {"direction": "redo"}),
        ]
        if self._with_keys:
            forms.append(("access/apikey/add", {"name": "form", **key, "user": ""}))
        target, fields = self._random.choice(forms)
        form = {name: str(value) for name, value in self._values.with_odd(fields).items()}
        body = urlencode({**form, "csrfmiddlewaretoken": token}, errors="surrogatepass").encode()
        return Made("POST", f"/admin/{target}/", body, "application/x-www-form-urlencoded")


def _masked(opcode: int, data: bytes) -> bytes:
    """Return a frame of a client (RFC 6455, section 5.2)."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    masked = bytes(byte ^ MASK_KEY[place % 4] for place, byte in enumerate(data))
    return bytes([0x80 | opcode]) + size + MASK_KEY + masked
