CREATE TABLE api_keys (
    id VARCHAR(36) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    service_account_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    secret_hmac BINARY(32) NOT NULL,
    pepper_id VARCHAR(64) NOT NULL,
    previous_hmac BINARY(32) NULL,
    previous_pepper_id VARCHAR(64) NULL,
    previous_until DATETIME(6) NULL,
    expires_at DATETIME(6) NULL,
    revoked_at DATETIME(6) NULL,
    last_used_at DATETIME(6) NULL,
    version BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX uq_id (tenant_id, id),
    UNIQUE INDEX uq_secret (secret_hmac),
    INDEX ix_previous (previous_hmac),
    INDEX ix_service_account (tenant_id, service_account_id, created_at, id),
    CONSTRAINT fk_keys_service_account FOREIGN KEY (tenant_id, service_account_id)
        REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Exactly one of the principals is not null.
CREATE TABLE principal_scopes (
    id BIGINT NOT NULL AUTO_INCREMENT,
    tenant_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NULL,
    service_account_id VARCHAR(36) NULL,
    api_key_id VARCHAR(36) NULL,
    scope VARCHAR(64) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX uq_user_scope (tenant_id, user_id, scope),
    UNIQUE INDEX uq_service_account_scope (tenant_id, service_account_id, scope),
    UNIQUE INDEX uq_api_key_scope (tenant_id, api_key_id, scope),
    CONSTRAINT fk_scopes_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_scopes_service_account FOREIGN KEY (tenant_id, service_account_id)
        REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_scopes_api_key FOREIGN KEY (tenant_id, api_key_id)
        REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The tokens of a family descend from one grant; using one that was rotated ends the family.
CREATE TABLE refresh_tokens (
    token_hash BINARY(32) NOT NULL,
    family_id VARCHAR(36) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NULL,
    service_account_id VARCHAR(36) NULL,
    client_id VARCHAR(128) NOT NULL,
    scope VARCHAR(512) NOT NULL,
    issued_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    rotated_at DATETIME(6) NULL,
    revoked_at DATETIME(6) NULL,
    PRIMARY KEY (token_hash),
    INDEX ix_family (family_id),
    INDEX ix_expires (expires_at),
    CONSTRAINT fk_refresh_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_refresh_service_account FOREIGN KEY (tenant_id, service_account_id)
        REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- kind is jti, key or subject. Kept until what it voids would have expired.
CREATE TABLE revocations (
    tenant_id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    value VARCHAR(160) NOT NULL,
    not_before DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (tenant_id, kind, value),
    INDEX ix_expires (expires_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- id hashes tenant, account and source.
CREATE TABLE login_attempts (
    id BINARY(32) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    failures INT NOT NULL,
    first_at DATETIME(6) NOT NULL,
    locked_until DATETIME(6) NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    INDEX ix_expires (expires_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE import_jobs (
    id VARCHAR(36) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    status VARCHAR(16) NOT NULL,
    next_row BIGINT NOT NULL,
    created_rows BIGINT NOT NULL,
    refused_rows BIGINT NOT NULL,
    source_hash BINARY(32) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    INDEX ix_tenant (tenant_id, created_at),
    CONSTRAINT fk_imports_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- private_key is encrypted under the configured key whose id is key_id.
CREATE TABLE signing_keys (
    kid VARCHAR(64) NOT NULL,
    algorithm VARCHAR(16) NOT NULL,
    public_jwk TEXT NOT NULL,
    private_key BLOB NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    published_at DATETIME(6) NOT NULL,
    signs_from DATETIME(6) NOT NULL,
    signs_until DATETIME(6) NOT NULL,
    kept_until DATETIME(6) NOT NULL,
    PRIMARY KEY (kid)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
