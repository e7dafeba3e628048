//! What an application would speak on a connection that stands: TLS, HTTP, or one over the other.

use std::net::TcpStream;

use netwhy_facts::question::{App, Target};
use netwhy_facts::reading::Reading;
use netwhy_facts::tls::{HttpAnswers, TlsHandshakes};
use netwhy_sys::clock;

use crate::stream::{Timed, note_packets};
use crate::tls::{self, Request, Roots};
use crate::{Budget, Wait, http};

/// What came of it; `None` where the application speaks no such thing, or did not get that far.
#[derive(Debug, Default)]
pub struct Spoken {
    /// The handshake.
    pub tls: Option<Reading<TlsHandshakes>>,
    /// The request.
    pub http: Option<Reading<HttpAnswers>>,
}

/// Speaks as the target's application does. `now_s` is the time to judge certificates by, seconds since 1970.
#[must_use]
pub fn speak(stream: TcpStream, target: &Target, now_s: i64, budget: &Budget, wait: &Wait<'_>) -> Spoken {
    let mut spoken = Spoken::default();
    let peer = match stream.peer_addr() {
        Ok(peer) => peer,
        Err(error) => {
            // Gone already: whichever comes first in the application's order failed.
            match target.app {
                App::Tls | App::Https => spoken.tls = Some(Reading::failed(error)),
                App::Http => spoken.http = Some(Reading::failed(error)),
                App::None | App::Dns => {}
            }
            return spoken;
        }
    };
    match target.app {
        App::None | App::Dns => {}
        App::Http => match Timed::new(stream, *wait) {
            Ok(mut timed) => {
                let answer = http::get(&mut timed, peer, &host(target, 80), &target.path);
                note_packets(timed.stream(), budget);
                spoken.http = Some(known(HttpAnswers(vec![answer]), "HTTP request"));
            }
            Err(error) => spoken.http = Some(Reading::failed(error)),
        },
        App::Tls | App::Https => {
            let roots = Roots::load();
            let name = target.literal.map_or_else(|| target.host.clone(), |literal| literal.to_string());
            let request = Request {
                server_name: &name,
                alpn: if target.app == App::Https { &["http/1.1"] } else { &[] },
                now_s,
                roots: &roots,
            };
            let secured = tls::handshake(stream, peer, &request, budget, *wait);
            spoken.tls = Some(known(TlsHandshakes(vec![secured.fact]), "TLS handshake"));
            if let (App::Https, Some((mut connection, mut timed))) = (target.app, secured.stream) {
                let mut stream = rustls::Stream::new(&mut connection, &mut timed);
                let answer = http::get(&mut stream, peer, &host(target, 443), &target.path);
                note_packets(timed.stream(), budget);
                spoken.http = Some(known(HttpAnswers(vec![answer]), "HTTP request over TLS"));
            }
        }
    }
    spoken
}

fn known<T>(value: T, source: &str) -> Reading<T> {
    Reading::known(value, source, clock::monotonic())
}

/// What the Host header says: brackets for IPv6, the port unless it is the usual one.
fn host(target: &Target, usual: u16) -> String {
    let name = match target.literal {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Some(address) => address.to_string(),
        None => target.host.clone(),
    };
    if target.port == usual { name } else { format!("{name}:{}", target.port) }
}
