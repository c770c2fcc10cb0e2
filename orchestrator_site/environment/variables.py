"""Typed readers of environment variables, whose errors name the variable and its valid values.

An empty value counts as unset. A secret `X` may be given as `X_FILE`, the path of a file that contains it. Relative
paths are relative to the folder of the installation, whatever the working directory is.

    InvalidSetting        a variable has an invalid value
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env  # type: ignore[import-untyped]  # it ships no types

from command_line.program import FOLDER
from orchestrator_site.environment.env_file import InvalidEnvFile, read_env_file
from web.urls import service_url

Parsed = TypeVar("Parsed")


class InvalidSetting(ImproperlyConfigured):
    """A variable has an invalid value."""

    def __init__(self, name: str, value: str, valid: str) -> None:
        super().__init__(f"{name}={value!r} is not valid: {valid}.")


def with_port(text: str) -> SplitResult:
    """Split a URL. Raises `ValueError` if its port does not exist, which `urlsplit` does not look at."""
    parts = urlsplit(text)
    if parts.port == 0:
        raise ValueError("it has the port 0, which a service cannot listen on")
    return parts


def redis_url(text: str) -> str:
    """Check the URL of a Redis-compatible server, which may be empty. Raises `ValueError`."""
    parts = with_port(text)
    if text and (parts.scheme not in {"redis", "rediss", "unix"} or not (parts.hostname or parts.path)):
        raise ValueError("it must be a URL such as redis://127.0.0.1:6379/0, rediss://... or unix:///path")
    return text


def origin(text: str) -> str:
    """Check the origin of a web site (RFC 6454), which may be empty. Raises `ValueError`."""
    parts = with_port(text)
    if text and text not in {f"{scheme}://{parts.netloc}" for scheme in ("http", "https") if parts.hostname}:
        raise ValueError("it must be an origin, such as https://chat.example.org, without a path")
    return text


def located(path: str) -> Path:
    """Return the absolute path for one in a setting."""
    return FOLDER / Path(path).expanduser()


class Environment:
    """The variables of the process, and below them those of a file."""

    def __init__(self, variables: dict[str, str], file: Path | None = None) -> None:
        self.variables = variables
        self.file = file or FOLDER / ".env"

    @classmethod
    def load(cls, process: dict[str, str]) -> "Environment":
        """Read the variables of the process and of `.env` in the installation, or of the file `ENV_FILE`."""
        path = located(process.get("ENV_FILE") or ".env")
        variables = {}
        if path.is_file() or process.get("ENV_FILE"):
            try:
                variables = read_env_file(path)
            except InvalidEnvFile as error:
                raise InvalidSetting("ENV_FILE", str(path), str(error)) from None
        return cls({**variables, **process}, path)

    def text(self, name: str, default: str = "") -> str:
        return self.variables.get(name, "").strip() or default

    def secret(self, name: str) -> str:
        """Return the variable, or the content of the file that `<name>_FILE` names."""
        path = self.text(f"{name}_FILE")
        if not path or self.text(name):
            return self.text(name)
        try:
            return located(path).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSetting(f"{name}_FILE", path, f"it must name a readable text file ({error})") from None

    def token(self, name: str) -> str:
        """Return a secret that is sent in a header: printable ASCII without spaces (RFC 9110, section 5.5)."""
        value = self.secret(name)
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise InvalidSetting(name, "...", "it may only have printable ASCII characters, and no spaces")
        return value

    def parsed(self, name: str, parse: Callable[[str], Parsed]) -> Parsed:
        """Return the text as parsed by `parse`, whose `ValueError` describes the valid form."""
        value = self.text(name)
        try:
            return parse(value)
        except ValueError as error:
            raise InvalidSetting(name, value, str(error).removesuffix(".")) from None

    def parsed_secret(self, name: str, parse: Callable[[str], Parsed]) -> Parsed:
        """Return a secret as parsed by `parse`, whose `ValueError` must not repeat it."""
        try:
            return parse(self.secret(name))
        except ValueError as error:
            raise InvalidSetting(name, "...", str(error)) from None

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        value = self.text(name, default).lower()
        if value not in choices:
            raise InvalidSetting(name, value, f"choose one of {', '.join(choices)}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.text(name, "true" if default else "false").lower()
        if value not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
            raise InvalidSetting(name, value, "choose true or false")
        return value in {"true", "1", "yes", "on"}

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise InvalidSetting(name, value, f"it must be a whole number from {least} to {most}")
        return number

    def seconds(self, name: str, default: float, *, least: float = 0.0, most: float = 604_800.0) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            # Not a number, so it fails both comparisons.
            number = float("nan")
        if not least <= number <= most:
            raise InvalidSetting(name, value, f"it must be a number of seconds from {least:g} to {most:g}")
        return number

    def names(self, name: str, default: str = "") -> tuple[str, ...]:
        """Split a comma-separated list."""
        return tuple(part.strip() for part in self.text(name, default).split(",") if part.strip())

    def url(self, name: str, default: str = "", *, query: bool = False) -> str:
        """Return a URL. Only if it may have a `query` is one accepted, because it would not be sent."""
        value = self.text(name, default)
        try:
            return service_url(value, query=query) if value else ""
        except ValueError as error:
            # Of a URL only scheme and host are repeated: the rest may be a secret.
            shown = f"{value.partition('://')[0][:8]}://..." if "://" in value else value
            raise InvalidSetting(name, shown, f"it {error}") from None

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's settings of a database: a `sqlite:///` or `postgres://` URL, or a SQLite file's path."""
        value = self.text(name, default)
        scheme = value.partition("://")[0] if "://" in value else ""
        if scheme == "sqlite":
            value = unquote(value.removeprefix("sqlite://").removeprefix("/"))
        elif scheme in {"postgres", "postgresql"}:
            try:
                found = dict(Env.db_url_config(value))
            except ValueError as error:
                raise InvalidSetting(name, f"{scheme}://...", f"it is not a URL ({error})") from None
            # The folder of a Unix socket is percent-encoded (PostgreSQL manual, 34.1.1.2).
            return {**found, "HOST": unquote(found["HOST"])}
        if not value or value.startswith(("file:", ":")) or "?" in value or not value.isprintable():
            valid = "a file's path, as in sqlite:///PATH; ENABLE_PERSISTENCE=false stores nothing"
            raise InvalidSetting(name, self.text(name, default), f"it must be {valid}")
        if "://" in value:
            # Only the scheme is repeated: the URL may contain a password.
            raise InvalidSetting(name, f"{scheme}://...", "it must be a path, sqlite:///PATH or postgres://...")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(located(value))}

    def path(self, name: str, default: str) -> Path:
        return located(self.text(name, default))
