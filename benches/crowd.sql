-- Organizations whose endpoints are down. In place of the braces, how many.
CREATE TEMPORARY TABLE crowd AS SELECT gen_random_uuid() AS id FROM generate_series(1, {});
INSERT INTO organizations (id, slug, name, created_at) SELECT id, 'crowd-' || id, 'Crowd', now() FROM crowd;
INSERT INTO webhooks (organization_id, url, created_at, updated_at, failing_since)
SELECT id, 'https://down.example/', now(), now(), now() FROM crowd;
INSERT INTO events (organization_id, id, sequence, event_type, payload, created_at)
SELECT id, id, 1, 'analysis.completed', '{ }', now() FROM crowd;
INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures)
SELECT id, id, id, 1, 'analysis.completed', 'pending', 4, 4 FROM crowd;
INSERT INTO delivery_lanes (organization_id, id, due_at) SELECT id, id, now() + interval '5 hours' FROM crowd;
ANALYZE;
