"""Read the committed offsets and the members of consumer groups from their coordinators."""

from __future__ import annotations

from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, for_code

NO_SUCH_GROUP: Final = GroupIdNotFound.errno
"""Kafka's error code for a group that has never had a member."""


class ConsumerGroups:
    """Read consumer groups with one admin client; each group's coordinator is looked up once.

    If a coordinator changes, a request fails, and the caller must start again with a new object.
    """

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin
        self._coordinators: dict[str, int] = {}

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return the committed offset of each partition that has one.

        A former coordinator may return no offsets: call ``has_members`` before using them.

        Raises:
            KafkaError: the coordinator did not respond.
        """
        offsets = await self._admin.list_consumer_group_offsets(
            group, group_coordinator_id=await self._coordinator(group)
        )
        return {partition: found.offset for partition, found in offsets.items()}

    async def has_members(self, group: str) -> bool:
        """Return whether the group has an active member.

        Raises:
            KafkaError: the coordinator did not respond, or is no longer the group's coordinator.
        """
        (response,) = await self._admin.describe_consumer_groups(
            [group], group_coordinator_id=await self._coordinator(group)
        )
        code, _, _, _, _, members, *_ = response.groups[0]
        if code and code != NO_SUCH_GROUP:
            raise for_code(code)(f"the group {group} cannot be described")
        return bool(members)

    async def _coordinator(self, group: str) -> int:
        if group not in self._coordinators:
            self._coordinators[group] = await self._admin.find_coordinator(group)
        return self._coordinators[group]
