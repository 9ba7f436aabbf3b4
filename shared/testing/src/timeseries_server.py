"""A stand-in for Redis with time series, used where no such server can be installed.

Usage: python3 - PORT < timeseries_server.py. Needs fakeredis[lua].
"""

import sys

from fakeredis import TcpFakeServer

TcpFakeServer(
    ("127.0.0.1", int(sys.argv[1])), server_type="redis", server_version=(8, 6)
).serve_forever()
