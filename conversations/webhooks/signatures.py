"""The signature of a message, by the Standard Webhooks specification 1.0.0."""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def signature(secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """One `v1` signature for each secret, separated by spaces: a receiver needs to know one."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_sign(secret, content)}" for secret in secrets)


def _sign(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
