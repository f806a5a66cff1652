"""One host's port of the RDMA network: carries requests to the port of another host, and the answers back."""

from __future__ import annotations

from gupsim.actors.base import Actor, handles
from gupsim.protocol.fabric import FindRegion, Region, WriteRemote
from gupsim.protocol.message import Status


class Fabric(Actor):
    """Loses nothing and keeps each pair of ports in order, as a lossless fabric with reliable connections does.

    The time between two ports is the latency of the link between two `fabric` actors.
    """

    @handles(FindRegion)
    async def find_region(self, msg: FindRegion) -> Region:
        """To the NIC if it is ours, else to the host that it is for."""
        if msg.to == self.host:
            return await self.ask(f"{self.host}/dma/{msg.device}", msg)
        return await self.ask(f"{msg.to}/fabric", msg)

    @handles(WriteRemote)
    async def write_remote(self, msg: WriteRemote) -> Status:
        """As `find_region`."""
        if msg.to == self.host:
            return await self.ask(f"{self.host}/dma/{msg.device}", msg)
        return await self.ask(f"{msg.to}/fabric", msg)
