-- A key may do what the person who made it may do, as its role is at each request, and ends with that person's membership. Its own
-- permissions are then of no account.
ALTER TABLE api_keys ADD COLUMN inherits boolean NOT NULL DEFAULT false;
