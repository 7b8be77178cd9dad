"""Text: small pieces of English that many messages share."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the first `most` names and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"], most=3)
    'a, b, c and 2 more'
    >>> listed(["a", "b"])
    'a, b'
    """
    shown = ", ".join(names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "row"), plural(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as percentage, "unknown" for None.

    >>> percent(0.125), percent(None)
    ('12.5%', 'unknown')
    """
    return "unknown" if share is None else f"{share:.{digits}%}"


def error_line(error: BaseException, most: int = 200) -> str:
    """Return the first line of an error's message, of a database error that of its driver.

    >>> error_line(ValueError("\\nno such table\\nSELECT 1")), error_line(KeyError())
    ('no such table', 'KeyError')
    """
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def one_line(text: str, most: int = 500) -> str:
    """Return `text` as one printable line of at most `most` characters.

    >>> one_line("age\\r\\nBcc: all@example.com")
    'age Bcc: all@example.com'
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:most]
