"""Every unary call has a deadline, and a near one: what nobody waits for any more is not begun."""

from quell_runtime.errors import InvalidError
from quell_runtime.interceptors.call import Call

LONGEST_S = 60.0


class DeadlineRequiredError(InvalidError):
    """A unary call came without a deadline, or with one that is too far away."""

    reason = "DEADLINE_REQUIRED"


def required(call: Call) -> None:
    """Refuse a unary call without a deadline. Streams end by the age of their connection.

    Raises:
        DeadlineRequiredError: There is none within 60 s.

    """
    left = call.context.time_remaining()
    if not call.stream and (left is None or left > LONGEST_S):
        raise DeadlineRequiredError(f"give a deadline of at most {LONGEST_S:.0f} s (grpcurl: -max-time 30)")
