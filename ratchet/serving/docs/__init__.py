"""The description of the service: one table of operations, as OpenAPI and as a page."""
