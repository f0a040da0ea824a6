-- What only directories say of a user is one document: RFC 7643 knows a score of attributes, and none of them is
-- searched for by an index.
ALTER TABLE users
    ADD COLUMN scim TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;

ALTER TABLE users
    DROP COLUMN scim_name,
    DROP COLUMN scim_emails;
