"""What tests share: projects, services, browsers, ports, and the map of the code."""
