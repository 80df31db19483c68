"""
A stock LoopBack 3 server as a replication end.

``async with connect_loopback("http://host:3000/api", keeper=replica) as server:``
``    await syncline.replicate(replica.model("Car"), server.model("Car"))``

`follow_loopback` keeps a replica level with such a server, continuously.
"""

from syncline.loopback.end import LoopBackModel as LoopBackModel
from syncline.loopback.end import LoopBackServer as LoopBackServer
from syncline.loopback.end import connect_loopback as connect_loopback
from syncline.loopback.following import LoopBackLink as LoopBackLink
from syncline.loopback.following import follow_loopback as follow_loopback
