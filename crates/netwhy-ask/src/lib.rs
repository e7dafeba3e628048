//! Fills facts by sending packets: names, connect, echo, path, MTU, TLS, HTTP.
//!
//! Every function is called by somebody who was asked for exactly that: nothing is sent that the question did
//! not name. Everything ends at a [`Wait`]'s deadline or when its owner says stop, and pays from a [`Budget`] of
//! packets. Sockets are opened in the calling thread's network namespace; threads started here inherit it.
//!
//! | module | asks | fills |
//! |---|---|---|
//! | [`names`] | every configured name server | `names::NameAnswers` |
//! | [`connect`] | TCP and UDP as the victim would, several addresses at once | `attempt::Attempts` |
//! | [`echo`] | ICMP echo | `attempt::Attempts` |
//! | [`neigh`] | an address on the link, for whoever answers to it | `path::NeighProbe` |
//! | [`path`] | the hops toward the target, with its own kind of packets | `path::Path` |
//! | [`pmtu`] | the target, with packets of chosen sizes | `path::PathMtu` |
//! | [`syn`] | the target, with a SYN that leaves an option out | `attempt::Attempts` |
//! | [`tls`] | the server, without refusing it | `tls::TlsHandshakes` |
//! | [`http`] | the server, for the head of an answer | `tls::HttpAnswers` |
//! | [`capture`] | nobody: listens to the question's own packets meanwhile | `capture::FlowCapture` |
#![forbid(unsafe_code)]

pub mod capture;
pub mod connect;
pub mod echo;
pub mod http;
mod limits;
pub mod names;
pub mod neigh;
pub mod path;
pub mod pmtu;
mod speak;
mod stream;
pub mod syn;
#[cfg(test)]
mod testing;
pub mod tls;

pub use limits::{Budget, Victim, Wait};
pub use speak::{Spoken, speak};
pub use stream::Timed;
