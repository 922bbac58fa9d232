"""Server-Sent Events: what happens in a project, told to whoever listens.

app        one connection: opens, writes, ends
listener   what waits to be written to it, bounded
hub        all connections: follows each project once, for all who listen
wake       how the hub learns, from other processes, that there is something to see
"""

# What who listens must be allowed to do.
SCOPE = "ticket:read"
