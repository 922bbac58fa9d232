"""How often those may write who need no key: customers in the widget, and what pages claim.

Contract, section 9: 30 a minute for each session, and 1000 an hour for each address.
"""

from rest.limits import Limit

OF_SESSION, OF_ADDRESS = 30, 1000


def write_limits(kind: str, *, who: str | None, network: str) -> list[Limit]:
    """Those of one write; `who` stands for the session, or is None where there is none."""
    of_address = Limit(f"{kind}:address:{network}", OF_ADDRESS, 3600)
    return [of_address] if who is None else [Limit(f"{kind}:{who}", OF_SESSION, 60), of_address]
