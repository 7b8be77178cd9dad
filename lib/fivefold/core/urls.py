"""Masking of secrets in URLs, also in URLs within a longer text."""

from __future__ import annotations

import re

_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.I)
_WEB_PASSWORD = re.compile(r"^(https?://[^:/?#]*):[^/?#]*@", re.I)
_DATABASE_PASSWORD = re.compile(r"^((?!https?:)[^:]+://[^:/?#@]*):.*@", re.I)  # may hold a slash
_WEB_TOKEN = re.compile(r"^(https?://)[^:/?#@]+@", re.I)  # a user without a password is a token
_WORDS = "token|key|secret|sig|password|passwd|pwd|credential"
_SECRET_VALUE = re.compile(rf"([?&;][^=&;]*(?:{_WORDS})[^=&;]*=)[^&;]*", re.I)


def mask(text: str) -> str:
    """Return the text with passwords, access tokens and secret query values of its URLs hidden.

    >>> mask("postgresql://ann:s3cret@db/shop")
    'postgresql://ann:***@db/shop'
    >>> mask("https://host/a.csv?day=1&access_token=abc")
    'https://host/a.csv?day=1&access_token=***'
    >>> mask("no answer from http://ann:s3cret@host/x and sqlite:////tmp/a@b.db")
    'no answer from http://ann:***@host/x and sqlite:////tmp/a@b.db'
    """
    if _URL.match(text):  # the whole text may be one URL with spaces in its password
        text = _masked_url(text)
    return _URL.sub(lambda url: _masked_url(url[0]), text)


def _masked_url(url: str) -> str:
    for password in (_WEB_PASSWORD, _DATABASE_PASSWORD):
        url = password.sub(r"\1:***@", url)
    url = _WEB_TOKEN.sub(r"\1***@", url)
    return _SECRET_VALUE.sub(r"\1***", url)
