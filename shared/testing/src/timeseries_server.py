"""A stand-in for Redis with TimeSeries, for tests on machines without such a server.

Usage: python3 - PORT < timeseries_server.py. Needs fakeredis[lua]. Corrects fakeredis where it differs from a real
server in behaviour that Rackwatch relies on.
"""

import sys

from fakeredis import TcpFakeServer
from fakeredis._helpers import SimpleError
from fakeredis.model import TimeSeries
from fakeredis.stack import _timeseries_mixin
from redis.exceptions import ResponseError

module = sys.modules[TcpFakeServer.__module__]


class Connection(module.FakeRedisConnection):
    """Returns errors as replies; fakeredis would send them and close the connection."""

    def read_response(self, *args, **kwargs):
        try:
            return super().read_response(*args, **kwargs)
        except ResponseError as error:
            return error


module.FakeRedisConnection = Connection

append = TimeSeries.add


def add(self, timestamp, *args, **kwargs):
    """Keeps samples in order of time; fakeredis appends late ones."""
    late = timestamp < self.max_timestamp
    added = append(self, timestamp, *args, **kwargs)
    if late:
        self.sorted_list.sort()
        self.ts_ind_map = {at: index for index, (at, _) in enumerate(self.sorted_list)}
    return added


TimeSeries.add = add

extract_args = _timeseries_mixin.extract_args


def extract_checked(*args, **kwargs):
    """Refuses labels as RedisTimeSeries 1.12.14 does: `TS.CREATE k LABELS rack ''`, and values with ( ) or a comma."""
    found, rest = extract_args(*args, **kwargs)
    if rest and rest[0].upper() == b"LABELS":
        for value in rest[2::2]:
            if not value or any(character in value for character in (b"(", b")", b",")):
                raise SimpleError("ERR TSDB: Couldn't parse LABELS")
    return found, rest


_timeseries_mixin.extract_args = extract_checked

TcpFakeServer(("127.0.0.1", int(sys.argv[1])), server_type="redis", server_version=(8, 6)).serve_forever()
