"""The floor: who may touch what. Users, projects, roles, keys, secrets, audit, leases, outbound HTTP."""
