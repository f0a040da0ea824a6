-- Parked rows are few and asked for in every round of the relay.
ALTER TABLE outbox
    ADD INDEX ix_parked (parked_at);

-- Nobody holds it: the end of its time is long past.
INSERT IGNORE INTO relay_leases (name, holder, term, expires_at)
    VALUES ('outbox', '', 0, '2000-01-01 00:00:00'), ('signing', '', 0, '2000-01-01 00:00:00');
