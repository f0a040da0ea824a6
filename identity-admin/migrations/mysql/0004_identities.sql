CREATE TABLE user_settings (
    tenant_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    locale VARCHAR(35) NOT NULL,
    time_zone VARCHAR(64) NOT NULL,
    preferences TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT fk_settings_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES users (tenant_id, id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What 0002 found: they had no settings yet.
INSERT INTO user_settings (tenant_id, user_id, locale, time_zone, preferences, version, updated_at)
    SELECT u.tenant_id, u.id, 'en', 'UTC', '{}', 1, u.updated_at FROM users u
    WHERE NOT EXISTS (SELECT 1 FROM user_settings s WHERE s.tenant_id = u.tenant_id AND s.user_id = u.id);

INSERT INTO tenant_changes (tenant_id, seq)
    SELECT t.id, 0 FROM tenants t
    WHERE NOT EXISTS (SELECT 1 FROM tenant_changes c WHERE c.tenant_id = t.id);

CREATE TABLE service_accounts (
    id VARCHAR(36) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(1024) NULL,
    is_active BOOLEAN NOT NULL,
    attributes TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX uq_id (tenant_id, id),
    UNIQUE INDEX uq_name (tenant_id, name),
    INDEX ix_created (tenant_id, created_at, id),
    CONSTRAINT fk_service_accounts_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE teams (
    id VARCHAR(36) NOT NULL,
    tenant_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(1024) NULL,
    external_id VARBINARY(512) NULL,
    version BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX uq_id (tenant_id, id),
    UNIQUE INDEX uq_name (tenant_id, name),
    INDEX ix_created (tenant_id, created_at, id),
    INDEX ix_external (tenant_id, external_id),
    CONSTRAINT fk_teams_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Exactly one of the members is not null, which the application sees to: 8.0.15 parses CHECK and ignores it.
-- Foreign keys that name a member hold when it is not null.
CREATE TABLE team_members (
    id BIGINT NOT NULL AUTO_INCREMENT,
    tenant_id VARCHAR(36) NOT NULL,
    team_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NULL,
    service_account_id VARCHAR(36) NULL,
    member_team_id VARCHAR(36) NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX uq_user (tenant_id, team_id, user_id),
    UNIQUE INDEX uq_service_account (tenant_id, team_id, service_account_id),
    UNIQUE INDEX uq_member_team (tenant_id, team_id, member_team_id),
    INDEX ix_user (tenant_id, user_id),
    INDEX ix_service_account (tenant_id, service_account_id),
    INDEX ix_member_team (tenant_id, member_team_id),
    INDEX ix_team (tenant_id, team_id, id),
    CONSTRAINT fk_members_team FOREIGN KEY (tenant_id, team_id)
        REFERENCES teams (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_members_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_members_service_account FOREIGN KEY (tenant_id, service_account_id)
        REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_members_member_team FOREIGN KEY (tenant_id, member_team_id)
        REFERENCES teams (tenant_id, id) ON DELETE CASCADE
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
