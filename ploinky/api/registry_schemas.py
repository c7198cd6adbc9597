"""The shapes of registries of images, as the API answers with and reads them."""

from ploinky.api.schemas import Wire


class RegistryShape(Wire):
    """A private registry, and who asks there."""

    host: str
    username: str


class RegistryRequest(Wire, forbid_unknown_fields=True):
    """Who asks a registry. The password is never shown again."""

    host: str
    username: str
    password: str
