"""Server-Sent Events: what happens in a project, told to whoever listens."""
