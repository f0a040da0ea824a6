//! Envoy's `envoy.service.auth.v3.Authorization` over gRPC.
//!
//! | module | what it holds |
//! |---|---|
//! | [`service`] | the call: from Envoy's request to a verdict, and back |
//! | [`incoming`] | a bounded number of connections |

pub mod incoming;
pub mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use service_kit::http::HttpOptions;
use service_kit::shutdown::Shutdown;
use service_kit::tls::Listener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use self::service::Service;
use crate::ext_authz::ExtAuthz;
use crate::ext_authz::config::ExtAuthzConfig;
use crate::graph::Graph;

/// A peer that does not answer a ping within this long is gone, and so often it is asked.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// How long a connection may hold a slot before it says that it speaks HTTP/2, its TLS handshake included.
const PREFACE_PATIENCE: Duration = Duration::from_secs(10);

/// The largest header list of a call, in bytes: Envoy's own metadata, not the request's headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// The bounds of the gRPC server.
#[derive(Clone, Copy, Debug)]
pub struct GrpcOptions {
    /// Connections at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// How long a connection may hold its slot without having begun.
    pub preface_patience: Duration,
    /// Calls of one connection at once.
    pub max_concurrent_streams: u32,
    /// The largest request, in bytes.
    pub max_message_bytes: usize,
    /// How long a call may take with all that the transport adds to the check.
    pub call_deadline: Duration,
    /// How long calls in flight may take to finish once the drain has begun.
    pub drain_deadline: Duration,
    /// For how much of that time connections are still taken and answered as ever, as the HTTP listeners do.
    pub drain_delay: Duration,
}

impl GrpcOptions {
    /// As configured; `drain` says how the public listener ends, and this one does alike.
    #[must_use]
    pub fn new(config: &ExtAuthzConfig, drain: &HttpOptions) -> Self {
        Self {
            max_connections: config.max_connections,
            preface_patience: PREFACE_PATIENCE,
            max_concurrent_streams: config.max_concurrent_streams,
            max_message_bytes: config.max_message_bytes,
            // The check's own deadline comes first, so that it answers with a denial.
            call_deadline: config.deadline() + Duration::from_secs(1),
            drain_deadline: drain.drain_deadline,
            drain_delay: drain.drain_delay,
        }
    }
}

/// Serves until `shutdown` drains. After `drain_delay` the listener closes, connections are told so (GOAWAY, RFC 9113
/// section 6.8) and end once their calls are answered, and what is left at the deadline is cut.
///
/// # Errors
/// Those of the transport; a failed accept is tried again.
pub async fn serve<G: Graph>(
    listener: impl Into<Listener>,
    ext_authz: Arc<ExtAuthz<G>>,
    options: GrpcOptions,
    shutdown: Shutdown,
) -> Result<(), tonic::transport::Error> {
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let service = AuthorizationServer::new(Service::new(ext_authz))
        .max_decoding_message_size(options.max_message_bytes);
    let (interval, timeout) = KEEPALIVE;
    let server = Server::builder()
        .max_concurrent_streams(options.max_concurrent_streams)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(interval))
        .http2_keepalive_timeout(Some(timeout))
        .timeout(options.call_deadline)
        .add_service(service);
    let (max, patience) = (options.max_connections, options.preface_patience);
    let incoming = incoming::bounded(listener.into(), max, patience, cut.clone());
    let deadline = {
        let shutdown = shutdown.clone();
        async move {
            shutdown.draining().await;
            tokio::time::sleep(options.drain_deadline).await;
        }
    };
    let signal = async move {
        shutdown.draining().await;
        tokio::time::sleep(options.drain_delay).await;
    };
    tokio::select! {
        served = server.serve_with_incoming_shutdown(incoming, signal) => served,
        () = deadline => {
            tracing::warn!("cutting checks that outlast the drain deadline");
            Ok(())
        }
    }
}
