//! How large everything is: as the goals say, or tiny to try the bench itself.

use std::time::Duration;

use crate::check::graph::Shape;
use crate::cli::AuthzBenchArgs;

/// Sizes of graphs and runs.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// Alternating pairs.
    pub(super) pairs: usize,
    /// Of each run.
    pub(super) span: Duration,
    /// Of one run of cold checks or raw queries.
    pub(super) cold_span: Duration,
    /// One tenant of it is hot, wide, cold and in memory.
    pub(super) graph: Shape,
    /// Of the comparison of depths: shallow and deep.
    pub(super) depths: [Shape; 2],
    /// Of each tenant that is imported.
    pub(super) import: Shape,
    /// Of each tenant of the storm.
    pub(super) storm: Shape,
    /// Tenants that are checked, and as many that are not.
    pub(super) storm_tenants: u32,
    /// Questions over all checked tenants.
    pub(super) storm_pool: u64,
    /// Writes a second.
    pub(super) storm_rate: f64,
    /// With Kafka, and without.
    pub(super) revocations: usize,
    pub(super) revocations_without: usize,
    /// Decisions to be in memory.
    pub(super) decisions: f64,
}

impl Sizes {
    pub(super) fn of(args: &AuthzBenchArgs) -> Self {
        let shape = |users, resources, depth| Shape { seed: 1, users, resources, depth, roles: 30 };
        let span = Duration::from_secs_f64(args.seconds.clamp(0.1, 600.0));
        if args.quick {
            return Self {
                pairs: 2,
                span: span.min(Duration::from_secs(1)),
                cold_span: Duration::from_secs(1),
                graph: shape(300, 200, 3),
                depths: [shape(201, 200, 1), shape(201, 200, 10)],
                import: shape(400, 300, 3),
                storm: shape(60, 60, 2),
                storm_tenants: 4,
                storm_pool: 400,
                storm_rate: 50.0,
                revocations: 20,
                revocations_without: 5,
                decisions: 20_000.0,
            };
        }
        Self {
            pairs: args.pairs.max(1),
            span,
            cold_span: Duration::from_secs(3),
            graph: shape(10_000, 5000, 3),
            depths: [shape(1000, 1000, 1), shape(1000, 1000, 10)],
            import: shape(80_000, 50_000, 3),
            storm: shape(300, 300, 3),
            storm_tenants: 100,
            storm_pool: 20_000,
            storm_rate: 300.0,
            revocations: 300,
            revocations_without: 50,
            decisions: 1e6,
        }
    }
}
