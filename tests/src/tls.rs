//! Certificates of a test, made by `openssl`, and what a listener shows of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::tls::TlsInfo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Of one answer.
const PATIENCE: Duration = Duration::from_secs(30);

const SECTIONS: &str = "\
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[end]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
";

/// How a key is made.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// Who signs certificates, in a folder of its own.
pub struct Authority {
    folder: PathBuf,
}

/// A certificate and its key.
pub struct Issued {
    /// Its file, PEM.
    pub certificate: PathBuf,
    /// Its file, PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one; names differ, as clients look for who signed by name.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir(folder)?;
        std::fs::write(folder.join("sections"), SECTIONS)?;
        let authority = Self { folder: folder.to_owned() };
        let subject = format!("/CN={name}");
        let files = ["-keyout", "ca.key", "-out", "ca.pem"];
        let what = ["req", "-new", "-x509", "-sha256", "-days", "30", "-config", "sections"];
        let own = ["-extensions", "authority", "-subj", subject.as_str()];
        authority.openssl(&[&what[..], &KEY, &own, &files].concat())?;
        Ok(authority)
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A new certificate for 127.0.0.1 and localhost, of a server or a client, in place of the one that had this name.
    pub fn issue(&self, name: &str) -> Result<Issued> {
        let subject = format!("/CN={name}");
        let files = ["-subj", subject.as_str(), "-keyout", "new.key", "-out", "new.request"];
        let request = ["req", "-new", "-sha256", "-config", "sections"];
        self.openssl(&[&request[..], &KEY, &files].concat())?;
        let signed = ["x509", "-req", "-sha256", "-days", "30", "-in", "new.request"];
        let signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let end = ["-extfile", "sections", "-extensions", "end", "-out", "new.pem"];
        self.openssl(&[&signed[..], &signer, &end].concat())?;
        let place = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        let issued = Issued { certificate: place("pem"), key: place("key") };
        // Whoever reads one finds all of it; between the two they do not belong together.
        std::fs::rename(self.folder.join("new.key"), &issued.key)?;
        std::fs::rename(self.folder.join("new.pem"), &issued.certificate)?;
        Ok(issued)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        let output = command.output().context("openssl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl {arguments:?}: {said}");
        Ok(())
    }
}

impl Issued {
    /// The certificate as it is on the wire.
    pub fn der(&self) -> Result<Vec<u8>> {
        let certificate = CertificateDer::from_pem_file(&self.certificate)?;
        Ok(certificate.to_vec())
    }
}

/// Who asks over TLS, and trusts one authority only.
pub fn trusting(authority: &Path) -> Result<reqwest::Client> {
    // Another test of this binary may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(&std::fs::read(authority)?)?;
    let client = reqwest::Client::builder().timeout(PATIENCE).tls_certs_only([authority]);
    Ok(client.tls_info(true).build()?)
}

/// The certificate of the connection that an answer came by, whatever it said.
pub async fn shown(client: &reqwest::Client, url: &str) -> Result<Vec<u8>> {
    let answer = client.get(url).send().await?;
    let info = answer.extensions().get::<TlsInfo>().context("no TLS")?;
    let certificate = info.peer_certificate().context("no certificate")?.to_vec();
    // What is read to its end is asked again on the same connection.
    answer.bytes().await?;
    Ok(certificate)
}

/// The certificate of a gRPC listener, to a client that may have its own: HTTP/2 has to begin, because in TLS 1.3 a client
/// hears of its refusal only behind its handshake.
pub fn shown_by_grpc(address: &str, authority: &Path, own: Option<&Issued>) -> Result<Vec<u8>> {
    const SETTINGS: u8 = 4;
    let mut connection = ClientConnection::new(
        Arc::new(grpc_client(authority, own)?),
        ServerName::try_from("127.0.0.1")?,
    )?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    // The preface of RFC 9113 section 3.4, and no settings; the server's frame begins with its length and kind.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])?;
    stream.flush()?;
    let mut frame = [0; 9];
    stream.read_exact(&mut frame)?;
    ensure!(frame[3] == SETTINGS, "{frame:?}");
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    Ok(shown.context("no certificate")?.to_vec())
}

fn grpc_client(authority: &Path, own: Option<&Issued>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut client = match own {
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_file(&own.certificate)?];
            client.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&own.key)?)?
        }
        None => client.with_no_client_auth(),
    };
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(client)
}
