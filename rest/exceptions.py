"""What can go wrong, beyond what the framework names."""

from psycopg import errors as postgres
from rest_framework import exceptions, status

# What may go well the second time: the other transaction is through, and a row that it
# deleted between our check and our commit is refused by the check now. The last one means that
# a migration has changed the type of a column which a planned statement reads.
TRY_AGAIN = (
    postgres.DeadlockDetected,
    postgres.SerializationFailure,
    postgres.ForeignKeyViolation,
    postgres.FeatureNotSupported,
)


class RequestTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is larger than 1 MiB."
    default_code = "request_too_large"


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "What was asked for contradicts what is there."
    default_code = "conflict"


class PreconditionFailed(exceptions.APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "It has changed since the version that If-Match names. Nothing was changed."
    default_code = "precondition_failed"


class KeyReused(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used for another request."
    default_code = "idempotency_key_reused"


class CursorExpired(exceptions.APIException):
    status_code = status.HTTP_410_GONE
    default_detail = "What was asked for begins with what is no longer kept. Begin anew."
    default_code = "cursor_expired"


class Misdirected(exceptions.APIException):
    """Another process answers this, and the proxy in front has not sent it there.

    RFC 9110, section 15.5.20.
    """

    status_code = status.HTTP_421_MISDIRECTED_REQUEST
    default_detail = "This process does not serve that; the proxy should ask the one that does."
    default_code = "misdirected_request"


class Unavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database is unreachable; try again."
    default_code = "unavailable"
    wait = 5


class TimedOut(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database took too long. Nothing was changed; try again."
    default_code = "timeout"
    wait = 5


def invalid(attr: str, detail: str, code: str = "invalid_input") -> exceptions.ValidationError:
    """One wrong field or parameter, named, with what is wrong about it."""
    return exceptions.ValidationError({attr: [exceptions.ErrorDetail(detail, code)]})
