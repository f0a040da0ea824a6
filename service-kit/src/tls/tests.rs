use super::*;
use crate::{
    http::{HttpOptions, serve},
    shutdown::{Shutdown, ShutdownTrigger},
};
use axum::{Router, extract::ConnectInfo, routing::get};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use std::{fs, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const ASK: &[u8] = b"GET /peer HTTP/1.1\r\nhost: test\r\n\r\n";

/// Who signs certificates, and the folder where their files are.
struct Ca {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a new certificate of this machine, which ends with 2029, and its key.
    fn issue(&self, name: &str) {
        self.issue_until(name, 2030);
    }

    /// One that ends with the year before.
    fn issue_until(&self, name: &str, year: i32) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn served(&self) -> TlsConfig {
        self.issue("server");
        let (certificate, key) = (Some(self.path("server.pem")), Some(self.path("server.key")));
        TlsConfig { certificate, key, client_ca: None }
    }

    fn trusted(&self) -> ClientTls {
        ClientTls { ca: Some(self.path("ca.pem")), ..ClientTls::default() }
    }

    /// The certificate in a file.
    fn der(&self, name: &str) -> CertificateDer<'static> {
        certificates("file", &self.path(&format!("{name}.pem"))).unwrap().remove(0)
    }
}

struct Server {
    address: SocketAddr,
    acceptor: Acceptor,
    _trigger: ShutdownTrigger,
}

/// A server whose `/peer` says who asks.
async fn start(config: &TlsConfig, max_connections: usize, patience: Duration) -> Server {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let acceptor = Acceptor::start(config, "http.tls", "http", Protocol::Http1).unwrap().unwrap();
    let listener = Listener::new(tcp, Some(acceptor.clone()));
    let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
    let routes = Router::new().route("/peer", get(peer));
    let options = HttpOptions {
        max_connections,
        header_read_timeout: patience,
        write_timeout: LONG,
        drain_deadline: LONG,
        drain_delay: Duration::ZERO,
    };
    let (_trigger, shutdown) = Shutdown::new();
    tokio::spawn(serve(listener, routes, options, shutdown));
    Server { address, acceptor, _trigger }
}

impl Server {
    async fn connect(&self, trust: &ClientTls) -> io::Result<TlsStream<TcpStream>> {
        let config = trust.rustls("client").unwrap().unwrap();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(config).connect(name, stream).await
    }

    async fn ask(&self, trust: &ClientTls) -> io::Result<()> {
        ask(&mut self.connect(trust).await?).await
    }

    /// The certificate that is shown to a new connection.
    async fn shown(&self, trust: &ClientTls) -> CertificateDer<'static> {
        let stream = self.connect(trust).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }
}

/// Asks who asks, and reads the answer to its end.
async fn ask(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(ASK).await?;
    stream.flush().await?;
    let own = stream.get_ref().0.local_addr()?.to_string();
    let mut answer = Vec::new();
    while !answer.ends_with(own.as_bytes()) {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

#[tokio::test]
async fn who_trusts_the_signer_is_answered_and_handlers_know_the_peer() {
    let ca = Ca::new();
    let server = start(&ca.served(), 8, LONG).await;
    let mut stream = server.connect(&ca.trusted()).await.unwrap();
    ask(&mut stream).await.unwrap();
    ask(&mut stream).await.unwrap();
    assert!(server.connect(&Ca::new().trusted()).await.is_err(), "another signer's");
}

#[tokio::test]
async fn without_tls_a_client_is_told_nothing_and_the_next_one_is_answered() {
    let ca = Ca::new();
    let server = start(&ca.served(), 1, LONG).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(ASK).await.unwrap();
    let mut answer = Vec::new();
    // It may end with a reset.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    server.ask(&ca.trusted()).await.unwrap();
}

#[tokio::test]
async fn with_a_client_ca_only_those_that_it_signed_are_answered() {
    let (ca, other) = (Ca::new(), Ca::new());
    ca.issue("client");
    other.issue("client");
    let config = TlsConfig { client_ca: Some(ca.path("ca.pem")), ..ca.served() };
    let server = start(&config, 8, LONG).await;
    let named = |by: &Ca| ClientTls {
        certificate: Some(by.path("client.pem")),
        key: Some(by.path("client.key")),
        ..ca.trusted()
    };
    server.ask(&named(&ca)).await.unwrap();
    assert!(server.ask(&ca.trusted()).await.is_err(), "without a certificate");
    assert!(server.ask(&named(&other)).await.is_err(), "with another signer's");
}

#[tokio::test]
async fn a_new_certificate_is_served_and_a_broken_one_is_not() {
    let ca = Ca::new();
    let server = start(&ca.served(), 8, LONG).await;
    let trust = ca.trusted();
    let first = ca.der("server");
    assert_eq!(server.shown(&trust).await, first);
    assert_eq!(server.acceptor.reload(), Reload::Unchanged);
    let mut open = server.connect(&trust).await.unwrap();

    ca.issue("server");
    assert_eq!(server.acceptor.reload(), Reload::Replaced);
    let second = ca.der("server");
    assert_ne!(second, first);
    assert_eq!(server.shown(&trust).await, second);
    ask(&mut open).await.unwrap();

    ca.issue("other");
    let good = fs::read(ca.path("server.pem")).unwrap();
    let other = fs::read(ca.path("other.pem")).unwrap();
    for (text, key) in [
        (&b""[..], "http.tls.certificate"),
        (&b"-----BEGIN CERTIFICATE-----\n"[..], "http.tls.certificate"),
        (&other[..], "http.tls.key"),
    ] {
        fs::write(ca.path("server.pem"), text).unwrap();
        let Reload::Kept(error) = server.acceptor.reload() else { panic!("{key} was taken") };
        assert_eq!(error.key(), key, "{error}");
        assert_eq!(server.shown(&trust).await, second);
    }
    let key = fs::read(ca.path("server.key")).unwrap();
    ca.issue_until("server", 2020);
    let Reload::Kept(error) = server.acceptor.reload() else { panic!("it has ended") };
    assert_eq!(error.to_string(), "http.tls.certificate: has ended");
    fs::write(ca.path("server.pem"), good).unwrap();
    fs::write(ca.path("server.key"), key).unwrap();
    assert_eq!(server.acceptor.reload(), Reload::Unchanged);
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_holds_up_nobody() {
    let ca = Ca::new();
    let server = start(&ca.served(), 8, LONG).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    server.ask(&ca.trusted()).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_holds_its_slot_until_its_time_is_over() {
    let ca = Ca::new();
    let server = start(&ca.served(), 1, Duration::from_secs(2)).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    // There is one slot, so that it has ended when another is answered.
    server.ask(&ca.trusted()).await.unwrap();
    let ended = half.read(&mut [0; 64]).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_its_key_before_anything_is_served() {
    let ca = Ca::new();
    let good = ca.served();
    ca.issue("other");
    let garbage = ca.path("garbage");
    fs::write(&garbage, "nothing").unwrap();
    let none = || Some(ca.path("none"));
    let cases = [
        (TlsConfig { key: None, ..good.clone() }, "key"),
        (TlsConfig { certificate: None, ..good.clone() }, "certificate"),
        (TlsConfig { certificate: none(), ..good.clone() }, "certificate"),
        (TlsConfig { key: none(), ..good.clone() }, "key"),
        (TlsConfig { client_ca: none(), ..good.clone() }, "client_ca"),
        (TlsConfig { certificate: Some(garbage.clone()), ..good.clone() }, "certificate"),
        (TlsConfig { key: Some(garbage.clone()), ..good.clone() }, "key"),
        (TlsConfig { client_ca: Some(garbage.clone()), ..good.clone() }, "client_ca"),
        (TlsConfig { key: Some(ca.path("other.key")), ..good.clone() }, "key"),
        (TlsConfig { client_ca: none(), ..TlsConfig::default() }, "certificate"),
    ];
    for (config, key) in cases {
        let refused = Acceptor::start(&config, "a.tls", "a", Protocol::Http1).err().unwrap();
        assert_eq!(refused.key(), format!("a.tls.{key}"), "{refused}");
    }
    let empty = Acceptor::start(&TlsConfig::default(), "a.tls", "a", Protocol::Http1).unwrap();
    assert!(empty.is_none());

    let trust = |ca: Option<PathBuf>, certificate: Option<PathBuf>, key: Option<PathBuf>| {
        ClientTls { ca, certificate, key, server_name: None }
    };
    let root = || Some(ca.path("ca.pem"));
    for (config, key) in [
        (trust(none(), None, None), "ca"),
        (trust(Some(garbage.clone()), None, None), "ca"),
        (trust(None, good.certificate.clone(), good.key.clone()), "ca"),
        (trust(root(), good.certificate.clone(), None), "key"),
        (trust(root(), None, good.key.clone()), "certificate"),
        (trust(root(), good.certificate.clone(), Some(ca.path("other.key"))), "key"),
    ] {
        let refused = config.rustls("e.tls").err().unwrap();
        assert_eq!(refused.key(), format!("e.tls.{key}"), "{refused}");
    }
    assert!(ClientTls::default().rustls("e.tls").unwrap().is_none());

    let named = ClientTls { server_name: Some("alpha".to_owned()), ..ca.trusted() };
    let refused = named.rustls("e.tls").err().unwrap();
    assert_eq!(refused.key(), "e.tls.server_name", "{refused}");
    assert!(named.read_named("e.tls").unwrap().is_some());
}

#[test]
fn a_chain_ends_with_its_first_certificate() {
    let ca = Ca::new();
    ca.issue("server");
    let chain = [ca.der("ca"), ca.der("server")];
    assert_eq!(pem::expiry(&chain), Some(Duration::from_secs(1_893_456_000)));
    assert_eq!(pem::expiry(&[]), None);
}
