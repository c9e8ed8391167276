"""All state kept, moved or thrown away: backup, restore, prune, migrations, a registry that moves."""
