"""The files in state/: ledger, lock, running turn, and pending move of the champion."""
