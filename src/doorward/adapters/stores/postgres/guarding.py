"""A schema that others may put something into is not opened: what they put there would run with our rights.

An operator, a function or a trigger of somebody else's is called by whoever's statement finds it (PostgreSQL 15
documentation, 5.9.3: CREATE on a schema is given only to those one trusts).
"""

from typing import Final

from doorward.adapters.stores.postgres.connecting import Connection
from doorward.ports import StoreError

_MOST_NAMED: Final = 3
# Trusted: superusers, the database's owner, whoever can act as us, and the groups that we are in. Whoever can act as
# the schema's owner may create; so the owner is one of the trusted.
_GUARD: Final = """
WITH ours AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl, d.datdba,
           m.oid AS me, m.rolsuper AS may_all
    FROM pg_catalog.pg_namespace AS n, pg_catalog.pg_database AS d, pg_catalog.pg_roles AS m
    WHERE n.nspname = pg_catalog.current_schema() AND d.datname = pg_catalog.current_database()
      AND m.rolname = current_user
),
trusted AS (
    SELECT r.oid FROM pg_catalog.pg_roles AS r, ours AS o
    WHERE r.rolsuper OR r.oid = o.datdba OR r.rolname = 'pg_database_owner'
       OR pg_catalog.pg_has_role(r.oid, o.me, 'MEMBER'::text)
       OR NOT o.may_all AND pg_catalog.pg_has_role(o.me, r.oid, 'MEMBER'::text)
),
granted AS (
    SELECT a.grantee FROM ours AS o, pg_catalog.aclexplode(o.nspacl) AS a WHERE a.privilege_type = 'CREATE'
),
creators AS (
    SELECT r.rolname FROM pg_catalog.pg_roles AS r, ours AS o
    WHERE NOT pg_catalog.pg_has_role(r.oid, o.me, 'MEMBER'::text)
      AND NOT pg_catalog.pg_has_role(r.oid, o.datdba, 'MEMBER'::text)
      AND NOT pg_catalog.pg_has_role(r.oid, o.nspowner, 'MEMBER'::text)
      AND EXISTS (SELECT 1 FROM granted AS g
                  WHERE g.grantee <> 0::oid AND pg_catalog.pg_has_role(r.oid, g.grantee, 'MEMBER'::text))
),
things AS (
    SELECT 'function'::text AS kind, p.proname AS name, p.proowner AS owner
    FROM pg_catalog.pg_proc AS p, ours AS o WHERE p.pronamespace = o.oid
    UNION ALL
    SELECT 'operator'::text, p.oprname, p.oprowner
    FROM pg_catalog.pg_operator AS p, ours AS o WHERE p.oprnamespace = o.oid
    UNION ALL
    SELECT 'table'::text, c.relname, c.relowner FROM pg_catalog.pg_class AS c, ours AS o
    WHERE c.relnamespace = o.oid AND pg_catalog.starts_with(c.relname::text, 'doorward_'::text)
    UNION ALL
    SELECT 'type'::text, t.typname, t.typowner FROM pg_catalog.pg_type AS t, ours AS o
    WHERE t.typnamespace = o.oid AND t.typrelid = 0::oid AND t.typelem = 0::oid
    UNION ALL
    SELECT 'trigger'::text, g.tgname, p.proowner
    FROM pg_catalog.pg_trigger AS g, pg_catalog.pg_class AS c, pg_catalog.pg_proc AS p, ours AS o
    WHERE g.tgrelid = c.oid AND p.oid = g.tgfoid AND c.relnamespace = o.oid
      AND pg_catalog.starts_with(c.relname::text, 'doorward_'::text)
)
SELECT o.nspname::text, o.nspowner IN (SELECT t.oid FROM trusted AS t),
       pg_catalog.pg_get_userbyid(o.nspowner)::text, pg_catalog.pg_get_userbyid(o.me)::text,
       EXISTS (SELECT 1 FROM granted AS g WHERE g.grantee = 0::oid),
       ARRAY(SELECT c.rolname::text FROM creators AS c ORDER BY c.rolname),
       ARRAY(SELECT pg_catalog.concat(t.kind, ' ', t.name, ' of ', pg_catalog.pg_get_userbyid(t.owner)) FROM things AS t
             WHERE t.owner NOT IN (SELECT r.oid FROM trusted AS r) ORDER BY t.kind, t.name LIMIT 100)
FROM ours AS o
"""


async def guard(connection: Connection, *, is_there: bool) -> None:
    """Raises StoreError, with the remedy, unless only those who are trusted may create in our schema, or have.

    `is_there`: our tables are in it already. Then another schema is no remedy: it would be empty.
    """
    row = await (await connection.execute(_GUARD, prepare=False)).fetchone()
    if row is None:
        raise StoreError("PostgreSQL does not say who may create in our schema")
    schema, is_trusted, owner, me, is_public, creators, things = row
    if not is_trusted:
        raise StoreError(
            f"schema {schema} is owned by {owner}, who could take over all that is in it: "
            f"ALTER SCHEMA {schema} OWNER TO {me}, or name another by ?options=-csearch_path%3D… in store.url"
        )
    if is_public or creators:
        whom = ", ".join((["PUBLIC"] if is_public else []) + creators[:_MOST_NAMED])
        more = f" and {len(creators) - _MOST_NAMED} more" if len(creators) > _MOST_NAMED else ""
        raise StoreError(
            f"others may create in schema {schema}, and what they create could run with our rights: "
            f"REVOKE CREATE ON SCHEMA {schema} FROM {whom}{more}"
            + ("" if is_there else f"; or give Doorward its own: CREATE SCHEMA {me} AUTHORIZATION {me}")
        )
    if things:
        named = ", ".join(things[:_MOST_NAMED])
        more = f" and {len(things) - _MOST_NAMED} more" if len(things) > _MOST_NAMED else ""
        raise StoreError(
            f"schema {schema} holds what somebody else put there, and it could run with our rights: {named}{more}. "
            "Look who it was, and DROP it"
        )
