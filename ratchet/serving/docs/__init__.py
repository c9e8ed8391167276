"""The table of operations, the document made from it at /openapi.json, and the viewer at /docs."""
