//! One turn of `compare authz`: Triad beside the bare server, or a peer, with the machine for itself.

use serde_json::Value;

use super::bed::Bed;
use super::{peers, ratios};
use crate::check::space::Keys;
use crate::cli::AuthzBenchArgs;
use crate::stop::Stop;

/// The key spaces of a turn, as `loadtest/peers/run` names them.
pub(crate) const SPACES: [&str; 2] = ["hot", "wide"];
/// How many times a peer's rate ours is to be, in each of them.
pub(crate) const TIMES: [f64; 2] = [10.0, 30.0];

/// Who has turns.
pub(crate) struct Turns {
    bed: Bed,
}

impl Turns {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// When there is no `authz-edge`.
    pub(crate) fn new(args: &AuthzBenchArgs, stop: &Stop) -> anyhow::Result<Self> {
        Ok(Self { bed: Bed::new(args, stop)? })
    }

    /// A pair of `edge` and `bare` in each of [`SPACES`], on engines that are started and stopped here.
    ///
    /// # Errors
    /// A wrong answer, and what keeps it from being measured.
    pub(crate) async fn own(&mut self, turn: u64) -> anyhow::Result<[Value; 2]> {
        let pairs = ratios::once(&mut self.bed, [Keys::Hot, Keys::Wide], turn).await;
        let down = self.bed.down().await;
        // What went wrong first says more than what could not be tidied up then.
        pairs.and_then(|pairs| down.map(|()| pairs))
    }

    /// What `loadtest check run` measures of a peer in each of [`SPACES`].
    ///
    /// # Errors
    /// A wrong answer, and what keeps it from being measured.
    pub(crate) async fn peer(&self, peer: &str) -> anyhow::Result<[Value; 2]> {
        let text = peers::ask(&self.bed, peer, &SPACES.join(",")).await?;
        let [hot, wide] = SPACES;
        Ok([peers::line(&text, hot)?, peers::line(&text, wide)?])
    }
}
