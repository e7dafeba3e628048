//! One entry of a table: a word of the kernel and what it means, in our own words.

use serde::Serialize;

/// What kind of word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words say it")]
pub enum Kind {
    Errno,
    Counter,
    DropReason,
    ResetReason,
    IcmpMessage,
    TcpInfo,
    NeighbourState,
    ConntrackState,
    TcpState,
    RouteType,
    DeviceFlag,
    DeviceState,
}

impl Kind {
    /// The kind as a person says it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Errno => "error of a system call",
            Self::Counter => "counter",
            Self::DropReason => "reason for a drop (skb:kfree_skb)",
            Self::ResetReason => "reason for a reset this host sent (tcp:tcp_send_reset)",
            Self::IcmpMessage => "ICMP message",
            Self::TcpInfo => "field of tcp_info",
            Self::NeighbourState => "state of a neighbour entry",
            Self::ConntrackState => "state of a tracked connection",
            Self::TcpState => "state of a TCP socket",
            Self::RouteType => "type of a route",
            Self::DeviceFlag => "flag of a device",
            Self::DeviceState => "operational state of a device",
        }
    }
}

/// A row as the tables write it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) by: &'static str,
    pub(crate) not: &'static str,
    pub(crate) hints: &'static [(&'static str, &'static str)],
    pub(crate) see: &'static [&'static str],
    pub(crate) aliases: &'static [&'static str],
}

impl Row {
    pub(crate) const fn new(name: &'static str, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, unit, meaning, by: "", not: "", hints: &[], see: &[], aliases: &[] }
    }
    /// What raises it: the kernel's functions.
    pub(crate) const fn by(mut self, by: &'static str) -> Self {
        self.by = by;
        self
    }
    /// What it is often mistaken for.
    pub(crate) const fn not(mut self, not: &'static str) -> Self {
        self.not = not;
        self
    }
    /// Readings that depend on where or when it is seen.
    pub(crate) const fn hints(mut self, hints: &'static [(&'static str, &'static str)]) -> Self {
        self.hints = hints;
        self
    }
    /// Conditions that show themselves by it.
    pub(crate) const fn see(mut self, see: &'static [&'static str]) -> Self {
        self.see = see;
        self
    }
    /// Other spellings.
    pub(crate) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

/// A word without a unit.
pub(crate) const fn word(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "", meaning)
}

/// Counts packets.
pub(crate) const fn pkt(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "packets", meaning)
}

/// Counts TCP segments.
pub(crate) const fn seg(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "segments", meaning)
}

/// Counts occasions.
pub(crate) const fn event(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "events", meaning)
}

/// Counts octets.
pub(crate) const fn octets(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "octets", meaning)
}

/// Counts connections.
pub(crate) const fn conn(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "connections", meaning)
}

/// Counts ICMP messages.
pub(crate) const fn msg(name: &'static str, meaning: &'static str) -> Row {
    Row::new(name, "messages", meaning)
}

/// A state now, not a count since boot.
pub(crate) const fn gauge(name: &'static str, unit: &'static str, meaning: &'static str) -> Row {
    Row::new(name, unit, meaning)
}
