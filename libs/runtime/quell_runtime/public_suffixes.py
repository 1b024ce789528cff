"""Public suffixes: the hosts directly below which anybody may have names, as `com`, `co.uk`, `github.io`."""

from functools import cache

from tldextract import TLDExtract


def is_public_suffix(host: str) -> bool:
    """Tell whether anybody may have names directly below the host; an address is none."""
    found = _known().extract_str(host)
    return bool(found.suffix) and not found.domain


@cache
def _known() -> TLDExtract:
    # The list that comes with the package: nothing is fetched, nothing is written. Its private part counts too.
    return TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
