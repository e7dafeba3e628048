//! Which scripts of `probes/` fit this kernel and this question, put together to one.

use std::net::IpAddr;

use netwhy_bpf::kernel::Kernel;
use netwhy_lang::types::Types;

/// A script for one sort of event. Of several for the same sort the first counts whose needs are met.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its text; the header says the rest.
    pub(super) text: &'static str,
    /// The sort of event, as in the facts.
    pub(super) event: &'static str,
}

const fn piece(event: &'static str, text: &'static str) -> Piece {
    Piece { text, event }
}

const COMMON: &str = include_str!("../../probes/common.nw");
const DROPPED: &str = include_str!("../../probes/dropped.nw");
const RESET: &str = include_str!("../../probes/reset.nw");

/// All of them, the richest of a sort first. A test holds the list against the directory and the headers.
#[rustfmt::skip]
pub(super) static PIECES: &[Piece] = &[
    piece("drop", include_str!("../../probes/drop.nw")),
    piece("drop", include_str!("../../probes/drop_without_socket.nw")),
    piece("drop", include_str!("../../probes/drop_without_reason.nw")),
    piece("reset_sent", include_str!("../../probes/reset_sent.nw")),
    piece("reset_sent", include_str!("../../probes/reset_sent_older.nw")),
    piece("reset_sent", include_str!("../../probes/reset_sent_without_reason.nw")),
    piece("reset_received", include_str!("../../probes/reset_received.nw")),
    piece("retransmit", include_str!("../../probes/retransmit.nw")),
    piece("retransmit_synack", include_str!("../../probes/retransmit_synack.nw")),
    piece("state", include_str!("../../probes/state.nw")),
    piece("icmp_sent", include_str!("../../probes/icmp_sent.nw")),
    piece("socket_error", include_str!("../../probes/socket_error.nw")),
    piece("neigh_failed", include_str!("../../probes/neigh_failed.nw")),
    piece("neigh_refused", include_str!("../../probes/neigh_refused.nw")),
];

impl Piece {
    /// What a line `// WORD: ...` of the header says.
    pub(super) fn header(&self, word: &str) -> Option<&'static str> {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("// "));
        lines.filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == word).map(|(_, rest)| rest)
    }

    /// `EVENT.ARGUMENT` of each tracepoint it reads.
    pub(super) fn needs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let words = self.header("needs").unwrap_or_default().split_ascii_whitespace();
        words.filter_map(|word| word.split_once('.'))
    }

    /// Whether it reads this tracepoint.
    pub(super) fn reads(&self, event: &str) -> bool {
        self.needs().any(|(own, _)| own == event)
    }
}

/// The pieces for this question that this kernel can run, and what it cannot tell.
pub(super) fn choose(kernel: &Kernel, protocol: u8) -> (Vec<&'static Piece>, Vec<String>) {
    let mut chosen: Vec<&'static Piece> = Vec::new();
    let mut missing = Vec::new();
    let mut signatures: Vec<(&str, Option<Vec<String>>)> = Vec::new();
    let mut told = |event: &'static str, argument: &str| {
        let known = match signatures.iter().position(|(name, _)| *name == event) {
            Some(at) => at,
            None => {
                let found = kernel.raw_tracepoint(event);
                signatures.push((event, found.map(|s| s.params.into_iter().map(|p| p.name).collect())));
                signatures.len() - 1
            }
        };
        signatures.get(known).and_then(|(_, s)| s.as_ref()).is_some_and(|s| s.iter().any(|p| p == argument))
    };
    for piece in PIECES.iter().filter(|piece| concerns(piece, protocol)) {
        if chosen.iter().any(|other| other.event == piece.event) {
            continue;
        }
        if piece.needs().all(|(event, argument)| told(event, argument)) {
            missing.retain(|line: &String| !line.starts_with(&format!("{}: ", piece.event)));
            missing.extend(piece.header("lost").map(|lost| format!("{}: {lost}", piece.event)));
            chosen.push(piece);
        } else if !missing.iter().any(|line: &String| line.starts_with(&format!("{}: ", piece.event))) {
            let needs = piece.header("needs").unwrap_or_default();
            missing.push(format!("{}: this kernel has no {needs}", piece.event));
        }
    }
    (chosen, missing)
}

/// Events of TCP are of no use to a question about another protocol.
fn concerns(piece: &Piece, protocol: u8) -> bool {
    let own = piece.header("protocol").and_then(|text| text.parse::<u8>().ok());
    own.is_none_or(|own| own == protocol)
}

/// One script out of the pieces.
pub(super) fn assemble(pieces: &[&'static Piece]) -> String {
    let mut text = String::from(COMMON);
    let uses = |name: &str| pieces.iter().any(|piece| piece.header("uses") == Some(name));
    for (name, shared) in [("dropped.nw", DROPPED), ("reset.nw", RESET)] {
        if uses(name) {
            text.push_str(shared);
        }
    }
    for piece in pieces {
        text.push_str(piece.text);
    }
    text
}

/// An address as the scripts have it in their keys.
pub(super) fn words(address: IpAddr) -> (u64, u64) {
    match address {
        IpAddr::V4(four) => (0, u32::from_ne_bytes(four.octets()).into()),
        IpAddr::V6(six) => {
            let [a, b, c, d, e, f, g, h, rest @ ..] = six.octets();
            (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest))
        }
    }
}
