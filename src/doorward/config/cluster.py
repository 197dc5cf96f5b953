"""Config -> the store of several nodes. Imported only where store.cluster_url is set: an extra brings its libraries."""

from doorward.adapters.crypto.master import MasterSecret, Purpose
from doorward.adapters.stores.cluster.store import ClusterStore, Shared
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.stores.redis.address import AddressError, read_address
from doorward.adapters.stores.redis.link import COMMANDS_WITHIN, DEADLINE, RedisLink
from doorward.adapters.stores.redis.presence import RedisPresence
from doorward.adapters.stores.redis.rates import RedisRates
from doorward.adapters.stores.redis.slots import RedisSlots
from doorward.adapters.stores.redis.tickets import RedisTickets
from doorward.ports import Clock, Entropy, Store, StoreError


def make_cluster_store(
    durable: Store,
    url: str,
    *,
    process: str,
    master: MasterSecret,
    clock: Clock,
    entropy: Entropy,
    told: Told,
    follows: bool,
    name: str,
) -> Store:
    """`name` is what the durable store is called, `process` names this process among all of all nodes. `follows`: it
    serves connections. Raises StoreError."""
    try:
        deadline = DEADLINE if follows else COMMANDS_WITHIN
        link = RedisLink(read_address(url), entropy=entropy, deadline=deadline, note=told.note, fault=told.fault)
    except AddressError as error:
        raise StoreError(f"store.cluster_url: {error}") from error
    slots = RedisSlots(link, process=process, entropy=entropy)

    async def begin() -> None:
        if follows:
            await slots.start(now=clock.now())

    async def end() -> None:
        if follows and link.here:
            await slots.stop()

    shared = Shared(
        tickets=RedisTickets(link, key=master.derive(Purpose.BUS, detail="tickets"), clock=clock, note=told.note),
        rates=RedisRates(link),
        slots=slots,
        presence=RedisPresence(link),
        begin=begin,
        end=end,
    )
    return ClusterStore(
        durable,
        link,
        shared,
        key=master.derive(Purpose.BUS, detail="feed"),
        clock=clock,
        entropy=entropy,
        told=told,
        follows=follows,
        name=name,
    )
