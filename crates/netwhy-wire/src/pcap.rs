//! Expressions of pcap-filter(7), as tcpdump takes them: parsed to a tree, and the tree to classic BPF.
//!
//! The tree knows no link layer. The program made of it counts from the network header, as the kernel's
//! `SKF_NET_OFF` does, so it serves a packet socket and, translated, a `sk_buff` alike.

use std::net::IpAddr;

pub mod code;
mod lex;
mod names;
mod parse;

pub use parse::parse;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PcapError {
    /// First byte of the expression that is wrong.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What is wrong, with what to do where that is known.
    pub message: String,
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Holds always: the empty expression.
    All,
    /// `not a`
    Not(Box<Expr>),
    /// `a and b`
    And(Box<Expr>, Box<Expr>),
    /// `a or b`
    Or(Box<Expr>, Box<Expr>),
    /// One test.
    Test(Test),
}

/// A network protocol a test is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// ARP.
    Arp,
    /// RARP.
    Rarp,
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dir {
    /// Source.
    Src,
    /// Destination.
    Dst,
    /// Either; what a test without a direction means.
    Either,
    /// Both.
    Both,
}

/// One test of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `ip`, `ip6`, `arp`, `rarp`
    Net(Net),
    /// `tcp`, `ip proto 17`: a protocol above IP, in the given version of IP or in either.
    Proto(Option<Net>, u8),
    /// `host`: an address; ARP and RARP carry IPv4 addresses too.
    Host(Option<Net>, Dir, IpAddr),
    /// `net`: an address and how many of its bits count.
    Prefix(Option<Net>, Dir, IpAddr, u8),
    /// `net 10.0.0.0 mask 255.0.255.0`: an IPv4 address and the bits that count.
    Mask(Option<Net>, Dir, u32, u32),
    /// `port`, `portrange`: of TCP (6), UDP (17) or SCTP (132), or of any of them.
    Ports(Option<Net>, Option<u8>, Dir, u16, u16),
    /// `tcp[13] & 2 != 0`
    Compare(Arith, Relation, Arith),
}

/// How two numbers compare, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What bytes are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The network header of that protocol.
    Net(Net),
    /// The header of a protocol carried by IPv4, after its options; absent in later fragments.
    Above(u8),
    /// The ICMPv6 header right behind that of IPv6.
    Icmp6,
}

/// 32-bit unsigned arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arith {
    /// A constant.
    Number(u32),
    /// Bytes of the packet.
    Len,
    /// So many bytes (1, 2 or 4) of a header at an offset, in network byte order.
    Bytes(Header, Box<Arith>, u8),
    /// `a + b` and so on.
    Binary(Op, Box<Arith>, Box<Arith>),
}

/// Operators of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}
