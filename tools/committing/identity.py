"""The author of commits: templates of a name and an address, filled in with the caller's owner and key."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from spending.accounts import Payer

FIELD: Final = re.compile(r"\{([^{}]*)\}")
FIELDS: Final = ("owner", "key")
# git ends a name at these, and an address has no blanks.
NOT_IN_A_NAME: Final = re.compile(r"[<>\x00-\x1f\x7f]")
NOT_IN_AN_ADDRESS: Final = re.compile(r"[^\w.+@-]", re.ASCII)
NAME: Final = "{owner}"
# The top-level domain `invalid` is reserved (RFC 2606).
EMAIL: Final = "{owner}@orchestrator.invalid"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The templates of an author's name and address."""

    name: str = NAME
    email: str = EMAIL

    def environment(self, payer: Payer) -> Mapping[str, str]:
        """Return the variables that make the caller author and committer. Source: git(1)."""
        values = {"owner": payer.owner, "key": payer.key}
        name = NOT_IN_A_NAME.sub("", _filled(self.name, values)).strip(" .,:;\"'")
        email = _filled(self.email, {field: NOT_IN_AN_ADDRESS.sub("-", value) for field, value in values.items()})
        # git accepts no empty name, and no commit may carry the name of the service's own user.
        person = {"NAME": name or "unnamed", "EMAIL": email}
        return {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in person.items()}


def name_template(text: str) -> str:
    """Parse GIT_AUTHOR_NAME. Raises `ValueError`."""
    if NOT_IN_A_NAME.search(text):
        raise ValueError(f"a name has no <, > and control characters, unlike {text!r}")
    return _checked(text or NAME)


def email_template(text: str) -> str:
    """Parse GIT_AUTHOR_EMAIL. Raises `ValueError`."""
    text = text or EMAIL
    if NOT_IN_AN_ADDRESS.search(FIELD.sub("", text)) or text.count("@") != 1:
        raise ValueError(f"an address is such as {EMAIL!r}, unlike {text!r}")
    return _checked(text)


def _checked(template: str) -> str:
    unknown = [field for field in FIELD.findall(template) if field not in FIELDS]
    if unknown:
        raise ValueError(f"the fields of a template are {{owner}} and {{key}}, unlike {{{unknown[0]}}}")
    return template


def _filled(template: str, values: Mapping[str, str]) -> str:
    return FIELD.sub(lambda match: values[match[1]], template)
