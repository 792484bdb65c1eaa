"""The RPC SyncGuildRoles: plan, changes of many members, progress and report."""
