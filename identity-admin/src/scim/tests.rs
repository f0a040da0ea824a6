//! Filters, paths and patches on resources, without a database.
