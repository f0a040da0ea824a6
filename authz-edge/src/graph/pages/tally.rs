//! What a tenant has, counted in one request: what is read later must come to it.

use contracts::TenantId;
use serde::Deserialize;

use crate::graph::client::Answer;
use crate::graph::store::GraphError;

/// What a tenant has, counted; every number also counts what has no meaning any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Roles, subjects and resources.
    pub nodes: u64,
    /// Attributes and states of them.
    pub values: u64,
    /// Memberships, bindings, parents and permissions.
    pub edges: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} nodes, {} values, {} edges", self.nodes, self.values, self.edges)
    }
}

/// The bounds of every list of a kind of node: behind the kind comes a length.
pub(super) fn bounds(tenant: &TenantId, kind: char) -> (String, String) {
    let tenant = tenant.as_str();
    let low = format!("{}:{tenant}{kind}", tenant.len());
    let high = format!("{low}:");
    (low, high)
}

pub(super) fn count_query(tenant: &TenantId) -> String {
    let block = |kind: char, edges: &[&str], values: &[&str]| {
        let (low, high) = bounds(tenant, kind);
        let counts: String =
            (0..).zip(edges).map(|(n, edge)| format!(" {kind}{n} as count({edge})")).collect();
        let sums: String = (0..edges.len())
            .map(|n| format!(" edges_{kind}{n}() {{ count: sum(val({kind}{n})) }}"))
            .collect();
        let values: String = (0..)
            .zip(values)
            .map(|(n, value)| {
                let all = format!("func: uid({kind})) @filter(has({value})");
                format!(" values_{kind}{n}({all}) {{ count: count(uid) }}")
            })
            .collect();
        format!(
            "{kind} as var(func: between(listed, {low:?}, {high:?})) {{{counts} }}
             nodes_{kind}(func: uid({kind})) {{ count: count(uid) }}{sums}{values}\n"
        )
    };
    let holdings = ["User.memberOf", "Team.hasRole", "Team.hasBinding", "Team.hasWideBinding"];
    [
        block('o', &["Role.hasPermission"], &[]),
        block('s', &holdings, &["attributes", "Subject.inactive"]),
        // A resource is written as a subject is: with a state.
        block('r', &["Resource.parent"], &["attributes", "Subject.inactive"]),
    ]
    .concat()
}

impl Tally {
    pub(super) fn read(answer: &Answer) -> Result<Self, GraphError> {
        #[derive(Deserialize)]
        struct Counted {
            count: Option<f64>,
        }
        type Blocks = std::collections::BTreeMap<String, Vec<Counted>>;
        let mut tally = Self::default();
        for (name, counted) in answer.read::<Blocks>()? {
            let sum: f64 = counted.iter().filter_map(|counted| counted.count).sum();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let sum = sum as u64;
            match name.split('_').next() {
                Some("nodes") => tally.nodes += sum,
                Some("values") => tally.values += sum,
                _ => tally.edges += sum,
            }
        }
        Ok(tally)
    }
}
