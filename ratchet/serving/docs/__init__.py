"""The table of operations, and what is made from it: /openapi.json and the page at /docs."""
