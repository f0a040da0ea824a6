//! MySQL by the bare driver, beside whoever is measured with it.

use std::str::FromStr as _;

use anyhow::Context;
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlSslMode};

/// A pool of so many connections to a `mysql://` URL, all of them open. Without TLS, as `identity-admin` connects when none is
/// configured: the driver would try it first, and an old server that offers only what is no longer spoken ends the connection.
///
/// # Errors
/// A URL that is none, or a server that refuses.
pub(crate) async fn pool(url: &str, connections: u32) -> anyhow::Result<MySqlPool> {
    let options = MySqlConnectOptions::from_str(url).context("no mysql:// URL")?;
    let options = options.ssl_mode(MySqlSslMode::Disabled).disable_statement_logging();
    let pool = MySqlPoolOptions::new().max_connections(connections).min_connections(connections);
    pool.connect_with(options).await.context("connecting to MySQL")
}
