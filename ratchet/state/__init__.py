"""What state/ remembers: the ledger, the lock, the turn, a move under way."""
