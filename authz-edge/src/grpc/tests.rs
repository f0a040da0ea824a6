//! The service over real connections, with tonic's own client.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use envoy_types::ext_authz::v3::pb::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpResponse,
};
use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, authorization_client::AuthorizationClient,
};
use metrics::Counter;
use service_kit::auth::AuthMode;
use service_kit::http::HttpOptions;
use service_kit::rate::{RateConfig, Rates};
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::{GrpcOptions, serve};
use crate::audit::DecisionAudit;
use crate::ext_authz::tests::world::{AT, World, bearer, config, routes, token};

type Served = JoinHandle<Result<(), tonic::transport::Error>>;

struct Server {
    world: World,
    address: SocketAddr,
    trigger: ShutdownTrigger,
    served: Served,
}

impl Server {
    async fn start(max_connections: usize) -> Self {
        Self::patient(max_connections, Duration::from_secs(60)).await
    }

    async fn patient(max_connections: usize, preface_patience: Duration) -> Self {
        Self::of(World::usual().await, max_connections, preface_patience).await
    }

    async fn of(world: World, max_connections: usize, preface_patience: Duration) -> Self {
        let drain = (Duration::ZERO, Duration::from_secs(1));
        let options = GrpcOptions { max_connections, preface_patience, ..draining(drain) };
        Self::with(world, options).await
    }

    async fn with(world: World, options: GrpcOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = Shutdown::new();
        let ext_authz = Arc::clone(&world.ext_authz);
        let served = tokio::spawn(serve(listener, ext_authz, options, shutdown));
        Self { world, address, trigger, served }
    }

    async fn client(&self) -> AuthorizationClient<Channel> {
        AuthorizationClient::connect(format!("http://{}", self.address)).await.unwrap()
    }
}

/// What is configured, with the delay and the deadline of a drain.
fn draining((drain_delay, drain_deadline): (Duration, Duration)) -> GrpcOptions {
    let http = HttpOptions {
        max_connections: 1,
        header_read_timeout: Duration::ZERO,
        write_timeout: Duration::ZERO,
        drain_deadline,
        drain_delay,
    };
    GrpcOptions::new(&config(&routes()), &http)
}

fn http(method: &str, path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    let headers: HashMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpRequest {
        method: method.to_owned(),
        host: "docs.example.com:443".to_owned(),
        path: path.to_owned(),
        headers,
        ..HttpRequest::default()
    }
}

fn asks(http: HttpRequest) -> CheckRequest {
    let request = Some(Request { http: Some(http), ..Request::default() });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
}

fn values(headers: &[HeaderValueOption]) -> HashMap<String, String> {
    let header = |option: &HeaderValueOption| {
        let header = option.header.clone().unwrap();
        (header.key, header.value)
    };
    headers.iter().map(header).collect()
}

/// The denial, its status, and the code beside it.
fn denial(response: CheckResponse) -> (i32, i32, DeniedHttpResponse) {
    let code = response.status.unwrap().code;
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else {
        panic!("not a denial")
    };
    (code, denied.status.as_ref().unwrap().code, denied)
}

#[tokio::test]
async fn an_allowed_request_goes_on_with_a_token_for_both_sides() {
    let server = Server::start(8).await;
    let mut client = server.client().await;
    let bearer = bearer("acme", "user:u-1");
    let headers = [
        (":authority", "evil"),
        ("authorization", &*bearer),
        ("triad-consistency-token", &token(AT)),
    ];
    let response = client.check(asks(http("GET", "/v1/docs/7?q=1", &headers))).await.unwrap();
    let response = response.into_inner();
    assert_eq!(response.status.unwrap().code, 0);
    let Some(HttpResponse::OkResponse(ok)) = response.http_response else { panic!("not allowed") };
    for headers in [&ok.headers, &ok.response_headers_to_add] {
        assert_eq!(values(headers)["triad-consistency-token"], token(AT));
    }
}

#[tokio::test]
async fn denials_have_their_status_a_problem_and_a_challenge() {
    let server = Server::start(8).await;
    let mut client = server.client().await;
    let mut ask = async |http| denial(client.check(asks(http)).await.unwrap().into_inner());

    let (code, status, denied) = ask(http("GET", "/v1/docs/7", &[("x-tenant", "acme")])).await;
    assert_eq!((code, status), (16, 401));
    assert_eq!(values(&denied.headers)["www-authenticate"], "Bearer");
    assert_eq!(values(&denied.headers)["content-type"], "application/problem+json");

    let bearer = bearer("acme", "user:u-2");
    let (code, status, denied) =
        ask(http("GET", "/v1/docs/7", &[("authorization", &bearer)])).await;
    assert_eq!((code, status), (7, 403));
    assert_eq!(values(&denied.headers)["triad-consistency-token"], token(AT));
    assert!(denied.body.contains("urn:triad:problem:forbidden"), "{}", denied.body);

    for path in ["/pages/../v1/docs/7", "/pages/%2e%2e/x", "/pages//x", "/pages/a%2fb", "/none"] {
        let (code, status, denied) = ask(http("GET", path, &[])).await;
        assert_eq!((code, status), (7, 403), "{path}");
        assert!(!values(&denied.headers).contains_key("triad-consistency-token"));
    }
    let (code, status, _) = ask(http("GET", "/pages/a", &[("x-a", "line\nbreak")])).await;
    assert_eq!((code, status), (3, 400));
}

#[tokio::test]
async fn a_check_of_no_http_request_is_denied() {
    let server = Server::start(8).await;
    let mut client = server.client().await;
    for request in [CheckRequest::default(), asks(HttpRequest::default())] {
        let (code, status, _) = denial(client.check(request).await.unwrap().into_inner());
        assert_eq!((code, status), (7, 403));
    }
}

#[tokio::test]
async fn raw_headers_count_and_a_repeated_authorization_is_refused() {
    let server = Server::start(8).await;
    let mut client = server.client().await;
    let bearer = bearer("acme", "user:u-1");
    let header = || HeaderValue {
        key: "authorization".to_owned(),
        raw_value: bearer.clone().into_bytes(),
        ..HeaderValue::default()
    };
    for (headers, expected) in [(vec![header()], 0), (vec![header(), header()], 16)] {
        let header_map = Some(HeaderMap { headers });
        let http = HttpRequest { header_map, ..http("GET", "/v1/docs/7", &[]) };
        let response = client.check(asks(http)).await.unwrap().into_inner();
        assert_eq!(response.status.unwrap().code, expected);
    }
}

#[tokio::test]
async fn a_graph_that_is_down_is_a_denial_with_503_and_no_grpc_error() {
    let server = Server::start(8).await;
    server.world.graph.is_down.store(true, Ordering::Release);
    let response = server.client().await.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    let (code, status, denied) = denial(response.into_inner());
    assert_eq!((code, status), (14, 503));
    assert_eq!(values(&denied.headers)["retry-after"], "1");
}

#[tokio::test]
async fn above_its_tenants_rate_a_request_is_a_denial_with_429_and_never_allowed() {
    let rates = Rates::new(RateConfig { per_second: 1, burst: 1 }, Counter::noop());
    let config = config(&routes());
    let world = World::limited(AuthMode::Jwt, &config, DecisionAudit::off(), rates).await;
    let server = Server::of(world, 8, Duration::from_secs(60)).await;
    let mut client = server.client().await;
    let bearer = bearer("acme", "user:u-1");
    // One is gained back each second.
    for _ in 0..100 {
        let asked = asks(http("GET", "/v1/docs/7", &[("authorization", &bearer)]));
        let response = client.check(asked).await.unwrap().into_inner();
        if response.status.as_ref().unwrap().code != 0 {
            let (code, status, denied) = denial(response);
            assert_eq!((code, status), (8, 429));
            assert_eq!(values(&denied.headers)["retry-after"], "1");
            return;
        }
    }
    panic!("a hundred were allowed");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let server = Server::start(8).await;
    let mut client = server.client().await;
    let large = http("GET", "/pages/a", &[("x-large", &"x".repeat(65_536))]);
    let error = client.check(asks(large)).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::OutOfRange);
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_another_to_end() {
    let server = Server::start(1).await;
    let mut first = server.client().await;
    first.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    let mut second = server.client().await;
    let mut waits = Box::pin(second.check(asks(http("GET", "/pages/a", &[]))));
    // An accepted one would have been served meanwhile.
    for _ in 0..50 {
        assert!(futures::poll!(&mut waits).is_pending());
        first.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    }
    drop(first);
    waits.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_does_not_begin_gives_its_slot_back() {
    let patience = Duration::from_millis(50);
    let server = Server::patient(1, patience).await;
    for begun in ["", "PRI * HTTP/2.0"] {
        let mut silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
        silent.write_all(begun.as_bytes()).await.unwrap();
        let mut client = server.client().await;
        client.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
        // Accepted before, and ended by the server.
        let mut rest = Vec::new();
        let ended = silent.read_to_end(&mut rest).await;
        assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
    // One that has begun stays.
    let mut first = server.client().await;
    first.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    let mut second = server.client().await;
    let mut waits = Box::pin(second.check(asks(http("GET", "/pages/a", &[]))));
    let begun = Instant::now();
    while begun.elapsed() < 4 * patience {
        assert!(futures::poll!(&mut waits).is_pending());
        first.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    }
    drop(first);
    waits.await.unwrap();
}

#[tokio::test]
async fn a_drain_lets_calls_finish_and_ends_idle_connections() {
    let server = Server::start(8).await;
    let mut idle = server.client().await;
    idle.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    server.trigger.trigger();
    server.served.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn who_leaves_takes_connections_and_answers_until_its_delay_is_over() {
    let delay = Duration::from_secs(600);
    let server = Server::with(World::usual().await, draining((delay, 2 * delay))).await;
    let mut known = server.client().await;
    known.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    server.trigger.trigger();
    // Runs on this one thread: the server has seen it when it was polled.
    tokio::task::yield_now().await;
    // Somebody who has not heard yet: on a connection that was idle, and on a new one.
    known.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    let mut new = server.client().await;
    new.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    assert!(!server.served.is_finished());
    drop((known, new));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    tokio::time::advance(delay).await;
    server.served.await.unwrap().unwrap();
    assert!(begun.elapsed() < 2 * delay, "it was the deadline that ended it");
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_cut() {
    let server = Server::start(8).await;
    let mut client = server.client().await;
    client.check(asks(http("GET", "/pages/a", &[]))).await.unwrap();
    server.world.graph.hangs.store(true, Ordering::Release);
    let bearer = bearer("acme", "user:u-1");
    let request = asks(http("GET", "/v1/docs/7", &[("authorization", &bearer)]));
    let call = tokio::spawn(async move { client.check(request).await });
    while server.world.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    server.trigger.trigger();
    server.served.await.unwrap().unwrap();
    assert!(call.await.unwrap().is_err());
}
