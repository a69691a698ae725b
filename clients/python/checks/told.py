"""What a call that failed says: the `google.rpc.Status` in its trailer, with deriva's detail."""

import grpc
from deriva.v1 import errors_pb2
from google.rpc import error_details_pb2, status_pb2

from .serving import Failed, same

TRAILER = "grpc-status-details-bin"


class Told:
    """Code, message, and what else is told; `kind` is `None` where there is no detail of deriva's."""

    def __init__(self, error):
        self.code, self.message = error.code(), error.details()
        self.kind, self.context, self.hint, self.path, self.retry_after = None, {}, "", [], None
        status = dict(error.trailing_metadata() or ()).get(TRAILER)
        if status is None:
            return
        status = status_pb2.Status.FromString(status)
        same("code and message in the trailer", (status.code, status.message), (self.code.value[0], self.message))
        for detail in status.details:
            if detail.Is(errors_pb2.ErrorDetail.DESCRIPTOR):
                self._read(errors_pb2.ErrorDetail.FromString(detail.value))
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                self.retry_after = delay.seconds + delay.nanos / 1e9
            else:
                raise Failed(f"a detail that the protocol does not name: {detail.type_url}")

    def _read(self, detail):
        self.kind = errors_pb2.ErrorKind.Name(detail.kind).removeprefix("ERROR_KIND_")
        self.context = {pair.key: pair.value for pair in detail.context}
        self.hint, self.path, self.operation = detail.hint, list(detail.path), detail.operation

    def __repr__(self):
        return f"{self.code.name}: {self.message!r}, kind {self.kind}, context {self.context}, hint {self.hint!r}, retry after {self.retry_after}"


def refused(call):
    """What a call is told that has to fail: an answer, or all answers of a stream."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            for _ in answer:
                pass
    except grpc.RpcError as error:
        return Told(error)
    raise Failed("a call had to fail, and did not")
