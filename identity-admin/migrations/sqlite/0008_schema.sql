-- What MySQL's migrations 1 to 8 lead to. Text is compared byte for byte, which is SQLite's own way; times are
-- microseconds since 1970, truths 0 or 1. Unique indexes are named by their table, uq_ and the field. Keys of
-- AUTOINCREMENT are never given twice, also when what had them is gone.
CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    version INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE UNIQUE INDEX tenants_uq_name ON tenants (name);
CREATE INDEX tenants_ix_created ON tenants (created_at, id);

-- A user without a password has '!' for a hash, which no password verifies against. user_name_key is the
-- user name without regard to case, folded by the application.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    email TEXT,
    hashed_password TEXT NOT NULL,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    user_name TEXT NOT NULL,
    user_name_key TEXT NOT NULL,
    display_name TEXT,
    external_id BLOB,
    attributes TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    scim TEXT
) STRICT;
CREATE UNIQUE INDEX users_uq_email ON users (tenant_id, email);
CREATE UNIQUE INDEX users_uq_id ON users (tenant_id, id);
CREATE UNIQUE INDEX users_uq_user_name ON users (tenant_id, user_name_key);
CREATE INDEX users_ix_created ON users (tenant_id, created_at, id);
-- With the id, which directories read them in the order of.
CREATE INDEX users_ix_external ON users (tenant_id, external_id, id);

-- The tenant's last change. The row outlives its tenant, so that no id is given twice.
CREATE TABLE tenant_changes (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is to be published, in the order of id. Rows are deleted once the bus has them.
CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    seq INTEGER,
    event_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    parked_at INTEGER,
    error TEXT
) STRICT;
CREATE INDEX outbox_ix_tenant ON outbox (tenant_id, topic, id);
-- Parked rows are few and asked for in every round of the relay.
CREATE INDEX outbox_ix_parked ON outbox (topic, tenant_id) WHERE parked_at IS NOT NULL;

CREATE TABLE relay_leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    term INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- id hashes tenant, principal and key.
CREATE TABLE idempotency_keys (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    answer BLOB NOT NULL,
    key_id TEXT,
    seq INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_keys_ix_tenant ON idempotency_keys (tenant_id);
CREATE INDEX idempotency_keys_ix_expires ON idempotency_keys (expires_at);

CREATE TABLE user_settings (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    locale TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    preferences TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE service_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    is_active INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX service_accounts_uq_id ON service_accounts (tenant_id, id);
CREATE UNIQUE INDEX service_accounts_uq_name ON service_accounts (tenant_id, name);
CREATE INDEX service_accounts_ix_created ON service_accounts (tenant_id, created_at, id);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    external_id BLOB,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX teams_uq_id ON teams (tenant_id, id);
CREATE UNIQUE INDEX teams_uq_name ON teams (tenant_id, name);
CREATE INDEX teams_ix_created ON teams (tenant_id, created_at, id);
CREATE INDEX teams_ix_external ON teams (tenant_id, external_id, id);

-- Exactly one of the members is not null. Foreign keys that name a member hold when it is not null.
CREATE TABLE team_members (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT,
    service_account_id TEXT,
    member_team_id TEXT,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, member_team_id) REFERENCES teams (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX team_members_uq_user ON team_members (tenant_id, team_id, user_id);
CREATE UNIQUE INDEX team_members_uq_service_account ON team_members (tenant_id, team_id, service_account_id);
CREATE UNIQUE INDEX team_members_uq_member_team ON team_members (tenant_id, team_id, member_team_id);
-- With all that the search for teams around somebody reads: SQLite prefers an index that holds it, also a worse one.
CREATE INDEX team_members_ix_user ON team_members (tenant_id, user_id, team_id);
CREATE INDEX team_members_ix_service_account ON team_members (tenant_id, service_account_id, team_id);
CREATE INDEX team_members_ix_member_team ON team_members (tenant_id, member_team_id, team_id);
CREATE INDEX team_members_ix_team ON team_members (tenant_id, team_id, id);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    service_account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hmac BLOB NOT NULL,
    pepper_id TEXT NOT NULL,
    previous_hmac BLOB,
    previous_pepper_id TEXT,
    previous_until INTEGER,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX api_keys_uq_id ON api_keys (tenant_id, id);
CREATE UNIQUE INDEX api_keys_uq_secret ON api_keys (secret_hmac);
CREATE INDEX api_keys_ix_previous ON api_keys (previous_hmac);
CREATE INDEX api_keys_ix_service_account ON api_keys (tenant_id, service_account_id, created_at, id);

-- Exactly one of the principals is not null.
CREATE TABLE principal_scopes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    user_id TEXT,
    service_account_id TEXT,
    api_key_id TEXT,
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, api_key_id) REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX principal_scopes_uq_user_scope ON principal_scopes (tenant_id, user_id, scope);
CREATE UNIQUE INDEX principal_scopes_uq_service_account_scope
    ON principal_scopes (tenant_id, service_account_id, scope);
CREATE UNIQUE INDEX principal_scopes_uq_api_key_scope ON principal_scopes (tenant_id, api_key_id, scope);

-- The tokens of a family descend from one grant; using one that was rotated ends the family.
CREATE TABLE refresh_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    family_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    user_id TEXT,
    service_account_id TEXT,
    client_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    rotated_at INTEGER,
    revoked_at INTEGER,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX refresh_tokens_ix_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_ix_expires ON refresh_tokens (expires_at);
-- MySQL makes such an index for every foreign key by itself.
CREATE INDEX refresh_tokens_ix_user ON refresh_tokens (tenant_id, user_id);
CREATE INDEX refresh_tokens_ix_service_account ON refresh_tokens (tenant_id, service_account_id);

-- kind is jti, key or subject. Kept until what it voids would have expired.
CREATE TABLE revocations (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_ix_expires ON revocations (expires_at);

-- id hashes tenant, account and source. Attempts on names that nobody has count too: they belong to no tenant.
CREATE TABLE login_attempts (
    id BLOB NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    locked_until INTEGER,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_attempts_ix_expires ON login_attempts (expires_at);

-- private_key is encrypted under the configured key whose id is key_id.
CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    private_key BLOB NOT NULL,
    key_id TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    signs_until INTEGER NOT NULL,
    kept_until INTEGER NOT NULL
) STRICT;

-- RFC 8628: what a client asks a person for, until they answer and the client fetches it. status is pending,
-- allowed, denied or used. source hashes where it was asked for.
CREATE TABLE device_grants (
    device_hash BLOB NOT NULL PRIMARY KEY,
    user_code_hmac BLOB NOT NULL,
    source BLOB NOT NULL,
    client_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    status TEXT NOT NULL,
    tenant_id TEXT,
    user_id TEXT,
    interval_seconds INTEGER NOT NULL,
    polled_at INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX device_grants_uq_user_code ON device_grants (user_code_hmac);
CREATE INDEX device_grants_ix_source ON device_grants (source, expires_at);
CREATE INDEX device_grants_ix_expires ON device_grants (expires_at);
CREATE INDEX device_grants_ix_user ON device_grants (tenant_id, user_id);

-- The tenant that owns system principals, since 2026-01-01. It has no change of its own; its principals' begin at 1.
INSERT INTO tenant_changes (tenant_id, seq) VALUES ('_system', 0);
INSERT INTO tenants (id, name, status, version, created_at, updated_at)
    VALUES ('_system', '_system', 'active', 1, 1767225600000000, 1767225600000000);

-- Nobody holds them: the end of their time, 2000-01-01, is long past.
INSERT INTO relay_leases (name, holder, term, expires_at)
    VALUES ('outbox', '', 0, 946684800000000), ('signing', '', 0, 946684800000000);
