"""Processes beside a command: started, watched, ended; and who may reach them."""
