"""The error for a form that came from another origin (RFC 6454) than the service's own."""

import re
from typing import Final

ORIGIN: Final = re.compile(r"https?://[a-z0-9.:_\[\]-]{1,260}", re.IGNORECASE)


def wrong_origin(origin: str, public_url: str) -> str:
    """Return the text: the origin that was received, PUBLIC_URL, and what to set."""
    state = f"PUBLIC_URL is {public_url}" if public_url else "PUBLIC_URL is not set"
    use = f" Open the console at {public_url}." if public_url else ""
    if not ORIGIN.fullmatch(origin):
        # Browsers send `null` for a page that hides its origin.
        use = use or " Set PUBLIC_URL to the address of the service, and open the console there."
        return f"The form came from a page without a valid origin ({origin[:80]!a}), and {state}.{use}"
    # The origin may be another site's, which must not be trusted only because this page was shown.
    fix = f" Only if {origin} is the address of this service, set PUBLIC_URL={origin} and restart the service."
    return f"The form came from {origin}, but {state}.{use}{fix}"
