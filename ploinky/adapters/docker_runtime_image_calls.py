"""The part of the `Runtime` port that is about images."""

from ploinky.adapters.docker_runtime_client import Connections
from ploinky.adapters.docker_runtime_images import Images
from ploinky.domain.specs import PinnedImage
from ploinky.ports.images import BuildSpec, RegistryLogin
from ploinky.ports.runtime import Image, Progress


class EngineImages:
    """What a runtime over an engine can do with images; it has the connections and the images."""

    _connections: Connections
    _images: Images

    def resolve_image(
        self, reference: str, progress: Progress, *, is_renewed: bool = False, login: RegistryLogin | None = None
    ) -> Image:
        return self._images.resolve(reference, progress, is_renewed=is_renewed, login=login)

    def restore_image(self, reference: str, pin: PinnedImage, login: RegistryLogin | None = None) -> Image | None:
        return self._images.restore(reference, pin, login)

    def built_images(self, journal_id: str) -> list[str]:
        return self._images.built(journal_id)

    def remove_image(self, digest: str) -> None:
        self._images.remove(digest)

    def build_image(self, spec: BuildSpec, progress: Progress) -> Image:
        return self._images.build(spec, progress, self._connections.separate)

    def build_base_image(self, progress: Progress) -> Image:
        """Build the agent base image from this machine's Debian packages. Idempotent: it is built anew.

        **Raises** `ImageUnavailable` with what is missing.
        """
        return self._images.build_base(progress)
