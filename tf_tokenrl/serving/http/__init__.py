"""The HTTP port: server, routes and the REST API."""
