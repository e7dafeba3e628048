//! Which versions a server speaks: one ClientHello for each, on a connection of its own.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::SocketAddr;

use netwhy_facts::tls::TlsOutcome;
use netwhy_wire::tls::{Offer, Reply, Version};
use rustls::CipherSuite;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;

use super::suite_name;
use crate::connect::{Try, run};
use crate::stream::{Timed, note_packets};
use crate::{Budget, Victim, Wait};

/// What is offered, one by one.
const VERSIONS: [Version; 4] = [Version::TLS_1_0, Version::TLS_1_1, Version::TLS_1_2, Version::TLS_1_3];
/// A ServerHello is far smaller.
const MOST: usize = 64 * 1024;

/// A version and cipher suite the server would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) version: Version,
    pub(super) suite: u16,
}

/// Asks for all versions at once.
pub(super) fn versions(
    peer: SocketAddr,
    name: &ServerName<'_>,
    budget: &Budget,
    wait: &Wait<'_>,
) -> Vec<Spoken> {
    let host = match name {
        ServerName::DnsName(name) => Some(name.as_ref()),
        _ => None,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            VERSIONS.iter().map(|version| scope.spawn(|| ask(peer, host, *version, budget, *wait))).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn ask(
    peer: SocketAddr,
    host: Option<&str>,
    version: Version,
    budget: &Budget,
    wait: Wait<'_>,
) -> Option<Spoken> {
    let what = Try { linger: std::time::Duration::ZERO, ..Try::plain(netwhy_facts::flow::Proto::Tcp, peer) };
    let stream = run(&[what], &Victim::default(), budget, &wait).pop()?.stream?;
    let mut timed = Timed::new(stream, wait).ok()?;
    let random = RandomState::new();
    let mut bytes = [0; 32];
    for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&random.hash_one(at).to_ne_bytes());
    }
    timed.write_all(&Offer { version, server_name: host, random: bytes }.emit()).ok()?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    let found = loop {
        match Reply::parse(&received) {
            Reply::Hello { version, suite, .. } => break Some(Spoken { version, suite }),
            Reply::Incomplete if received.len() < MOST => {}
            _ => break None,
        }
        match timed.read(&mut buffer) {
            Ok(length) if length > 0 => received.extend_from_slice(buffer.get(..length).unwrap_or(&[])),
            _ => break None,
        }
    };
    note_packets(timed.stream(), budget);
    // A server may answer an old offer with what it prefers; only what was offered counts.
    found.filter(|spoken| spoken.version == version)
}

/// What a failed handshake means, given what the server speaks.
pub(super) fn conclude(outcome: TlsOutcome, speaks: &[Spoken]) -> TlsOutcome {
    let ours = |suite: u16| {
        ring::default_provider().cipher_suites.iter().any(|known| u16::from(known.suite()) == suite)
    };
    let server_speaks: Vec<String> = speaks
        .iter()
        .map(|one| format!("{} {}", one.version, suite_name(CipherSuite::from(one.suite))))
        .collect();
    let modern = speaks.iter().filter(|one| one.version >= Version::TLS_1_2);
    match (&outcome, modern.clone().next()) {
        (_, _) if speaks.is_empty() => outcome,
        // It would have taken what we offered: the failure has another reason.
        (TlsOutcome::Alert { .. }, Some(_)) if modern.clone().any(|one| ours(one.suite)) => outcome,
        (_, Some(_)) => TlsOutcome::NoCommon { what: "cipher suite".to_owned(), server_speaks },
        (_, None) => TlsOutcome::NoCommon { what: "protocol version".to_owned(), server_speaks },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_follows_from_what_is_spoken() {
        let alert = TlsOutcome::Alert { code: 40, name: "handshake_failure".into() };
        let old = Spoken { version: Version::TLS_1_0, suite: 0x002f };
        let cbc = Spoken { version: Version::TLS_1_2, suite: 0x002f };
        let good = Spoken { version: Version::TLS_1_2, suite: 0xc02f };
        assert_eq!(conclude(alert.clone(), &[]), alert);
        assert_eq!(conclude(alert.clone(), &[old, good]), alert);
        let TlsOutcome::NoCommon { what, server_speaks } = conclude(alert.clone(), &[old]) else { panic!() };
        assert_eq!(what, "protocol version");
        assert_eq!(server_speaks, ["TLSv1.0 TLS_RSA_WITH_AES_128_CBC_SHA"]);
        let TlsOutcome::NoCommon { what, server_speaks } = conclude(alert, &[old, cbc]) else { panic!() };
        assert_eq!((what.as_str(), server_speaks.len()), ("cipher suite", 2));
    }
}
