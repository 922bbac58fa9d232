"""What an API key looks like: `cvk_`, 30 random characters, 6 of checksum.

The prefix and the checksum let a secret scanner recognise a key offline, and let
the service refuse a mistyped one without a query; the idea is GitHub's ("Behind
GitHub's new authentication token formats", 2021).
"""

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "cvk_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORMAT = re.compile(r"cvk_[0-9A-Za-z]{36}")


def new_key() -> str:
    body = PREFIX + "".join(secrets.choice(_BASE62) for _ in range(30))
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    return bool(_FORMAT.fullmatch(key)) and key[-6:] == _checksum(key[:-6])


def digest(key: str) -> str:
    """SHA-256 in hex: all that is stored. A key has 178 random bits, so no salt is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits
