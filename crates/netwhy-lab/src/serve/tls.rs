//! A TLS service, and the probe that greets one and checks its certificate as a browser would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
};

use super::{listen, ready};
use crate::error::{LabError, Result};

fn tls(what: &'static str) -> impl Fn(Error) -> LabError {
    move |error| LabError::Unexpected(format!("{what}: {error}"))
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(tls("trust a certificate"))?;
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |error| LabError::Unexpected(format!("read {}: {error}", file.display()));
    CertificateDer::pem_file_iter(file).map_err(bad)?.collect::<Result<_, _>>().map_err(bad)
}

/// `serve tls --name NAME ADDRESS:PORT CERTIFICATES KEY [CLIENTS' CA]`: repeats what it hears over TLS.
pub(super) fn serve(words: &[&str]) -> Result<()> {
    let [address, chain, key, rest @ ..] = words else {
        return Err(LabError::Usage("serve tls ADDRESS:PORT CERTIFICATES KEY".to_owned()));
    };
    let chain = certificates(Path::new(chain))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| LabError::Unexpected(format!("read {key}: {error}")))?;
    let builder = ServerConfig::builder();
    let builder = match rest {
        [ca] => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots(Path::new(ca))?)).build();
            let verifier = verifier.map_err(|error| LabError::Unexpected(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let config = Arc::new(builder.with_single_cert(chain, key).map_err(tls("take the certificate"))?);
    let listener = listen(address)?;
    ready()?;
    for stream in listener.incoming().flatten() {
        let config = Arc::clone(&config);
        std::thread::spawn(move || {
            let Ok(connection) = ServerConnection::new(config) else { return };
            let mut stream = StreamOwned::new(connection, stream);
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(buffer.get(..length).unwrap_or(&[])).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// Connects, checks the certificate against `SSL_CERT_FILE`, says a word and waits for it to come back.
pub(crate) fn greet(address: SocketAddr, name: &str, patience: Duration) -> Result<(), String> {
    let file = std::env::var_os("SSL_CERT_FILE").ok_or("tls no roots")?;
    let roots = roots(Path::new(&file)).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).map_err(|_| "tls bad name")?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| said(&error))?;
    let stream = TcpStream::connect_timeout(&address, patience)
        .map_err(|error| crate::probe::named("connect", &error))?;
    stream.set_read_timeout(Some(patience)).map_err(|error| crate::probe::named("tls", &error))?;
    let mut stream = StreamOwned::new(connection, stream);
    let failed = |error: std::io::Error| match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
    {
        Some(inner) => said(inner),
        None => crate::probe::named("tls", &error),
    };
    stream.write_all(b"hello").map_err(failed)?;
    let mut word = [0; 5];
    stream.read_exact(&mut word).map_err(failed)
}

/// A TLS error in two words.
fn said(error: &Error) -> String {
    let word = match error {
        Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not-yet-valid",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "wrong-name"
            }
            CertificateError::UnknownIssuer => "unknown-issuer",
            _ => "certificate",
        },
        Error::AlertReceived(_) => "alert",
        Error::InvalidMessage(_) => "not-tls",
        _ => "failed",
    };
    format!("tls {word}")
}
