//! Which tenants: all of one shape, so many that users and relationships are as asked for.

use anyhow::ensure;
use serde::Serialize;

use crate::check::graph::{Graph, Shape};
use crate::check::words::Fact;
use crate::cli::GraphScaleArgs;

/// Users of a tenant.
const USERS: u32 = 1000;
/// Relationships that a further document brings: its folder, its owner, and a tenth of a folder.
const BY_DOCUMENT: f64 = 2.1;
/// How far relationships may be from what was asked for.
const NEAR: f64 = 0.05;

/// Some tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    pub(super) shape: Shape,
    pub(super) tenants: u32,
    /// Of all tenants together.
    pub(super) users: u64,
    /// As many as the first tenant has, times the tenants: they differ by less than a hundredth.
    pub(super) relationships: u64,
}

/// Both graphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) small: Part,
    pub(super) large: Part,
}

impl Parts {
    /// As the arguments say.
    pub(super) fn of(args: &GraphScaleArgs) -> anyhow::Result<Self> {
        let tenants = (args.users / USERS).max(1);
        let each = args.relationships / u64::from(tenants);
        let shape = fitting(1, each)?;
        let large = part(shape, tenants);
        // Another seed has other tenants.
        let shape = Shape { seed: 2, ..large.shape.clone() };
        let wanted = (args.small / count(&shape)).clamp(1, u64::from(tenants));
        let small = part(shape, u32::try_from(wanted)?);
        Ok(Self { small, large })
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let of = |part: &Part| {
            format!(
                "{} tenants, {} users, {} relationships",
                part.tenants, part.users, part.relationships
            )
        };
        format!("small: {}; large: {}", of(&self.small), of(&self.large))
    }
}

fn part(shape: Shape, tenants: u32) -> Part {
    let all = u64::from(tenants);
    let (users, relationships) = (u64::from(shape.users) * all, count(&shape) * all);
    Part { shape, tenants, users, relationships }
}

/// The shape with so many relationships: documents make up for what users and teams have not.
#[allow(clippy::cast_sign_loss, reason = "at least some documents")]
fn fitting(seed: u64, relationships: u64) -> anyhow::Result<Shape> {
    let shape = |resources| Shape { seed, users: USERS, resources, depth: 3, roles: 30 };
    let (wanted, mut resources) = (relationships as f64, relationships as f64 / BY_DOCUMENT);
    for _ in 0..4 {
        let found = count(&shape(resources as u32)) as f64;
        resources = (resources + (wanted - found) / BY_DOCUMENT).clamp(100.0, 1e6);
    }
    let fitting = shape(resources as u32);
    let found = count(&fitting);
    ensure!(
        (found as f64 - wanted).abs() <= NEAR * wanted,
        "tenants of {USERS} users have {found} relationships, not {relationships}: ask for another number"
    );
    Ok(fitting)
}

/// Relationships of a tenant, as Triad is told them.
fn count(shape: &Shape) -> u64 {
    let is_told = |fact: &Fact| !matches!(fact, Fact::Folder { parent: None, .. });
    Graph::new(shape, 0).facts().filter(is_told).count() as u64
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: GraphScaleArgs,
    }

    fn parts(arguments: &[&str]) -> anyhow::Result<Parts> {
        let all = std::iter::once("x").chain(arguments.iter().copied());
        Parts::of(&Only::try_parse_from(all)?.args)
    }

    #[test]
    fn a_million_users_have_ten_million_relationships() {
        let Parts { small, large } = parts(&[]).unwrap();
        assert_eq!((large.tenants, large.users), (1000, 1_000_000));
        let near = |found: u64, wanted: u64| found.abs_diff(wanted) * 20 <= wanted;
        assert!(near(large.relationships, 10_000_000), "{large:?}");
        assert!(small.relationships.abs_diff(100_000) <= 10_000, "{small:?}");
        assert_ne!(small.shape.tenant(0), large.shape.tenant(0));
    }

    #[test]
    fn too_few_relationships_for_the_users_are_refused() {
        assert!(parts(&["--users", "10000", "--relationships", "10000"]).is_err());
    }
}
