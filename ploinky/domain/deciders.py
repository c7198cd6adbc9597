"""All aggregates by their kind."""

from collections.abc import Mapping

from ploinky.domain.access import ACCESS
from ploinky.domain.decider import Decider
from ploinky.domain.deployment_wishes import DEPLOYMENT
from ploinky.domain.instance import INSTANCE
from ploinky.domain.registry import REGISTRY
from ploinky.domain.repository import REPOSITORY
from ploinky.domain.settings import SETTINGS_DECIDER
from ploinky.domain.task import TASK

DECIDERS: Mapping[str, Decider] = {
    decider.kind: decider for decider in (DEPLOYMENT, INSTANCE, TASK, REPOSITORY, REGISTRY, ACCESS, SETTINGS_DECIDER)
}
