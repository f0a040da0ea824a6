-- The tenant's last change. A table of its own, without a foreign key: every mutation begins by updating a
-- row here, and a share lock that a foreign key takes on the same row would deadlock with it. The row
-- outlives its tenant, so that no id is given twice.
CREATE TABLE tenant_changes (
    tenant_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (tenant_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What is to be published, in the order of id within a tenant. Rows are deleted once Kafka has them.
CREATE TABLE outbox (
    id BIGINT NOT NULL AUTO_INCREMENT,
    topic VARCHAR(16) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    seq BIGINT NULL,
    event_id VARCHAR(36) NOT NULL,
    payload MEDIUMTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    parked_at DATETIME(6) NULL,
    error VARCHAR(1024) NULL,
    PRIMARY KEY (id),
    INDEX ix_tenant (tenant_id, topic, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE relay_leases (
    name VARCHAR(64) NOT NULL,
    holder VARCHAR(64) NOT NULL,
    term BIGINT NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- id hashes tenant, principal and key. Without a foreign key, as tenant_changes.
CREATE TABLE idempotency_keys (
    id BINARY(32) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    answer MEDIUMBLOB NOT NULL,
    key_id VARCHAR(64) NULL,
    seq BIGINT NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    INDEX ix_tenant (tenant_id),
    INDEX ix_expires (expires_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The tenant that owns system principals. It has no change of its own; its principals' begin at 1.
INSERT IGNORE INTO tenant_changes (tenant_id, seq) VALUES ('_system', 0);

INSERT IGNORE INTO tenants (id, name, status, version, created_at, updated_at)
    VALUES ('_system', '_system', 'active', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
