-- Attempts on names that nobody has count too: they belong to no tenant. first_at told nobody anything.
ALTER TABLE login_attempts
    DROP COLUMN tenant_id,
    DROP COLUMN first_at;

-- Imports go on behind their file of results; no job was ever kept here.
DROP TABLE IF EXISTS import_jobs;

-- RFC 8628: what a client asks a person for, until they answer and the client fetches it. status is pending,
-- allowed, denied or used. source hashes where it was asked for.
CREATE TABLE device_grants (
    device_hash BINARY(32) NOT NULL,
    user_code_hmac BINARY(32) NOT NULL,
    source BINARY(32) NOT NULL,
    client_id VARCHAR(128) NOT NULL,
    scope VARCHAR(512) NOT NULL,
    status VARCHAR(16) NOT NULL,
    tenant_id VARCHAR(36) NULL,
    user_id VARCHAR(36) NULL,
    interval_seconds INT NOT NULL,
    polled_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (device_hash),
    UNIQUE INDEX uq_user_code (user_code_hmac),
    INDEX ix_source (source, expires_at),
    INDEX ix_expires (expires_at),
    CONSTRAINT fk_device_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES users (tenant_id, id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
