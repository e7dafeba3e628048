//! TLS and HTTP on top of a connection. Filled by asking.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Handshakes tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TlsHandshakes(pub Vec<TlsHandshake>);

impl Fact for TlsHandshakes {
    const KIND: &'static str = "tls-handshakes";
}

/// One handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlsHandshake {
    /// Peer.
    pub peer: SocketAddr,
    /// Name sent (SNI) and checked.
    pub server_name: String,
    /// Microseconds.
    pub elapsed_us: u64,
    /// Outcome.
    pub outcome: TlsOutcome,
    /// Certificates the peer sent, leaf first.
    pub chain: Vec<Certificate>,
    /// What verification found wrong with them, all of it.
    pub problems: Vec<CertProblem>,
    /// Negotiated version, `TLSv1.3`.
    pub version: Option<String>,
    /// Negotiated cipher suite.
    pub cipher: Option<String>,
    /// Negotiated application protocol.
    pub alpn: Option<String>,
    /// The server asked for a client certificate.
    pub client_cert_requested: bool,
    /// Where the trusted roots came from, and how many.
    pub roots: (String, usize),
}

/// How a handshake ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum TlsOutcome {
    /// Finished (certificate problems are listed apart).
    Done,
    /// The peer sent an alert: number and name (RFC 8446 section 6).
    Alert { code: u8, name: String },
    /// The peer's first bytes are not TLS: what they look like, escaped and cut.
    NotTls { looks_like: String, first: String },
    /// No common version or cipher: what the peer accepts where a retry found it.
    NoCommon { what: String, server_speaks: Vec<String> },
    /// The connection closed or reset during the handshake.
    Closed { reset: bool },
    /// Nothing came back in time.
    Timeout,
    /// Records or messages that do not parse.
    Garbage { why: String },
}

/// A certificate's facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Names (subjectAltName DNS and IP entries).
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before_s: i64,
    /// Seconds since 1970.
    pub not_after_s: i64,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// CA flag of basicConstraints.
    pub is_ca: bool,
    /// Self-signed (issuer equals subject and the signature verifies with its own key, or could not be checked).
    pub self_signed: bool,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum CertProblem {
    Expired {
        subject: String,
        not_after_s: i64,
    },
    NotYetValid {
        subject: String,
        not_before_s: i64,
    },
    NameMismatch {
        wanted: String,
        names: Vec<String>,
    },
    /// The chain ends at an issuer that is not trusted here.
    UnknownIssuer {
        issuer: String,
    },
    /// The leaf's issuer was not sent and is no trusted root.
    MissingIntermediate {
        issuer: String,
    },
    SelfSigned {
        subject: String,
    },
    BadSignature {
        subject: String,
    },
    /// A certificate that does not parse: position in the chain and why.
    Unparsable {
        position: usize,
        why: String,
    },
    Other {
        what: String,
    },
}

/// HTTP first bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpAnswers(pub Vec<HttpAnswer>);

impl Fact for HttpAnswers {
    const KIND: &'static str = "http-answers";
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// Peer.
    pub peer: SocketAddr,
    /// Status code, when a status line arrived.
    pub status: Option<u16>,
    /// Microseconds from the request's last byte to the first byte of the answer.
    pub first_byte_us: Option<u64>,
    /// `Server`, `Via` and `Proxy-Authenticate` headers, escaped.
    pub headers: Vec<(String, String)>,
    /// Why there is no status.
    pub error: Option<String>,
}
