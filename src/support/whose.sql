-- Whose request it is. An id is in the partition of its day alone, and there the primary key begins with the organization: one look at the
-- index for each organization, however many requests there are.
SELECT o.id
FROM organizations o
CROSS JOIN LATERAL (SELECT 1 FROM requests r WHERE r.organization_id = o.id AND r.id = {} LIMIT 1) found
LIMIT 1
