//! What holds on every database: one suite, always on SQLite, and on MySQL where `TRIAD_MYSQL` names a server:
//! `TRIAD_MYSQL=mysql://root@127.0.0.1:3306/ cargo test -p identity-admin --lib contract -- --ignored`.
//!
//! | module | what it holds |
//! |---|---|
//! | `bed` | a database of a test's own, and the routes on it |
//! | `rows` | what the layer over the databases promises |
//! | `order` | how values compare and sort |
//! | `lives` | tenants and all that they have |
//! | `lists` | pages, snapshots, imports |
//! | `races` | many writers at once |
//! | `repeats` | idempotency, leases, sweeping |
//! | `tokens` | keys, scopes, tokens, people |
//! | `directory` | SCIM |

mod bed;
mod directory;
mod lists;
mod lives;
mod order;
mod races;
mod repeats;
mod rows;
mod tokens;

/// Runs tests of the module on each database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        #[cfg(feature = "embedded")]
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&$crate::contract::bed::Bed::sqlite().await).await;
                }
            )+
        }

        #[cfg(feature = "engines")]
        mod mysql {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs TRIAD_MYSQL"]
                async fn $name() {
                    super::$name(&$crate::contract::bed::Bed::mysql().await).await;
                }
            )+
        }
    };
}
use on_each_database;
