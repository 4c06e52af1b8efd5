"""The one error type of the server, and what its codes are called over gRPC and HTTP."""

from __future__ import annotations

from functools import partial

from grpc import StatusCode

# The canonical codes, and each by its number in tensorflow/core/protobuf/error_codes.proto, which is gRPC's.
Code = StatusCode
CODES: dict[int, Code] = {code.value[0]: code for code in Code}

# tensorflow_serving/model_servers/http_server.cc, ToHTTPStatusCode; 500 for the others.
_HTTP = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}

# tensorflow_serving/model_servers/grpc_status_util.cc
GRPC_MESSAGE_LIMIT = 1024


class ServingError(Exception):
    """A request or a load that failed, with the status a client sees."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        http_status: int | None = None,
    ) -> None:
        """`http_status` is that of the code unless it is given."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.http_status = http_status or _HTTP.get(code, 500)

    def grpc_message(self) -> str:
        """The message, cut as TF Serving cuts it: 1,024 characters and "...TRUNCATED"."""
        if len(self.message) > GRPC_MESSAGE_LIMIT:
            return self.message[:GRPC_MESSAGE_LIMIT] + "...TRUNCATED"
        return self.message

    def to_string(self) -> str:
        """`CODE: message`, as absl::Status::ToString prints it."""
        return f"{self.code.name}: {self.message}"


invalid_argument = partial(ServingError, Code.INVALID_ARGUMENT)
failed_precondition = partial(ServingError, Code.FAILED_PRECONDITION)
not_found = partial(ServingError, Code.NOT_FOUND)
unimplemented = partial(ServingError, Code.UNIMPLEMENTED)
internal = partial(ServingError, Code.INTERNAL)
# Says when to come back.
unavailable = partial(ServingError, Code.UNAVAILABLE, retry_after_seconds=1.0)
