"""Google's credentials: an API key, a JSON file, or the application default credentials (the extra `google`).

https://cloud.google.com/docs/authentication/application-default-credentials
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from speech.base import SpeechError

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
INSTALL: Final = "google-auth is not installed; run uv sync --extra google --no-dev --inexact"

# Called for each request, because tokens expire. Raises `SpeechError`.
Headers = Callable[[], Awaitable[dict[str, str]]]


def key_headers(api_key: str) -> Headers:
    """Return the headers that an API key needs."""

    async def headers() -> dict[str, str]:
        return {"X-Goog-Api-Key": api_key}

    return headers


def credential_headers(path: Path | None) -> Headers:
    """Return the headers for the credentials in a file, or for the application default credentials without one."""
    credentials = _Credentials(path)

    async def headers() -> dict[str, str]:
        # Loading reads a file or asks a metadata server, and refreshing sends a request. Both block.
        return await asyncio.to_thread(credentials.headers)

    return headers


class _Credentials:
    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._loaded: Any = None

    def headers(self) -> dict[str, str]:
        """Return the headers of a valid token. Raises `SpeechError` (`provider_auth`, `provider_unavailable`)."""
        try:
            from google.auth import exceptions  # noqa: PLC0415 - a heavy optional part
            from google.auth.transport.requests import Request  # noqa: PLC0415 - likewise
        except ImportError:
            raise SpeechError(INSTALL, code="provider_auth") from None
        try:
            with self._lock:
                self._loaded = self._loaded or self._load()
                if not self._loaded.valid:
                    self._loaded.refresh(Request())
                found: dict[str, str] = {}
                self._loaded.apply(found)
        except exceptions.TransportError:
            message = "the token service cannot be reached"
            raise SpeechError(message, code="provider_unavailable", retryable=True) from None
        except (exceptions.GoogleAuthError, OSError, ValueError, KeyError, TypeError) as error:
            # The text of these errors may quote the file, which holds a private key. So only the type is reported.
            message = (
                f"there are no credentials ({type(error).__name__}). Set GOOGLE_SPEECH_CREDENTIALS to the JSON file of "
                "a service account or an authorized user, or to default"
            )
            raise SpeechError(message, code="provider_auth") from None
        return found

    def _load(self) -> Any:
        import google.auth  # noqa: PLC0415 - a heavy optional part
        from google.oauth2 import credentials, service_account  # noqa: PLC0415 - likewise

        if self._path is None:
            return google.auth.default(scopes=SCOPES)[0]
        loaders: dict[str, Any] = {
            "service_account": service_account.Credentials.from_service_account_info,
            "authorized_user": credentials.Credentials.from_authorized_user_info,
        }
        fields = json.loads(self._path.read_text(encoding="utf-8"))
        return loaders[fields["type"]](fields, scopes=SCOPES)
