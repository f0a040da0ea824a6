//! What every Triad service needs around its subject.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | layered configuration, secrets, refusal by name |
//! | [`shutdown`], [`health`] | signals, drain, readiness with reasons |
//! | [`http`], [`body`], [`rate`], [`slots`], [`track`], [`problem`], [`admin`] | bounded serving and bodies, rates and shares of tenants, request metrics and traces, RFC 9457 errors, the admin listener |
//! | [`tls`] | certificates of listeners, replaced while they serve; trust in engines |
//! | [`labels!`] | values of a metric's label as an enum |
//! | [`telemetry`], [`trace`] | log and metric installation (by `main` only), W3C Trace Context |
//! | [`auth`] | bearer verification (RFC 9068) and authorisation by tenant and scope |
//! | [`bus`] | publishers, subscribers and topics |
//! | `embedded` | the disk of a process without engines |
//!
//! No domain rule and no store client lives here. Without the feature `engines` no native client
//! library is linked: [`bus`] then holds its types and traits only.

pub mod admin;
pub mod auth;
pub mod body;
pub mod bus;
pub mod config;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod health;
pub mod http;
mod label;
pub mod problem;
pub mod rate;
pub mod shutdown;
pub mod slots;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod track;

pub use config::EXIT_CONFIG;
pub use problem::Problem;
