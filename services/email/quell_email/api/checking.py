"""Whether a URL may be followed: one answer for the click, for UrlService and for mail filters."""

from quell.email.v1 import url_service_pb2

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.redirects import targets
from quell_email.domain.wrappers import unwrapped
from quell_email.store.urls import UrlTable


def check(urls: UrlTable, text: str) -> url_service_pb2.UrlCheck:
    """Return what is known of a URL; one that is none is not to be followed."""
    try:
        layers = targets(text)
        plain = str(unwrapped(text)[-1] if len(layers) > 1 else layers[0])
    except UrlInvalidError:
        return url_service_pb2.UrlCheck(answer=url_service_pb2.URL_ANSWER_INVALID)
    found = urls.match(layers)
    if found is None:
        return url_service_pb2.UrlCheck(answer=url_service_pb2.URL_ANSWER_ALLOWED, canonical_url=plain)
    pattern, action = found
    return url_service_pb2.UrlCheck(
        answer=url_service_pb2.URL_ANSWER_BLOCKED,
        canonical_url=plain,
        pattern=pattern,
        action=f"actions/{action}",
    )
