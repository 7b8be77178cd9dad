"""URLs: addresses as they may be shown, without their secrets."""

from __future__ import annotations

import re

_WORDS = "token|key|secret|sig|password|passwd|pwd|credential"
_SECRET = re.compile(rf"([?&;][^=&;]*(?:{_WORDS})[^=&;]*=)[^&;]*", re.I)


def mask(url: str) -> str:
    """The URL without its password and without secret query values; a path stays as it is.

    >>> mask("postgresql://ann:s3cret@db/shop")
    'postgresql://ann:***@db/shop'
    >>> mask("https://host/a.csv?day=1&access_token=abc")
    'https://host/a.csv?day=1&access_token=***'
    """
    if "://" not in url:
        return url
    within = (
        "[^/?#]*" if url.lower().startswith("http") else ".*"
    )  # a database password may hold a slash
    hidden = re.sub(rf"^([^:]+://[^:/?#@]*):{within}@", r"\1:***@", url)
    return _SECRET.sub(r"\1***", hidden)
