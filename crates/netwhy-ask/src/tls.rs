//! A TLS handshake that records what is wrong instead of refusing it.
//!
//! [`handshake`] runs over a connection that stands. Certificates are judged afterwards, all of them, with the
//! time that is passed in: expiry, names, and whether the chain leads to a root that is trusted here. A peer that
//! does not speak TLS is recognised by its first bytes. Where no version or cipher suite is common, the peer is
//! asked again on connections of their own, one for each version from 1.0 to 1.3, what it would accept.
//!
//! No client certificate is sent. A peer that asks for one is noted, and given a moment to say that it must.
//!
//! Problems of a chain: `MissingIntermediate` is said of a certificate that names where its issuer's is published
//! (as public authorities' do) and comes without it; otherwise an issuer that was not sent and is not trusted is
//! `UnknownIssuer`. Roots are the file of `SSL_CERT_FILE`, else the system's bundle, else Mozilla's list as built
//! in; `roots` says which.

mod chain;
mod hello;
mod plain;
mod recorder;
mod roots;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netwhy_facts::tls::{CertProblem, TlsHandshake, TlsOutcome};
use netwhy_wire::tls::alert_name;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConnection, Error};

pub(crate) use self::plain::printable;
use self::recorder::Recorder;
pub use self::roots::Roots;
use crate::connect::micros;
use crate::stream::{Timed, note_packets};
use crate::{Budget, Wait};

/// How long a peer that asked for a certificate is given to insist.
const INSIST: Duration = Duration::from_millis(300);

/// What is wanted of a handshake.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The name to send and to check; an address is only checked.
    pub server_name: &'a str,
    /// Application protocols to offer, such as `http/1.1`.
    pub alpn: &'a [&'a str],
    /// The time to judge certificates by: seconds since 1970.
    pub now_s: i64,
    /// What is trusted.
    pub roots: &'a Roots,
}

/// A handshake's fact and, if it finished, the stream to speak on.
#[derive(Debug)]
pub struct Secured<'a> {
    /// The fact.
    pub fact: TlsHandshake,
    /// The connection with its transport.
    pub stream: Option<(ClientConnection, Timed<'a>)>,
}

/// Shakes hands on a connection, and asks again on others if nothing is common.
#[must_use]
pub fn handshake<'a>(
    stream: TcpStream,
    peer: SocketAddr,
    request: &Request<'_>,
    budget: &Budget,
    wait: Wait<'a>,
) -> Secured<'a> {
    let began = Instant::now();
    let host = request.server_name.trim_end_matches('.');
    let name = ServerName::try_from(host.to_owned());
    let valid = name.is_ok();
    // What is no host name cannot be sent; the address can be checked in its place.
    let name = name.unwrap_or_else(|_| ServerName::from(peer.ip()));
    let mut fact = TlsHandshake {
        peer,
        server_name: host.to_owned(),
        elapsed_us: 0,
        outcome: TlsOutcome::Timeout,
        chain: Vec::new(),
        problems: Vec::new(),
        version: None,
        cipher: None,
        alpn: None,
        client_cert_requested: false,
        roots: (request.roots.source.clone(), request.roots.count()),
    };
    let recorder = Arc::new(Recorder::default());
    let config = match recorder::config(&recorder, request.alpn) {
        Ok(config) => config,
        Err(error) => return refused(fact, &error),
    };
    let mut connection = match ClientConnection::new(Arc::new(config), name.clone()) {
        Ok(connection) => connection,
        Err(error) => return refused(fact, &error),
    };
    let mut timed = match Timed::new(stream, wait) {
        Ok(timed) => timed,
        Err(error) => {
            fact.outcome = TlsOutcome::Garbage { why: error.to_string() };
            return Secured { fact, stream: None };
        }
    };
    let end = drive(&mut connection, &mut timed);
    fact.elapsed_us = micros(began.elapsed());
    fact.client_cert_requested = recorder.asked_for_certificate();
    fact.version = connection.protocol_version().map(version);
    fact.cipher = connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite()));
    fact.alpn = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    let sent = recorder.chain();
    if !sent.is_empty() {
        let judged = chain::judge(&sent, &name, request.now_s, request.roots);
        (fact.chain, fact.problems) = (judged.chain, judged.problems);
        if recorder.bad_signature() {
            let subject = fact.chain.first().map(|leaf| leaf.subject.clone()).unwrap_or_default();
            fact.problems.push(CertProblem::BadSignature { subject });
        }
        if !valid {
            fact.problems.push(CertProblem::Other { what: format!("{host:?} is no host name") });
        }
    }
    fact.outcome = match end {
        Ok(()) if fact.client_cert_requested => insisted(&mut connection, &mut timed),
        Ok(()) => TlsOutcome::Done,
        Err(end) => outcome(end, timed.first_bytes()),
    };
    note_packets(timed.stream(), budget);
    if worth_asking_again(&fact) {
        let speaks = hello::versions(peer, &name, budget, &wait);
        fact.outcome = hello::conclude(fact.outcome, &speaks);
    }
    let done = fact.outcome == TlsOutcome::Done;
    Secured { fact, stream: done.then_some((connection, timed)) }
}

/// Not even a first message could be made: nothing was sent.
fn refused<'a>(mut fact: TlsHandshake, error: &Error) -> Secured<'a> {
    fact.outcome = TlsOutcome::Garbage { why: format!("no ClientHello could be made: {error}") };
    Secured { fact, stream: None }
}

/// How a handshake ended that did not finish.
enum End {
    Tls(Error),
    Io(io::Error),
    Closed,
}

fn drive(connection: &mut ClientConnection, timed: &mut Timed<'_>) -> Result<(), End> {
    while connection.is_handshaking() {
        // A peer that has closed may have left an alert: read it even if writing fails.
        let written = write_all(connection, timed);
        match connection.read_tls(timed) {
            // A reset is told only once, and may have been told to the writer.
            Ok(0) => return Err(written.map_or_else(End::Io, |()| End::Closed)),
            Ok(_) => {}
            Err(error) => return Err(End::Io(error)),
        }
        if let Err(error) = connection.process_new_packets() {
            // The alert that tells the peer why.
            let _ = write_all(connection, timed);
            return Err(End::Tls(error));
        }
        if let Err(error) = written {
            return Err(End::Io(error));
        }
    }
    write_all(connection, timed).map_err(End::Io)
}

fn write_all(connection: &mut ClientConnection, timed: &mut Timed<'_>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(timed)?;
    }
    Ok(())
}

/// After a handshake without the certificate that was asked for: whether the peer lets it stand.
fn insisted(connection: &mut ClientConnection, timed: &mut Timed<'_>) -> TlsOutcome {
    let whole = timed.limit(INSIST);
    let end = loop {
        match connection.read_tls(timed) {
            Ok(0) => break TlsOutcome::Closed { reset: false },
            Ok(_) => match connection.process_new_packets() {
                Ok(state) if state.peer_has_closed() => break TlsOutcome::Closed { reset: false },
                Ok(_) => {}
                Err(Error::AlertReceived(alert)) => break alerted(alert),
                Err(error) => break TlsOutcome::Garbage { why: error.to_string() },
            },
            Err(error) if error.kind() == io::ErrorKind::TimedOut => break TlsOutcome::Done,
            Err(error) => break TlsOutcome::Closed { reset: is_reset(&error) },
        }
    };
    timed.limit_to(whole);
    end
}

fn outcome(end: End, first: &[u8]) -> TlsOutcome {
    match end {
        End::Closed => plain_or(first, TlsOutcome::Closed { reset: false }),
        End::Io(error) if error.kind() == io::ErrorKind::TimedOut => plain_or(first, TlsOutcome::Timeout),
        End::Io(error) => plain_or(first, TlsOutcome::Closed { reset: is_reset(&error) }),
        End::Tls(Error::AlertReceived(alert)) => alerted(alert),
        End::Tls(Error::PeerIncompatible(why)) => {
            TlsOutcome::NoCommon { what: format!("{why:?}"), server_speaks: Vec::new() }
        }
        End::Tls(error) => plain_or(first, TlsOutcome::Garbage { why: error.to_string() }),
    }
}

fn plain_or(first: &[u8], otherwise: TlsOutcome) -> TlsOutcome {
    match plain::looks_like(first) {
        Some(name) => TlsOutcome::NotTls { looks_like: name.to_owned(), first: plain::printable(first, 80) },
        None => otherwise,
    }
}

fn alerted(alert: AlertDescription) -> TlsOutcome {
    let code = u8::from(alert);
    TlsOutcome::Alert { code, name: alert_name(code).to_owned() }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Whether another version might have been accepted.
fn worth_asking_again(fact: &TlsHandshake) -> bool {
    match &fact.outcome {
        TlsOutcome::NoCommon { .. } => true,
        // handshake_failure, protocol_version, insufficient_security.
        TlsOutcome::Alert { code: 40 | 70 | 71, .. } => !fact.client_cert_requested,
        _ => false,
    }
}

fn version(version: rustls::ProtocolVersion) -> String {
    netwhy_wire::tls::Version(u16::from(version)).to_string()
}

/// The name of a cipher suite, or its number.
fn suite_name(suite: rustls::CipherSuite) -> String {
    suite.as_str().map_or_else(|| format!("{:#06x}", u16::from(suite)), ToOwned::to_owned)
}
