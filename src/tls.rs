//! TLS towards servers: [`Trust`] says whom to believe, a [`Connector`] made of it encrypts connections, and a
//! [`Stream`] is a connection that may or may not be.
//!
//! rustls with ring: no system library, and no cmake to build it. Protocol versions are 1.2 and 1.3, sessions are
//! resumed, ALPN offers `http/1.1`.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

/// Whom to believe that he is the server. By default those whom the system's certificate authorities vouch for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Certificate authorities in PEM, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Anyone: for tests. Encrypted then, but to whom is not known.
    pub insecure_skip_verify: bool,
    /// Who we are, for servers that ask.
    pub identity: Option<Identity>,
}

/// A certificate of ours and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and its authority.
    pub cert_file: PathBuf,
    /// The key.
    pub key_file: PathBuf,
}

/// Why there is nobody to believe.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file has no certificate that can be an authority's.
    #[error("{path}: there is no usable certificate in it")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// The system has no certificate authorities.
    #[error("this system has no certificate authorities; name a file of some")]
    NoSystem,
}

/// Encrypts connections. Cheap to clone; clones share the sessions that can be resumed.
#[derive(Clone)]
pub struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// Reads the authorities.
    ///
    /// # Errors
    ///
    /// [`TrustError`], when there are none.
    pub fn new(trust: &Trust) -> Result<Self, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3");
        let builder = if trust.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        } else {
            builder.with_root_certificates(authorities(trust)?)
        };
        let mut config = match &trust.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { cert_file, key_file }) => {
                let wrong = |path: &PathBuf, reason: String| TrustError::File { path: path.clone(), reason };
                let read = |path: &PathBuf| std::fs::read(path).map_err(|e| wrong(path, e.to_string()));
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(cert_file)?).collect();
                let chain = chain.map_err(|error| wrong(cert_file, error.to_string()))?;
                let key = PrivateKeyDer::from_pem_slice(&read(key_file)?);
                let key = key.map_err(|error| wrong(key_file, error.to_string()))?;
                let built = builder.with_client_auth_cert(chain, key);
                built.map_err(|error| wrong(cert_file, error.to_string()))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with `host`, a name or an address, which its certificate must be for.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `host` is neither; `InvalidData` when the server cannot be believed or speaks no TLS; and
    /// those of the connection.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Stream::Tls(Box::new(self.0.connect(name, stream).await?)))
    }
}

fn authorities(trust: &Trust) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &trust.ca_file else {
        // What of the system's cannot be read or parsed is left out: one bad file must not take the others away.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TrustError::NoSystem) } else { Ok(roots) };
    };
    let wrong = |reason: String| TrustError::File { path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(TrustError::Empty { path: path.clone() }) } else { Ok(roots) }
}

/// Believes any certificate. Signatures are checked still: the server has the key of the one it shows.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection, encrypted or not. What is written to an encrypted one leaves with a flush.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

    use super::*;

    /// Shakes hands with a server called `name` under this trust and exchanges a word; the error's text otherwise.
    async fn word(name: &str, trust: impl FnOnce(String) -> Trust) -> Result<String, String> {
        let made = generate_simple_self_signed(["localhost".into()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
            let word = stream.read_u8().await?;
            stream.write_all(&[word, b'b']).await?;
            stream.flush().await
        };
        let connector = Connector::new(&trust(made.cert.pem())).map_err(|error| error.to_string())?;
        let client = async {
            let mut stream = connector.connect(name, TcpStream::connect(to).await?).await?;
            stream.write_all(b"a").await?;
            stream.flush().await?;
            let mut both = [0; 2];
            stream.read_exact(&mut both).await?;
            io::Result::Ok(String::from_utf8_lossy(&both).into_owned())
        };
        let (_, said) = tokio::join!(server, client);
        said.map_err(|error| error.to_string())
    }

    fn file(text: &str) -> (tempfile::TempDir, Trust) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        (folder, Trust { ca_file: Some(path), ..Trust::default() })
    }

    #[tokio::test]
    async fn a_server_is_believed_when_the_file_names_its_authority_and_the_name_is_its_own() {
        let mut kept = None;
        let mut trust = |pem: String| {
            let (folder, trust) = file(&pem);
            kept = Some(folder);
            trust
        };
        assert_eq!(word("localhost", &mut trust).await.unwrap(), "ab");
        let other = word("example.org", &mut trust).await.unwrap_err();
        assert!(other.contains("not valid for name"), "{other}");
    }

    #[tokio::test]
    async fn an_unknown_authority_is_refused_unless_anyone_is_believed() {
        let made = generate_simple_self_signed(["localhost".into()]).unwrap();
        let (_folder, other) = file(&made.cert.pem());
        let refused = word("localhost", |_| other).await.unwrap_err();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
        let anyone = |_| Trust { insecure_skip_verify: true, ..Trust::default() };
        assert_eq!(word("example.org", anyone).await.unwrap(), "ab");
    }

    #[test]
    fn a_file_without_authorities_is_told() {
        let missing = Trust { ca_file: Some("/nowhere/ca.pem".into()), ..Trust::default() };
        assert!(matches!(Connector::new(&missing), Err(TrustError::File { .. })));
        let (_folder, empty) = file("nothing\n");
        assert!(matches!(Connector::new(&empty), Err(TrustError::Empty { .. })));
    }
}
