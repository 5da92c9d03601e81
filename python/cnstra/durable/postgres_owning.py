"""What is asked of PostgreSQL about who owns runs: registering, taking over, giving up. Each is one statement.

Who owns a run is decided by its row: taking over locks it, and passes over rows that somebody else has locked; a commit
that finds it changed looks at the fence again.
"""

from __future__ import annotations

from typing import Final

from .postgres_schema import NOW

__all__ = [
    "BEAT",
    "CANCEL",
    "CANDIDATES",
    "CANDIDATE_NAMED",
    "CLAIM",
    "CREATE",
    "GIVE_UP",
    "OWNERS",
    "PRUNE",
    "PRUNE_OWNERS",
    "REGISTER",
    "REOPEN",
    "UNREGISTER",
]

# The same moment for a whole statement.
_NOW = f"(SELECT {NOW})"

# Whether nobody is known to be alive who owns the run r.
_LAPSED = f"""NOT EXISTS (SELECT FROM cnstra_owners o WHERE o.owner = r.owner AND o.lease_until > {_NOW})"""

# Whether r may be taken over by $1, who has the runs $2 and knows that the owners $3 are dead.
_RUNNING_FREE = f"""(r.status = 'running' AND CASE
        WHEN r.owner IS NULL THEN true
        WHEN r.owner = $1 THEN r.key <> ALL($2::int8[])
        ELSE r.owner = ANY($3::text[]) OR {_LAPSED}
    END)"""
_SCHEDULED_FREE = f"(r.status = 'scheduled' AND r.due <= {_NOW})"

OWNERS: Final = "SELECT owner FROM cnstra_owners ORDER BY owner"

REGISTER: Final = f"""
INSERT INTO cnstra_owners (owner, lease_until) VALUES ($1, {NOW} + $2::float8)
ON CONFLICT (owner) DO UPDATE SET lease_until = EXCLUDED.lease_until
RETURNING owner
"""

BEAT: Final = f"""
WITH beat AS (
    INSERT INTO cnstra_owners (owner, lease_until) VALUES ($1, {NOW} + $2::float8)
    ON CONFLICT (owner) DO UPDATE SET lease_until = EXCLUDED.lease_until
)
SELECT key, cancel FROM cnstra_runs WHERE owner = $1 AND cancel IS NOT NULL AND status = 'running'
"""

UNREGISTER: Final = f"""
WITH freed AS (
    UPDATE cnstra_runs SET owner = NULL WHERE owner = $1 AND status = 'running' RETURNING key, hops
),
released AS (
    UPDATE cnstra_attempts a SET status = 'released', ended = {NOW}, hops = f.hops
    FROM freed f WHERE a.run = f.key AND a.ended IS NULL
),
gone AS (DELETE FROM cnstra_owners WHERE owner = $1)
SELECT count(*) FROM freed
"""

CREATE: Final = f"""
WITH made AS (
    INSERT INTO cnstra_runs (
        run_id, status, owner, fence, attempt, hops, crashes, last_seq, created, updated, due, scope, tags, root,
        fingerprint
    )
    SELECT $1, CASE WHEN now THEN 'running' ELSE 'scheduled' END, CASE WHEN now THEN $2 END, now::int, now::int,
        0, 0, 0, at, at, $3::float8, $4::text, $5::text[], $6, $7
    FROM (SELECT $3::float8 IS NULL AS now, {NOW} AS at) moment
    ON CONFLICT (run_id) DO NOTHING
    RETURNING key, fence, attempt, created
),
entry AS (INSERT INTO cnstra_entries (run, entry, options) SELECT key, $8::bytea, $9::bytea FROM made),
begun AS (
    INSERT INTO cnstra_attempts (run, number, owner, status, started, hops)
    SELECT key, attempt, $2, 'running', created, 0 FROM made WHERE attempt > 0
)
SELECT key, fence, attempt FROM made
"""

_CANDIDATE = """
SELECT r.key, r.run_id, r.fence, r.fingerprint, e.entry, r.owner, r.crashes, r.status = 'scheduled', r.cancel
FROM cnstra_runs r JOIN cnstra_entries e ON e.run = r.key"""
# Two lookups, so that neither is made by going through all runs in the order of their keys.
CANDIDATES: Final = f"""
WITH free AS MATERIALIZED (
    SELECT key FROM cnstra_runs r WHERE {_RUNNING_FREE}
    UNION ALL
    SELECT key FROM cnstra_runs r WHERE {_SCHEDULED_FREE}
)
{_CANDIDATE}, free WHERE r.key = free.key ORDER BY r.key LIMIT $4::int8
"""
CANDIDATE_NAMED: Final = f"{_CANDIDATE} WHERE r.run_id = $4 AND ({_RUNNING_FREE} OR {_SCHEDULED_FREE})"

# What a claim tells. Like all of a statement it does not see what the statement writes: `t` is what that returns.
_CLAIM = """
SELECT t.key, t.run_id, t.fence, t.attempt, t.root, e.entry, e.options, l.last_seq > 0, l.last_seq, t.hops
FROM taken t JOIN cnstra_entries e ON e.run = t.key CROSS JOIN LATERAL (
    SELECT greatest(t.last_seq, max(seq)) AS last_seq FROM cnstra_tasks WHERE run = t.key
) l
"""

CLAIM: Final = f"""
WITH free AS MATERIALIZED (
    SELECT r.key, r.owner, r.status, r.hops, w.fingerprint
    FROM unnest($4::int8[], $5::int8[], $6::text[]) AS w(key, fence, fingerprint)
    JOIN cnstra_runs r ON r.key = w.key AND r.fence = w.fence
    WHERE {_RUNNING_FREE} OR {_SCHEDULED_FREE}
    ORDER BY r.key FOR UPDATE OF r SKIP LOCKED
),
lost AS (
    UPDATE cnstra_attempts a SET status = 'lost', ended = {NOW}, hops = f.hops
    FROM free f WHERE a.run = f.key AND a.ended IS NULL
),
taken AS (
    UPDATE cnstra_runs r
    SET status = 'running', owner = $1, fence = r.fence + 1, attempt = r.attempt + 1, fingerprint = f.fingerprint,
        crashes = r.crashes + (f.owner IS NOT NULL AND f.owner <> $1)::int, updated = {NOW}
    FROM free f WHERE r.key = f.key
    RETURNING r.*
),
begun AS (
    INSERT INTO cnstra_attempts (run, number, owner, status, started, hops)
    SELECT key, attempt, $1, 'running', updated, 0 FROM taken
)
{_CLAIM} ORDER BY t.key
"""

GIVE_UP: Final = f"""
WITH over AS (
    UPDATE cnstra_runs r SET status = $3, error = $4::text, owner = NULL, updated = {NOW}
    FROM unnest($1::int8[], $2::int8[]) AS w(key, fence)
    WHERE r.key = w.key AND r.fence = w.fence AND r.status IN ('running', 'scheduled')
    RETURNING r.key, r.hops
),
lost AS (
    UPDATE cnstra_attempts a SET status = 'lost', ended = {NOW}, hops = o.hops
    FROM over o WHERE a.run = o.key AND a.ended IS NULL
),
aborted AS (
    UPDATE cnstra_tasks t SET status = 'aborted'
    FROM over o WHERE $3 = 'aborted' AND t.run = o.key AND t.status = 'pending'
)
SELECT count(*) FROM over
"""

REOPEN: Final = f"""
WITH taken AS (
    UPDATE cnstra_runs
    SET status = 'running', owner = $1, fence = fence + 1, attempt = attempt + 1, fingerprint = $3, crashes = 0,
        error = NULL, cancel = NULL, updated = {NOW}
    WHERE run_id = $2 AND status IN ('failed', 'aborted')
    RETURNING *
),
again AS (
    UPDATE cnstra_tasks t SET status = 'pending', error = NULL, traceback = NULL, started = NULL, duration = NULL
    FROM taken r WHERE t.run = r.key AND t.status IN ('failed', 'aborted')
),
begun AS (
    INSERT INTO cnstra_attempts (run, number, owner, status, started, hops)
    SELECT key, attempt, $1, 'running', updated, 0 FROM taken
)
{_CLAIM}
"""

# One update decides, so that it looks again at a row for which it had to wait.
_OVER = f"r.status = 'scheduled' OR r.owner IS NULL OR {_LAPSED}"
CANCEL: Final = f"""
WITH asked AS (
    UPDATE cnstra_runs r
    SET cancel = coalesce(r.cancel, $2), updated = {NOW},
        status = CASE WHEN {_OVER} THEN 'aborted' ELSE r.status END,
        error = CASE WHEN {_OVER} THEN $2 ELSE r.error END,
        owner = CASE WHEN {_OVER} THEN NULL ELSE r.owner END
    WHERE r.run_id = $1 AND r.status IN ('scheduled', 'running')
    RETURNING r.key, r.status, r.hops
),
lost AS (
    UPDATE cnstra_attempts a SET status = 'lost', ended = {NOW}, hops = o.hops
    FROM asked o WHERE o.status = 'aborted' AND a.run = o.key AND a.ended IS NULL
),
aborted AS (
    UPDATE cnstra_tasks t SET status = 'aborted'
    FROM asked o WHERE o.status = 'aborted' AND t.run = o.key AND t.status = 'pending'
)
SELECT count(*) FROM asked
"""

# Some at a time, so that nothing is locked for long: $3.
PRUNE: Final = f"""
WITH doomed AS MATERIALIZED (
    SELECT key FROM cnstra_runs
    WHERE status IN ('completed', 'failed', 'aborted') AND ($1::float8 IS NULL OR updated < {_NOW} - $1::float8)
    AND key < coalesce((
        SELECT min(key) FROM (
            SELECT key FROM cnstra_runs WHERE status IN ('completed', 'failed', 'aborted')
            ORDER BY key DESC LIMIT greatest($2::int8, 0)
        ) newest WHERE $2::int8 IS NOT NULL
    ), 9223372036854775807)
    ORDER BY key LIMIT $3::int8 FOR UPDATE SKIP LOCKED
),
tasks AS (DELETE FROM cnstra_tasks USING doomed d WHERE run = d.key),
contexts AS (DELETE FROM cnstra_contexts USING doomed d WHERE run = d.key),
attempts AS (DELETE FROM cnstra_attempts USING doomed d WHERE run = d.key),
entries AS (DELETE FROM cnstra_entries USING doomed d WHERE run = d.key),
runs AS (DELETE FROM cnstra_runs r USING doomed d WHERE r.key = d.key)
SELECT count(*) FROM doomed
"""

PRUNE_OWNERS: Final = f"""
WITH gone AS (
    DELETE FROM cnstra_owners o WHERE lease_until < {_NOW} - $1::float8
    AND NOT EXISTS (SELECT FROM cnstra_runs r WHERE r.owner = o.owner AND r.status = 'running')
    RETURNING owner
)
SELECT count(*) FROM gone
"""
