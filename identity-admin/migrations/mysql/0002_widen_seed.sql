-- Ids and names are compared byte for byte, times are the application's and keep microseconds (TIMESTAMP
-- keeps seconds and ends in 2038). Unique indexes are named uq_ and the field, which errors are read by.
ALTER TABLE users
    DROP FOREIGN KEY users_ibfk_1;

ALTER TABLE tenants
    MODIFY id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY created_at DATETIME(6) NOT NULL,
    MODIFY updated_at DATETIME(6) NOT NULL,
    ADD COLUMN status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'active',
    ADD COLUMN version BIGINT NOT NULL DEFAULT 1,
    RENAME INDEX name TO uq_name,
    ADD INDEX ix_created (created_at, id),
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A user without a password has '!' for a hash, which no password verifies against. user_name_key is the
-- user name without regard to case, folded by the application.
ALTER TABLE users
    MODIFY id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY tenant_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY email VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    MODIFY hashed_password VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY is_active BOOLEAN NOT NULL DEFAULT TRUE,
    MODIFY created_at DATETIME(6) NOT NULL,
    MODIFY updated_at DATETIME(6) NOT NULL,
    ADD COLUMN user_name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ADD COLUMN user_name_key VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN display_name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN external_id VARBINARY(512) NULL,
    ADD COLUMN scim_name TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN scim_emails TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN attributes TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN version BIGINT NOT NULL DEFAULT 1,
    RENAME INDEX tenant_id TO uq_email,
    ADD UNIQUE INDEX uq_id (tenant_id, id),
    ADD UNIQUE INDEX uq_user_name (tenant_id, user_name_key),
    ADD INDEX ix_created (tenant_id, created_at, id),
    ADD INDEX ix_external (tenant_id, external_id),
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Users of the seed's schema are named by their addresses.
UPDATE users
    SET user_name = email, user_name_key = LOWER(email), attributes = '{}'
    WHERE user_name_key IS NULL;

ALTER TABLE users
    MODIFY user_name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY user_name_key VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY attributes TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    ADD CONSTRAINT fk_users_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE;
