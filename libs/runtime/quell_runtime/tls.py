"""A listener's certificates, read again from their files at the next handshake after they change."""

from datetime import datetime, timedelta
from pathlib import Path

import grpc
import structlog
from cryptography import x509

from quell_runtime.config import Listener, ServerTls
from quell_runtime.errors import InvalidError

_log = structlog.get_logger()


class CertificateInvalidError(InvalidError):
    """A certificate file can't be used."""

    reason = "CERTIFICATE_INVALID"


def credentials(listener: ServerTls) -> grpc.ServerCredentials:
    """Return what a listener shows, and with a `client_ca` whom it believes.

    Raises:
        CertificateInvalidError: The files can't be read.

    """
    files = _Files(listener)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.changed,  # type: ignore[arg-type] # None says unchanged; the stubs don't know
        require_client_authentication=isinstance(listener, Listener),
    )


def life(certificate: Path) -> timedelta:
    """Return how long a certificate is good for from its beginning to its end.

    Raises:
        CertificateInvalidError: It is none.

    """
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateInvalidError(f"{certificate}: {error}") from None
    begin: datetime = found.not_valid_before_utc
    return found.not_valid_after_utc - begin


class _Files:
    def __init__(self, listener: ServerTls) -> None:
        self._key = listener.key
        self._certificate = listener.certificate
        self._client_ca = listener.client_ca if isinstance(listener, Listener) else None
        self._seen = self._look()

    def read(self) -> grpc.ServerCertificateConfiguration:
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        trusted = self._client_ca.read_bytes() if self._client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], trusted)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what is in the files if it is new. What can't be read leaves what was."""
        try:
            now = self._look()
            if now == self._seen:
                return None
            found = self.read()
        except OSError as error:
            _log.error("certificates_unreadable", error=str(error))
            return None
        self._seen = now
        _log.info("certificates_read", certificate=str(self._certificate))
        return found

    def _look(self) -> tuple[tuple[int, int], ...]:
        files = (self._key, self._certificate, self._client_ca)
        found = (path.stat() for path in files if path)
        return tuple((each.st_mtime_ns, each.st_ino) for each in found)
