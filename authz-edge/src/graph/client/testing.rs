//! One suite for both databases: a test is a function of a [`GraphDb`], and runs on each.

use std::time::Duration;

use super::{GraphDb, Options, Transaction};

/// Makes two tests of each function: on a graph in memory, and on the alpha that `TRIAD_DGRAPH` names, which
/// is asked for with `--ignored`. The name before them is that of the module that they are in.
macro_rules! on_each_graph {
    ($($name:ident),+ $(,)?) => {
        #[cfg(feature = "embedded")]
        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::graph::GraphDb::in_memory()).await;
            })+
        }

        #[cfg(feature = "engines")]
        mod dgraph {
            $(#[tokio::test]
            #[ignore = "needs TRIAD_DGRAPH"]
            async fn $name() {
                super::$name($crate::graph::GraphDb::from_test_env()).await;
            })+
        }
    };
}

pub(crate) use on_each_graph;

const TIMEOUT: Duration = Duration::from_secs(10);

impl GraphDb {
    /// The alpha that `TRIAD_DGRAPH` names.
    #[cfg(feature = "engines")]
    pub(crate) fn from_test_env() -> Self {
        Self::at(&std::env::var("TRIAD_DGRAPH").expect("TRIAD_DGRAPH names an alpha"))
    }

    /// The alpha of that address.
    #[cfg(feature = "engines")]
    pub(crate) fn at(alpha: &str) -> Self {
        let alphas = vec![alpha.to_owned()];
        let options =
            Options { alphas, timeout: TIMEOUT, connect_timeout: TIMEOUT, tls: Default::default() };
        Self::dgraph(&options).unwrap()
    }

    /// Nothing is in it, not even the schema.
    #[cfg(feature = "embedded")]
    pub(crate) fn in_memory() -> Self {
        super::Embedded::in_memory(TIMEOUT).into()
    }
}

impl Transaction {
    /// Writes without a commit, where a database knows that. Returns the nodes that it made.
    pub(crate) async fn hold(&mut self, set: &str) -> Vec<u64> {
        match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(open) => open.hold(set.to_owned()).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => Vec::new(),
        }
    }
}
