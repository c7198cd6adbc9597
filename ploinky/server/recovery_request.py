"""Ask the running server of this machine for a new key, with a proof made from its own key file."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from ploinky.domain.errors import DirectoryBusy, Unavailable
from ploinky.server.installation import ADDRESS_FILE

TIMEOUT_SECONDS = 30


def ask_running_server(directory: Path, issued_at: int, proof: str) -> dict[str, str]:
    """Return `{key, keyId}`. Raises `Unavailable` when the server does not answer or refuses."""
    try:
        url = urlsplit((directory / ADDRESS_FILE).read_text().strip())
    except OSError as error:
        raise DirectoryBusy("The server that runs here has not said where it listens") from error
    connection = http.client.HTTPConnection(url.hostname or "localhost", url.port, timeout=TIMEOUT_SECONDS)
    try:
        body = json.dumps({"issuedAt": issued_at, "proof": proof})
        connection.request("POST", "/management/api/keys/recover", body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable(f"The server at {url.geturl()} does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.CREATED:
        raise Unavailable(f"The server at {url.geturl()} refused: {answer.get('message', response.status)}")
    return {"key": str(answer["key"]), "keyId": str(answer["keyId"])}
