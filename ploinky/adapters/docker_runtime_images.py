"""Get images: those the engine has, those it can pull, and the agent base image, which can also be built."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from docker import errors as engine
from docker.utils import parse_repository_tag

from ploinky.adapters.debian_image import BASE_REFERENCE, build_base, why_not_buildable
from ploinky.adapters.docker_runtime_builds import auth_of, build_image
from ploinky.adapters.docker_runtime_errors import NOT_FOUND, reason_of, status_of, translate, translated
from ploinky.adapters.docker_runtime_places import USUAL_PATH
from ploinky.domain.errors import ImageUnavailable, RuntimeUnavailable
from ploinky.domain.specs import PinnedImage
from ploinky.ports.images import LABEL_IMAGE_JOURNAL, USUAL_REGISTRY, BuildSpec, RegistryLogin, registry_of
from ploinky.ports.runtime import Image, Progress

DEFAULT_IMAGE = "python:3-slim"
MAX_LAYERS = 1000

_REFERENCE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_LAYER_DONE = {"Pull complete", "Already exists"}


class Images:
    """The engine's images, as an agent needs them."""

    def __init__(self, client: Callable[[], Any], default_image: str) -> None:
        self._client = client
        self._default_image = default_image
        self._building = threading.Lock()

    def resolve(
        self, reference: str, progress: Progress, *, is_renewed: bool = False, login: RegistryLogin | None = None
    ) -> Image:
        """Return an image, by pulling it if the engine does not have it; empty stands for the agent base image."""
        if not reference:
            return self._resolve_base(progress)
        if not _REFERENCE_PATTERN.fullmatch(reference):
            raise ImageUnavailable(f"{reference[:100]!r} is not the name of an image", hint="Use name:tag.")
        found = self._local(reference)
        if found is None:
            return self._pull(reference, progress, login)
        if not is_renewed:
            return found
        try:
            return self._pull(reference, progress, login)
        except (ImageUnavailable, RuntimeUnavailable) as error:
            progress(f"{error.message}; what is here serves")
            return found

    def restore(self, reference: str, pin: PinnedImage, login: RegistryLogin | None) -> Image | None:
        """Return the very image that a release was started with, from here or by its digest from its registry."""
        if self._local(pin.digest) is None and pin.repository_digest:
            try:
                self._pull(pin.repository_digest, _silent, login)
            except ImageUnavailable:
                return None
        # Not whatever the name stands for by now: the same content, or nothing.
        answer = self._inspect(pin.digest)
        if answer is None:
            return None
        tags = answer.get("RepoTags")
        name = reference or (str(tags[0]) if isinstance(tags, list) and tags else pin.digest)
        return Image(name, pin.digest, pin.repository_digest)

    def build(self, spec: BuildSpec, progress: Progress, connect: Callable[[], Any]) -> Image:
        """Return the image of a source, built if the engine has none with these labels."""
        if self._labels(spec.reference) != spec.labels:
            progress(f"building {spec.reference}")
            build_image(connect, spec, progress)
        return self._required(spec.reference)

    def built(self, journal_id: str) -> list[str]:
        """Return the content ids of the images that carry this journal's label."""
        label = f"{LABEL_IMAGE_JOURNAL}={journal_id}"
        with translated("list images"):
            answer = self._client().images(filters={"label": label})
        listed = answer if isinstance(answer, list) else []
        return [str(image["Id"]) for image in listed if isinstance(image, dict) and _is_of(image, journal_id)]

    def remove(self, digest: str) -> None:
        """Remove an image with all its names; one that a container uses stays. **Raises** `RuntimeRefused` then."""
        client = self._client()
        try:
            answer = self._inspect(digest)
            # By its names, not by force: force would also take it from a container that has ended.
            tags = answer.get("RepoTags") if answer else None
            for tag in tags if isinstance(tags, list) and tags else [digest]:
                client.remove_image(tag)
        except Exception as error:
            if status_of(error) != NOT_FOUND:
                raise translate(f"remove {digest}", error) from error

    def _labels(self, reference: str) -> dict[str, str]:
        """Return what an image says of itself that only we say; nothing when there is none."""
        answer = self._inspect(reference)
        config = answer.get("Config") if answer else None
        labels = config.get("Labels") if isinstance(config, dict) else None
        found = labels if isinstance(labels, dict) else {}
        return {name: str(value) for name, value in found.items() if str(name).startswith("ploinky.image.")}

    def base_here(self) -> Image | None:
        """Return the agent base image if the engine has one; nothing is pulled or built."""
        return self._local(BASE_REFERENCE) or self._local(self._default_image)

    def build_base(self, progress: Progress) -> Image:
        with self._building:
            reference = build_base(self._client(), progress)
        return self._required(reference)

    def path_in(self, reference: str) -> str:
        """Return the PATH that an image sets. **Raises** `ImageUnavailable` when the engine does not have it."""
        with translated(f"look at {reference}"):
            answer = self._client().inspect_image(reference)
        config = answer.get("Config") if isinstance(answer, dict) else None
        variables = config.get("Env") if isinstance(config, dict) else None
        for variable in variables if isinstance(variables, list) else ():
            if isinstance(variable, str) and variable.startswith("PATH="):
                return variable.removeprefix("PATH=")
        return USUAL_PATH

    def _resolve_base(self, progress: Progress) -> Image:
        found = self.base_here()
        if found is not None:
            return found
        with self._building:
            found = self._local(BASE_REFERENCE)  # another thread may have built it while this one waited
            if found is not None:
                return found
            try:
                return self._pull(self._default_image, progress)
            except ImageUnavailable as error:
                missing = why_not_buildable()
                if missing:
                    raise ImageUnavailable(
                        f"there is no agent base image: {error.message}, and none can be built here: {missing}",
                        hint=f"Pull {self._default_image} where a registry answers, or load it with `docker load`.",
                    ) from error
                progress(f"{error.message}; building {BASE_REFERENCE} from Debian packages instead")
            reference = build_base(self._client(), progress)
        return self._required(reference)

    def _required(self, reference: str) -> Image:
        found = self._local(reference)
        if found is None:
            raise ImageUnavailable(f"{reference} was made, but the engine does not have it", hint="Is its disk full?")
        return found

    def _local(self, reference: str) -> Image | None:
        answer = self._inspect(reference)
        if answer is None:
            return None
        digest = answer.get("Id")
        if not isinstance(digest, str):
            raise RuntimeUnavailable("the container engine answers something unexpected about an image")
        return Image(reference, digest, _repository_digest(reference, answer.get("RepoDigests")))

    def _inspect(self, reference: str) -> dict[str, Any] | None:
        client = self._client()
        try:
            answer = client.inspect_image(reference)
        except Exception as error:
            if status_of(error) == NOT_FOUND:
                return None
            raise translate(f"look for {reference}", error) from error
        if not isinstance(answer, dict):
            raise RuntimeUnavailable("the container engine answers something unexpected about an image")
        return answer

    def _pull(self, reference: str, progress: Progress, login: RegistryLogin | None = None) -> Image:
        repository, tag = parse_repository_tag(reference)
        client = self._client()
        progress(f"pulling {reference}")
        with translated(f"pull {reference}"):
            try:
                messages = client.pull(
                    repository,
                    tag or "latest",
                    stream=True,
                    decode=True,
                    auth_config=auth_of(login) if login else None,
                )
                for line in _progress_of(messages, reference):
                    progress(line)
            except engine.APIError as error:
                raise _unavailable(reference, reason_of(error)) from error
        return self._required(reference)


def _repository_digest(reference: str, listed: object) -> str:
    """Choose the digest under which the image's own registry knows it."""
    repository = parse_repository_tag(reference)[0]
    digests = [digest for digest in listed if isinstance(digest, str)] if isinstance(listed, list) else []
    names = (repository, f"{USUAL_REGISTRY}/{repository}", f"{USUAL_REGISTRY}/library/{repository}")
    return next((digest for digest in digests if digest.partition("@")[0] in names), "")


def _is_of(image: dict[str, Any], journal_id: str) -> bool:
    labels = image.get("Labels")
    return isinstance(labels, dict) and labels.get(LABEL_IMAGE_JOURNAL) == journal_id


def _silent(_line: str) -> None:
    """Show nothing."""


def _progress_of(messages: Iterator[object], reference: str) -> Iterator[str]:
    """Read what a pull says: a line whenever one more layer is known or done. **Raises** `ImageUnavailable`."""
    layers: dict[str, bool] = {}
    failure = ""
    # To the end also after an error, which is the last message: the library closes only what has been read up.
    for message in messages:
        if not isinstance(message, dict):
            continue
        failure = str(message.get("error", failure))
        layer, status = message.get("id"), message.get("status")
        if not isinstance(layer, str) or status not in {"Pulling fs layer", *_LAYER_DONE} or len(layers) > MAX_LAYERS:
            continue
        layers[layer] = status in _LAYER_DONE
        yield f"pulling {reference}: {sum(layers.values())} of {len(layers)} layers"
    if failure:
        raise _unavailable(reference, failure)


def _hint(reference: str, reason: str) -> str:
    words = reason.lower()
    if any(word in words for word in ("unauthorized", "denied", "authentication required", "no basic auth")):
        return f"Is it private? `ploinky registry add {registry_of(reference)} --username NAME --secret -` opens it."
    return "Check the name, and that this machine reaches its registry; or load the image with `docker load`."


def _unavailable(reference: str, reason: str) -> ImageUnavailable:
    return ImageUnavailable(
        f"{reference} cannot be pulled: {reason}",
        hint=_hint(reference, reason),
    )
