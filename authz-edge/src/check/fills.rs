//! Reads of the graph: when it is whose turn, how strictly, and what each depends on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::TenantId;
use metrics::counter;
use rand::Rng as _;

use super::question::CheckError;
use super::stamp::{Life, Millis, Stamp, millis};
use super::views::{Shared, Viewed};
use crate::graph::{Graph, GraphError, Mode, Reading};
use crate::metrics::BusyFill;

impl<G: Graph> Shared<G> {
    /// Reads, and again strictly if the read is older than what it depends on.
    pub(super) async fn fill<T, F>(
        &self,
        tenant: &TenantId,
        strict: bool,
        kind: &'static str,
        read: impl Fn(Mode) -> F,
    ) -> Result<Viewed<T>, CheckError>
    where
        F: Future<Output = Result<Reading<T>, GraphError>>,
    {
        let filled = self.in_turn(tenant, self.read(tenant, strict, read)).await;
        let outcome = if filled.is_ok() { "ok" } else { "error" };
        counter!("triad_authz_fills_total", "kind" => kind, "outcome" => outcome).increment(1);
        filled
    }

    /// Awaits a read of the graph when it is the tenant's turn, each for as long as a fill may take.
    ///
    /// # Errors
    /// `Busy` without a turn, `Unavailable` when the read takes too long.
    pub(super) async fn in_turn<T, E: Into<CheckError>>(
        &self,
        tenant: &TenantId,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CheckError> {
        let _turn = self.turns.take(tenant).await?;
        let _busy = BusyFill::begin();
        match tokio::time::timeout(self.options.deadline, read).await {
            Ok(read) => read.map_err(Into::into),
            Err(_) => Err(GraphError::Unavailable("a read took too long".to_owned()).into()),
        }
    }

    async fn read<T, F>(
        &self,
        tenant: &TenantId,
        strict: bool,
        read: impl Fn(Mode) -> F,
    ) -> Result<Viewed<T>, CheckError>
    where
        F: Future<Output = Result<Reading<T>, GraphError>>,
    {
        let old = self.freshness.age(self.clock.millis()) > millis(self.options.strict_after);
        if !strict && !old {
            let (begun, generation) = (self.clock.millis(), self.freshness.generation());
            let reading = read(Mode::BestEffort).await?;
            let viewed = self.stamped(tenant, reading, begun, generation);
            let behind = viewed.stamp.revision < self.freshness.watermark();
            if !behind && viewed.stamp.check(&self.fences, self.present()).is_ok() {
                return Ok(viewed);
            }
            counter!("triad_authz_reread_total").increment(1);
        }
        let (begun, generation) = (self.clock.millis(), self.freshness.generation());
        let reading = read(Mode::Strict).await?;
        Ok(self.stamped(tenant, reading, begun, generation))
    }

    /// What was read, with its life: from before the read was sent, shortened by chance so that entries
    /// that were made together do not die together.
    fn stamped<T>(
        &self,
        tenant: &TenantId,
        reading: Reading<T>,
        begun: Millis,
        generation: u64,
    ) -> Viewed<T> {
        let shortened = |life: Duration| {
            let life = millis(life);
            life - rand::rng().random_range(0..=life / 10)
        };
        let unconfirmed = shortened(self.options.life);
        let life = Life { begun, unconfirmed, ends: begun + shortened(self.options.max_life) };
        let Reading { revision, visited, view } = reading;
        let stamp = Stamp::new(&self.fences, tenant, &visited, revision, life, generation);
        Viewed { view, stamp: Arc::new(stamp) }
    }
}
