"""Over https the server has to prove who it is."""

import contextlib
import datetime as dt
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ploinky.client import ConnectionFailed, PloinkyClient
from ploinky.client.connection import reason_of

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1 that nobody else signed, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stub")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    key_text = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "server.pem"
    file.write_bytes(key_text + made.public_bytes(encoding))
    return file


@pytest.fixture
def secure_url(certificate: Path) -> Iterator[str]:
    """Serve one answer to each of two connections over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve() -> None:
        with contextlib.suppress(OSError):
            accepted, _ = listener.accept()
            with accepted, context.wrap_socket(accepted, server_side=True) as connection:
                connection.recv(65_536)
                connection.sendall(ANSWER)

    server = threading.Thread(target=serve)
    server.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    server.join()
    listener.close()


def test_sends_nothing_to_a_server_it_does_not_trust(secure_url: str) -> None:
    """A certificate that nobody vouches for ends the connection before the key is sent."""
    with PloinkyClient(secure_url, "plk_test", timeout_seconds=10) as client, pytest.raises(ConnectionFailed) as caught:
        client.health()
    assert "certificate" in caught.value.reason.lower()


def test_talks_to_a_server_it_trusts(secure_url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that the system's store has, here by SSL_CERT_FILE, is good."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with PloinkyClient(secure_url, "plk_test", timeout_seconds=10) as client:
        assert client.health() == {"status": "ok"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "it took too long"),
        (socket.gaierror(-2, "Name or service not known"), "the host's name is not known"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (http.client.RemoteDisconnected("closed"), "it closed the connection without an answer"),
        (http.client.BadStatusLine("220 mail"), "it does not speak HTTP (BadStatusLine)"),
        (OSError("odd"), "odd"),
        (OSError(), "OSError"),
    ],
)
def test_says_why(error: Exception, reason: str) -> None:
    """Each way a connection fails has a few words."""
    assert reason_of(error) == reason
