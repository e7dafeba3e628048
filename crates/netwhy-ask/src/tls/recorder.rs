//! The parts of a TLS client that would say no, made to take notes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// What a handshake has shown.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    chain: Mutex<Vec<CertificateDer<'static>>>,
    bad_signature: AtomicBool,
    asked: AtomicBool,
}

/// Certificates of a chain that are kept; more is an attack.
const CHAIN: usize = 32;

impl Recorder {
    /// The certificates the peer sent, leaf first.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The peer does not hold the key of its certificate.
    pub(super) fn bad_signature(&self) -> bool {
        self.bad_signature.load(Ordering::Relaxed)
    }

    /// The peer asked for a client certificate.
    pub(super) fn asked_for_certificate(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    fn note(&self, result: Result<HandshakeSignatureValid, Error>) -> HandshakeSignatureValid {
        result.unwrap_or_else(|_| {
            self.bad_signature.store(true, Ordering::Relaxed);
            HandshakeSignatureValid::assertion()
        })
    }
}

/// TLS 1.2 and 1.3 with all that is implemented, trusting nobody and refusing nobody.
pub(super) fn config(recorder: &Arc<Recorder>, alpn: &[&str]) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(recorder) as _)
        .with_client_cert_resolver(Arc::clone(recorder) as _);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let sent = std::iter::once(end_entity).chain(intermediates).take(CHAIN);
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        *chain = sent.map(|certificate| certificate.clone().into_owned()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Ok(self.note(verify_tls12_signature(message, cert, dss, &algorithms)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Ok(self.note(verify_tls13_signature(message, cert, dss, &algorithms)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Recorder {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
