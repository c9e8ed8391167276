"""Tables of any form and any size."""
